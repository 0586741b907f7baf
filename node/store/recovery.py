"""Opening a disk that was used before: everything on it is verified, nothing is repaired.

What is damaged, torn or older than what was vouched for is named and refused (D5, D6): this node's
part in the cluster is to hold what it said it holds, and its peers have the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import apsw

from node.core.messages import Entry, chain_hash
from node.ledger.commands import PayloadError, decode_batch
from node.store import rows, space
from node.store.folder import DATABASE
from node.store.highwater import HighWater, lost
from node.store.plan import End
from node.store.problems import StoreDamaged, StoreRefused
from node.store.schema import APPLICATION_ID, FORMAT_VERSION, Meta, read_meta

_HEADER: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a disk says of its replica, verified.

    `entries` is the end of the log after entry `base_index` (whose epoch and hash are `base_*`):
    all that is not applied yet, and before that as much as was asked for. The log on disk begins
    after `prune_index`; `prune_stamp_ms` is the time stamped there, or before (C3). `notes`: what
    an operator should know although nothing was lost.
    """

    disk_id: str
    cluster_id: str
    promised: int
    configuration_revision: int
    base_index: int
    base_epoch: int
    base_hash: bytes
    entries: tuple[Entry, ...]
    applied_index: int
    prune_index: int = 0
    prune_stamp_ms: int = 0
    notes: tuple[str, ...] = ()


def newest_stamp_ms(recovered: Recovered) -> int:
    """The leader's time in the newest applied entry that settled something; 0 where none is here.

    Of the entries in memory only: an early time is true as well (R2).
    """
    for entry in reversed(recovered.entries):
        if entry.payload and entry.index <= recovered.applied_index:
            with contextlib.suppress(PayloadError):
                return decode_batch(entry.payload).stamp_ms
    return 0


def check_header(disk: Path) -> None:
    """The database is there and begins as one. Raises `StoreRefused`."""
    file = disk / DATABASE
    try:
        with file.open("rb") as stream:
            header = stream.read(len(_HEADER))
    except FileNotFoundError as problem:
        raise StoreRefused(
            file, "the database is missing, although the replica once vouched for it"
        ) from problem
    except OSError as problem:
        raise StoreRefused(file, f"cannot be read: {problem.strerror}") from problem
    if header != _HEADER:
        raise StoreRefused(file, "page 1: this is not the header of a SQLite database")


def verify(
    connection: apsw.Connection, disk: Path, high_water: HighWater, entries_in_memory: int
) -> tuple[Recovered, Meta, End]:
    """Reads everything once. Raises `StoreRefused` naming the file and what is wrong with it."""
    file = disk / DATABASE
    try:
        _check_structure(connection, file)
        meta = read_meta(connection)
        end, recovered = _check_log(connection, meta, entries_in_memory)
        _check_mark(connection, meta, end, high_water, file)
        rows.check_tallies(connection, meta.tallies)
    except StoreDamaged as problem:
        raise StoreRefused(file, str(problem)) from problem
    except apsw.Error as problem:
        raise space.refusal(file, problem, "SQLite cannot read it") from problem
    notes = (high_water.note,) if high_water.note else ()
    return replace(recovered, notes=notes), meta, end


def make_durable(
    connection: apsw.Connection, disk: Path, high_water: HighWater, meta: Meta, end: End
) -> None:
    """Syncs what was verified and lets the high-water record cover it.

    The process may have died between writing and syncing: what can be read back need not be on the
    disk yet, and from now on it may be vouched for. Something is written, so that a disk that takes
    nothing is met now and not by the first settlement. Raises `StoreRefused`, or `StoreFull`: then
    the same disk opens once there is room.
    """
    assert end.hash is not None, "verifying ends with a known hash"
    try:
        space.check_room(disk, 0, "the log")
        # Says nothing new, but is a write: an UPDATE to the same value would not be.
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}").fetchall()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        high_water.cover(meta.promised, end.index, end.hash)
    except (apsw.Error, OSError) as problem:
        raise space.refusal(disk, problem, "cannot be written") from problem


def _check_structure(connection: apsw.Connection, file: Path) -> None:
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application != APPLICATION_ID:
        raise StoreRefused(file, f"application id {application}: not a settlement database")
    if version != FORMAT_VERSION:
        raise StoreRefused(
            file, f"format version {version}: this node reads version {FORMAT_VERSION}"
        )
    # Not quick_check: it would not see that the index by key has lost a row, and a key that is not
    # found could be charged twice.
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise StoreRefused(file, "SQLite's integrity check: " + "; ".join(problems))


def _check_log(
    connection: apsw.Connection, meta: Meta, entries_in_memory: int
) -> tuple[End, Recovered]:
    """Follows the hash chain from the prune point."""
    index, epoch, chain = meta.prune_index, meta.prune_epoch, meta.base_hash
    left, last = connection.execute("SELECT min(idx), max(idx) FROM log").fetchall()[0]
    if isinstance(left, int) and left <= index:
        raise StoreDamaged(f"log: entry {left} is there, but it was pruned up to {index}")
    last_index = last if isinstance(last, int) else index
    base_index = max(index, min(meta.applied_index, last_index - entries_in_memory))
    base = (index, epoch, chain)
    tail: list[Entry] = []
    for entry in log_after(connection, index):
        if entry.index != index + 1:
            raise StoreDamaged(f"log: entry {index + 1} is missing, the next one is {entry.index}")
        if entry.epoch < epoch or entry.hash != chain_hash(
            chain, entry.index, entry.epoch, entry.payload
        ):
            raise StoreDamaged(
                f"log: entry {entry.index} does not have the chain hash it was written with"
            )
        index, epoch, chain = entry.index, entry.epoch, entry.hash
        if index == base_index:
            base = (index, epoch, chain)
        elif index > base_index:
            tail.append(entry)
    if meta.applied_index > index:
        raise StoreDamaged(f"log: ends at {index}, but the ledger has applied {meta.applied_index}")
    if meta.applied_index < meta.prune_index:
        raise StoreDamaged(
            f"log: pruned up to {meta.prune_index}, but the ledger stands at {meta.applied_index}"
        )
    return End(index, chain), Recovered(
        disk_id=meta.disk_id,
        cluster_id=meta.cluster_id,
        promised=meta.promised,
        configuration_revision=meta.configuration_revision,
        base_index=base[0],
        base_epoch=base[1],
        base_hash=base[2],
        entries=tuple(tail),
        applied_index=meta.applied_index,
        prune_index=meta.prune_index,
        prune_stamp_ms=meta.prune_stamp_ms,
    )


def _check_mark(
    connection: apsw.Connection, meta: Meta, end: End, high_water: HighWater, file: Path
) -> None:
    """The database holds all that the high-water record vouches for (D5)."""
    mark = high_water.mark
    if mark.disk_id != meta.disk_id:
        raise StoreRefused(
            high_water.file,
            f"is of disk {mark.disk_id}, but {file.name} beside it is of disk {meta.disk_id}",
        )
    if problem := lost(mark, meta.promised, end.index):
        raise StoreRefused(file, problem)
    if mark.index >= meta.prune_index and hash_at(connection, meta, mark.index) != mark.hash:
        raise StoreRefused(
            file,
            f"log: entry {mark.index} is not the one that was vouched for: another copy of this "
            "disk was put back",
        )


def hash_at(connection: apsw.Connection, meta: Meta, index: int) -> bytes | None:
    """The chain hash of entry `index`; None when it is not in the log."""
    if index == meta.prune_index:
        return meta.base_hash
    for (chain,) in connection.execute("SELECT hash FROM log WHERE idx = ?", (index,)):
        if isinstance(chain, bytes):
            return chain
    return None


def log_after(connection: apsw.Connection, index: int, limit: int = -1) -> Iterator[Entry]:
    """Entries above `index`, ascending, at most `limit` unless negative. Raises `StoreDamaged`."""
    select = "SELECT idx, epoch, payload, hash FROM log WHERE idx > ? ORDER BY idx LIMIT ?"
    for number, epoch, payload, chain in connection.execute(select, (index, limit)):
        if not (
            isinstance(number, int)
            and isinstance(epoch, int)
            and isinstance(payload, bytes)
            and isinstance(chain, bytes)
        ):
            raise StoreDamaged(f"log: entry {number} has values of the wrong type")
        yield Entry(number, epoch, payload, chain)
