"""The ledger's tables over SQLite: the storage port of `node.ledger`, for writing and for reading.

Every statement that runs hands the interpreter's lock to whoever wants it, and getting it back from
a busy event loop takes longer than the statement. So: many keys a read, answered in one row; all
changes of a transaction in as few statements as hold them; hot rows kept in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import apsw
import msgspec

from node.ledger.storage import Table
from node.store.problems import StoreDamaged
from node.store.schema import TABLE_NUMBER, Tally, row_crc

Changes = Mapping[Table, Mapping[str, bytes]]
"""Rows that are changed but not on disk yet, and that readers must see already."""

NO_CHANGES: Final[Changes] = {table: {} for table in Table}

_SELECT: Final = (
    "SELECT json_group_array(json_array(key, hex(value), crc)) FROM ledger "
    "WHERE tab = ? AND key IN (SELECT CAST(value AS TEXT) FROM carray(?))"
)
_SCAN: Final = "SELECT key, value, crc FROM ledger WHERE tab = ? ORDER BY key"
_EVERY: Final = "SELECT tab, key, value, crc FROM ledger NOT INDEXED"
_TABLE: Final = {number: table for table, number in TABLE_NUMBER.items()}
_CHUNK: Final = 128
_CACHED: Final = (Table.BALANCE, Table.TOTAL)
_CACHE_ROWS: Final = 50_000

_decode = msgspec.json.Decoder(list[tuple[str, str, int]]).decode


def fetch(
    connection: apsw.Connection, table: Table, keys: Collection[str]
) -> dict[str, tuple[bytes, int]]:
    """The rows that exist among `keys`, with checksums. Raises `StoreDamaged`, `apsw.Error`."""
    if not keys:
        return {}
    # As bytes: an array of text cannot hold a key with a NUL, which a hostile request may name.
    bindings = (TABLE_NUMBER[table], apsw.carray(tuple(key.encode() for key in keys)))
    found: dict[str, tuple[bytes, int]] = {}
    for (answer,) in connection.execute(_SELECT, bindings):
        for key, text, crc in _decode(str(answer)):
            value = bytes.fromhex(text)
            check_row(table, key, value, crc)
            found[key] = (value, crc)
    return found


def scan(connection: apsw.Connection, table: Table) -> Iterator[tuple[str, bytes, int]]:
    """Every row in key order, with its checksum. Raises `StoreDamaged`, `apsw.Error`."""
    for key, value, crc in connection.execute(_SCAN, (TABLE_NUMBER[table],)):
        if not (isinstance(key, str) and isinstance(value, bytes) and isinstance(crc, int)):
            raise StoreDamaged(f"ledger {table}: a row has values of the wrong type")
        check_row(table, key, value, crc)
        yield key, value, crc


def check_row(table: Table, key: str, value: bytes, crc: int) -> None:
    """Raises `StoreDamaged` naming the row when its checksum does not match."""
    if row_crc(table, key, value) != crc:
        raise StoreDamaged(f"ledger {table}: the checksum of row {key!r} does not match")


def check_tallies(connection: apsw.Connection, tallies: Mapping[str, Tally]) -> None:
    """Raises `StoreDamaged` unless every row is as it was written, none missing or an older one."""
    counts = dict.fromkeys(TABLE_NUMBER.values(), 0)
    crc_sums = dict.fromkeys(TABLE_NUMBER.values(), 0)
    for number, key, value, crc in connection.execute(_EVERY):
        table = _TABLE.get(number)
        if table is None:
            raise StoreDamaged(f"ledger: row {key!r} is of no table")
        if not (isinstance(key, str) and isinstance(value, bytes) and isinstance(crc, int)):
            raise StoreDamaged(f"ledger {table}: a row has values of the wrong type")
        check_row(table, key, value, crc)
        counts[number] += 1
        crc_sums[number] += crc
    for number, table in _TABLE.items():
        found = Tally(counts[number], crc_sums[number] % 2**64)
        stored = tallies.get(table, Tally())
        if found != stored:
            raise StoreDamaged(
                f"ledger {table}: {found.rows} rows with checksum sum {found.crc_sum}, but "
                f"{stored.rows} with {stored.crc_sum} were written: a row is lost, or an old one"
            )


class ReadRows:
    """`LedgerStorage` for reading: what is committed, with `changes` over it."""

    def __init__(self, connection: apsw.Connection, changes: Changes = NO_CHANGES) -> None:
        self._connection = connection
        self._changes = changes

    def get(self, table: Table, keys: Collection[str]) -> dict[str, bytes]:
        """See `LedgerStorage.get`."""
        changed = self._changes[table]
        rest = [key for key in keys if key not in changed]
        found = {key: value for key, (value, _) in fetch(self._connection, table, rest).items()}
        found.update((key, changed[key]) for key in keys if key in changed)
        return found

    def put(self, table: Table, rows: Sequence[tuple[str, bytes]]) -> None:
        """Never: readers change nothing."""
        raise TypeError("these rows are for reading")

    def scan(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """See `LedgerStorage.scan`."""
        changed = self._changes[table]
        added = sorted(changed.items(), reverse=True)
        for key, value, _ in scan(self._connection, table):
            while added and added[-1][0] < key:
                yield added.pop()
            if key in changed:
                continue  # its newer value comes from `added`
            yield key, value
        yield from reversed(added)


class WriteRows:
    """`LedgerStorage` for the writer: changes gather in memory and reach SQLite in `flush`.

    Readers look at `changes` from other threads, also while they are added to: a row is there or
    not yet, and is never taken away but by `clear`, which leaves them the old ones.
    """

    def __init__(self, connection: apsw.Connection, tallies: Mapping[str, Tally]) -> None:
        self._connection = connection
        self._cache: dict[str, dict[str, tuple[bytes, int]]] = {table: {} for table in _CACHED}
        self._tallies = dict(tallies)
        self.clear()

    @property
    def pending(self) -> int:
        """How many changed rows wait for `flush`."""
        return sum(len(changed) for changed in self.changes.values())

    def clear(self) -> None:
        """Forgets the gathered changes: they are committed."""
        self.changes: dict[Table, dict[str, bytes]] = {table: {} for table in Table}
        # The checksum each row had before these changes; None where there was no row.
        self._before: dict[Table, dict[str, int | None]] = {table: {} for table in Table}

    def forget(self, tallies: Mapping[str, Tally]) -> None:
        """Forgets all that is kept in memory: other rows were put in place, with these tallies."""
        self._cache = {table: {} for table in _CACHED}
        self._tallies = dict(tallies)
        self.clear()

    def get(self, table: Table, keys: Collection[str]) -> dict[str, bytes]:
        """See `LedgerStorage.get`."""
        changed = self.changes[table]
        found: dict[str, bytes] = {}
        self._learn(table, [key for key in keys if key not in changed], found)
        found.update((key, changed[key]) for key in keys if key in changed)
        return found

    def put(self, table: Table, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `LedgerStorage.put`."""
        self.changes[table].update(rows)

    def scan(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """See `LedgerStorage.scan`."""
        return ReadRows(self._connection, self.changes).scan(table)

    def flush(self) -> int:
        """Writes the gathered changes into the open transaction; returns how many rows."""
        written = 0
        for table, changed in self.changes.items():
            if not changed:
                continue
            before = self._before[table]
            self._learn(table, [key for key in changed if key not in before], {})
            number = TABLE_NUMBER[table]
            tally = self._tallies.get(table, Tally())
            rows, crc_sum = tally.rows, tally.crc_sum
            bindings: list[int | str | bytes] = []
            cache = self._cache.get(table)
            # In order of key, so that the index is walked once from left to right.
            for key, value in sorted(changed.items()):
                crc = row_crc(table, key, value)
                old = before[key]
                rows += old is None
                crc_sum += crc - (old or 0)
                bindings += (number, key, value, crc)
                if cache is not None:
                    cache[key] = (value, crc)
            if cache is not None and len(cache) > _CACHE_ROWS:
                cache.clear()
            for at in range(0, len(bindings), 4 * _CHUNK):
                self._upsert(bindings[at : at + 4 * _CHUNK])
            self._tallies[table] = Tally(rows, crc_sum % 2**64)
            written += len(changed)
        return written

    @property
    def tallies(self) -> dict[str, Tally]:
        """The tallies as they stand after the last `flush`."""
        return dict(self._tallies)

    def _learn(self, table: Table, keys: Iterable[str], found: dict[str, bytes]) -> None:
        """Puts the stored rows among `keys` in `found`, and remembers their checksums."""
        before = self._before[table]
        cache = self._cache.get(table, {})
        missing = []
        for key in keys:
            row = cache.get(key)
            if row is None:
                missing.append(key)
            else:
                found[key], before[key] = row
        if missing:
            rows = fetch(self._connection, table, missing)
            before.update(dict.fromkeys(missing))
            for key, (value, crc) in rows.items():
                found[key], before[key] = value, crc
                if table in self._cache:
                    self._cache[table][key] = (value, crc)

    def _upsert(self, bindings: list[int | str | bytes]) -> None:
        """One statement for up to `_CHUNK` rows.

        SQLite prepares a statement for each number of rows; to keep these few, larger numbers are
        filled up to a multiple of eight by writing the last row again, which changes nothing.
        """
        count = len(bindings) // 4
        if count > 8 and count % 8:
            fill = 8 - count % 8
            bindings = bindings + bindings[-4:] * fill
            count += fill
        self._connection.execute(_upsert_sql(count), bindings).fetchall()


def _upsert_sql(count: int) -> str:
    return _UPSERTS[count]


_UPSERTS: Final = {
    count: "INSERT INTO ledger (tab, key, value, crc) VALUES "
    + ",".join(["(?,?,?,?)"] * count)
    + " ON CONFLICT (tab, key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
    for count in (*range(1, 9), *range(16, _CHUNK + 1, 8))
}
