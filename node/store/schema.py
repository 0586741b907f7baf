"""The database: its tables, its settings, and the one row that says where the replica stands.

`log` is the log. `ledger` holds all rows of the ledger: in order of arrival, with an index by key,
because terminals' keys are scattered and rows kept in key order would dirty a whole page each
(measured: less than half the processor time and half the bytes). `meta` is one row of JSON.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

import apsw
import msgspec

from node.core.messages import GENESIS_HASH
from node.ledger.storage import Table
from node.store.problems import StoreDamaged

APPLICATION_ID: Final = 0x4B455353  # "KESS"
SNAPSHOT_APPLICATION_ID: Final = 0x4B45534E  # "KESN": never taken for a disk
FORMAT_VERSION: Final = 1

WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""How large the file of the write-ahead log stays once its content is in the database."""

TABLE_NUMBER: Final = {Table.RECORD: 1, Table.BALANCE: 2, Table.TOTAL: 3, Table.CLOSING: 4}
"""How `ledger.tab` names the ledger's tables."""

LEDGER_INDEX: Final = "CREATE UNIQUE INDEX ledger_key ON ledger (tab, key)"
"""Without it, a key that is there might not be found."""

_LOG: Final = """log (
    idx INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, payload BLOB NOT NULL, hash BLOB NOT NULL
) STRICT"""
_LEDGER: Final = """ledger (
    tab INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL
) STRICT"""
_META: Final = """meta (
    one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, crc INTEGER NOT NULL
) STRICT"""
_TABLES: Final = f"""
CREATE TABLE {_LOG};
CREATE TABLE {_LEDGER};
{LEDGER_INDEX};
CREATE TABLE {_META};
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
"""


class Tally(msgspec.Struct, frozen=True):
    """How many rows a ledger table has, and the sum of their checksums modulo 2**64.

    A row's own checksum cannot tell that the row is an older version of itself, or gone; this can.
    """

    rows: int = 0
    crc_sum: int = 0


class Meta(msgspec.Struct, frozen=True):
    """Where the replica stands; moves in the same transaction as log and ledger (D1)."""

    disk_id: str
    cluster_id: str = ""
    promised: int = 0
    configuration_revision: int = 0
    applied_index: int = 0
    prune_index: int = 0
    prune_epoch: int = 0
    prune_hash: str = GENESIS_HASH.hex()
    prune_stamp_ms: int = 0
    tallies: dict[str, Tally] = {}

    @property
    def base_hash(self) -> bytes:
        """The chain hash at the prune point, before the first entry kept."""
        return bytes.fromhex(self.prune_hash)

    def update(self) -> tuple[str, tuple[str, int]]:
        """The statement that makes this the row, and its bindings."""
        return "UPDATE main.meta SET state = ?, crc = ? WHERE one = 1", pack_meta(self)


def row_crc(table: Table, key: str, value: bytes) -> int:
    """CRC-32 over table, key and value, so that a row cannot pass for another."""
    return zlib.crc32(value, zlib.crc32(key.encode(), TABLE_NUMBER[table]))


def connect(
    file: Path, vfs: str | None, cache_kib: int, *, readonly: bool = False
) -> apsw.Connection:
    """A connection with our settings. Raises `apsw.Error`.

    Memory mapping stays off: a failing read of a mapped page is a SIGBUS, not an error. The log is
    checkpointed by the writer, when it has time.
    """
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(file), flags=flags, vfs=vfs)
    connection.set_busy_timeout(5000)
    # Whoever closes a disk that was refused, or has failed, leaves its write-ahead log as it is.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("PRAGMA synchronous = FULL").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("PRAGMA mmap_size = 0").fetchall()
    # A write-ahead log that has grown gives its room back: beside a long read, or an installation.
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}").fetchall()
    connection.execute(f"PRAGMA cache_size = -{cache_kib}").fetchall()
    return connection


def create(file: Path, disk_id: str) -> None:
    """A new database for `disk_id`, empty, synced."""
    connection = apsw.Connection(str(file))
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        with connection:
            connection.execute(_TABLES).fetchall()
            state, crc = pack_meta(Meta(disk_id))
            connection.execute("INSERT INTO meta VALUES (1, ?, ?)", (state, crc)).fetchall()
    finally:
        connection.close()


def snapshot_tables(schema: str) -> str:
    """Statements that make a snapshot of the empty, attached database `schema`: no log, no index.

    Rows are copied in their order, and their order by key is the receiver's to make.
    """
    return (
        f"CREATE TABLE {schema}.{_LEDGER}; CREATE TABLE {schema}.{_META}; "
        f"PRAGMA {schema}.application_id = {SNAPSHOT_APPLICATION_ID}; "
        f"PRAGMA {schema}.user_version = {FORMAT_VERSION}"
    )


def pack_meta(meta: Meta) -> tuple[str, int]:
    """The row's two columns."""
    state = msgspec.json.encode(meta)
    return state.decode(), zlib.crc32(state)


def read_meta(connection: apsw.Connection, schema: str = "main") -> Meta:
    """The row. Raises `StoreDamaged` when it is not there or not what was written."""
    for state, crc in connection.execute(f"SELECT state, crc FROM {schema}.meta WHERE one = 1"):
        if isinstance(state, str) and zlib.crc32(state.encode()) == crc:
            return msgspec.json.decode(state, type=Meta)
        raise StoreDamaged("table meta: the checksum of its row does not match")
    raise StoreDamaged("table meta has no row")
