"""A simulated disk: what is on it for good, what is being synced, and what may befall it.

A transaction being synced is there as a whole or not at all after a crash; what was only asked for
is gone. What was synced stays, unless the disk is made to `lie`. The high-water record (D5) is a
file of its own, written in turn with the database and never in one step with it.
"""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.sim.happening import Happened, Kind, Listener
from loadtest.sim.setup import DiskManners
from loadtest.sim.timeline import Timeline
from node.core.messages import GENESIS_HASH, Entry
from node.ledger.commands import PayloadError, decode_batch
from node.ledger.memory import MemoryStorage
from node.ledger.storage import Table
from node.store import SnapshotFile
from node.store.highwater import Mark
from node.store.plan import End
from node.store.schema import Meta


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a snapshot's file: its meta row and the ledger's rows.

    `entries` is in no real file: the log up to the snapshot, for the witness alone.
    """

    meta: Meta
    rows: MemoryStorage
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SimSnapshot(SnapshotFile):
    """A snapshot made on a simulated disk, with what is in the file at its path."""

    contents: Contents


@dataclass(frozen=True, slots=True)
class _Database:
    """A copy of everything on a disk but the high-water record."""

    meta: Meta
    entries: list[Entry]
    rows: MemoryStorage
    parts: dict[Path, Contents]


class SimDisk:
    """The disk of one node's replica `disk_id`; it outlives processes. All of it is durable.

    `entries` is the log from index 1 on: those up to `meta.prune_index` are kept for the witness,
    and the program is not shown them. `rows` is the ledger as of `meta.applied_index`, `mark` the
    high-water record, `parts` the snapshots fetched.
    """

    def __init__(
        self, name: str, disk_id: str, timeline: Timeline, draw: random.Random, tell: Listener
    ) -> None:
        self.name = name
        self.disk_id = disk_id
        self.promised = 0
        self.meta = Meta(disk_id)
        self.entries: list[Entry] = []
        self.rows = MemoryStorage()
        self.mark = Mark(disk_id, 0, 0, GENESIS_HASH)
        self.parts: dict[Path, Contents] = {}
        self.is_full = False
        self.slow_ms = 0.0
        """How much longer each sync takes."""
        self.lied = False
        """Was it ever made to lie?"""
        self.asked = 0
        """Writes asked for and not vouched for yet; `landed` of them are on the disk."""
        self.landed = 0
        self.began_ms = timeline.now
        self._timeline = timeline
        self._draw = draw
        self._tell = tell
        self._syncing: Callable[[], None] | None = None
        self._failing = False
        self._unreadable = False
        self._calm = False
        self._before: _Database | None = None

    # -- looking at it ---------------------------------------------------------------------------

    @property
    def now_ms(self) -> float:
        """The true time."""
        return self._timeline.now

    @property
    def applied(self) -> int:
        """The applied index that the ledger's rows make true."""
        return self.meta.applied_index

    @property
    def pruned(self) -> int:
        """The program's log begins after this index."""
        return self.meta.prune_index

    def place(self, index: int) -> tuple[int, bytes]:
        """Epoch and chain hash of the entry at `index`, which must be in `entries`, or 0."""
        if index == 0:
            return 0, GENESIS_HASH
        entry = self.entries[index - 1]
        return entry.epoch, entry.hash

    @property
    def end(self) -> End:
        """The last entry of the log."""
        last = len(self.entries)
        return End(last, self.place(last)[1])

    def read(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """As `Store.read_log`. Raises `OSError` (EIO) where the disk cannot be read."""
        if self._unreadable:
            self._unreadable = False
            raise self._error()
        found: list[Entry] = []
        for entry in self.entries[first - 1 :] if first > self.pruned else ():
            max_bytes -= len(entry.payload)
            if found and max_bytes < 0:
                break
            found.append(entry)
        return tuple(found)

    # -- writing to it ---------------------------------------------------------------------------

    def begin(self, effect: Callable[[], None], manners: DiskManners) -> float:
        """A step is being synced: `effect` is what it does to this disk. The seconds it takes."""
        self._syncing = effect
        draw = self._draw
        if draw.random() < manners.stall and not self._calm:
            ms = draw.uniform(manners.most_ms, manners.stall_ms)
        else:
            ms = draw.uniform(manners.least_ms, manners.most_ms)
        return (ms + self.slow_ms) / 1000

    def finish(self) -> None:
        """It is on the disk. Raises `OSError`: then it may be there at the next start, or not."""
        effect, self._syncing = self._syncing, None
        assert effect is not None, "something was begun"
        try:
            self.check_writable()
        except OSError as problem:
            if problem.errno == errno.EIO and self._draw.random() < 0.5:
                effect()
            raise
        effect()

    def check_writable(self) -> None:
        """Raises `OSError` where nothing can be written now."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space left on device", self.name)
        if self._failing:
            self._failing = False
            raise self._error()

    def commit(self, meta: Meta, cut_after: int | None, rows: Sequence[Entry], writes: int) -> None:
        """Of log and meta row, in one step; `writes`: how many of those asked for it holds."""
        if cut_after is not None:
            del self.entries[cut_after:]
        self.entries += rows
        self.landed += writes
        self._become(meta)

    def cover(self, promised: int, index: int, chain: bytes) -> None:
        """The high-water record, in a step of its own."""
        self.mark = Mark(self.disk_id, promised, index, chain)

    def flush(self, applied: int, changes: Mapping[Table, Mapping[str, bytes]]) -> None:
        """The ledger's changed rows and the applied index, in one step."""
        for table, changed in changes.items():
            self.rows.put(table, list(changed.items()))
        self._become(msgspec.structs.replace(self.meta, applied_index=applied))

    def prune(self, to: int) -> None:
        """The log begins after `to`, in one step."""
        epoch, chain = self.place(to)
        self._become(
            msgspec.structs.replace(
                self.meta,
                prune_index=to,
                prune_epoch=epoch,
                prune_hash=chain.hex(),
                prune_stamp_ms=self.stamp_at(to),
            )
        )

    def stamp_at(self, index: int) -> int:
        """The time in the newest entry up to `index` that has one (C3), as the program knows it."""
        for entry in reversed(self.entries[self.pruned : index]):
            if entry.payload:
                with contextlib.suppress(PayloadError):
                    return decode_batch(entry.payload).stamp_ms
        return self.meta.prune_stamp_ms

    def install(self, meta: Meta, contents: Contents) -> None:
        """Ledger and log become the snapshot's, in one step (M4)."""
        self.entries = list(contents.entries)
        self.rows = MemoryStorage(contents.rows)
        self.landed += 1
        self._become(meta)

    def bind(self, cluster_id: str) -> None:
        """It is a disk of this cluster, for good (E1)."""
        self._become(msgspec.structs.replace(self.meta, cluster_id=cluster_id))

    def _become(self, meta: Meta) -> None:
        # Whatever was begun before it was bound knows nothing of the cluster.
        cluster_id = meta.cluster_id or self.meta.cluster_id
        if cluster_id != meta.cluster_id:
            meta = msgspec.structs.replace(meta, cluster_id=cluster_id)
        self.meta = meta
        self.promised = meta.promised

    # -- what may befall it ----------------------------------------------------------------------

    def crash(self) -> None:
        """The process is dead, the power was off: what was not synced is gone, or happens to be
        there as a whole. Of what a disk synced while it lied, nothing is left."""
        effect, self._syncing = self._syncing, None
        if self._before is not None:
            before, self._before = self._before, None
            self.entries, self.rows, self.parts = before.entries, before.rows, before.parts
            self.landed = 0
            self._become(before.meta)
            self._happened(Kind.VANISHED, "what it said was synced")
        elif effect is not None and self._draw.random() < 0.5:
            effect()
        if self.asked and not self.landed:
            self._happened(Kind.VANISHED, f"{self.asked} writes")
        elif self.landed < self.asked or not self._covered():
            self._happened(Kind.TORN, f"{self.landed} of {self.asked} writes came back")
        self.asked = self.landed = 0

    def fail(self) -> None:
        """The next sync meets an error."""
        self._failing = True

    def unreadable(self) -> None:
        """The next read of the log meets an error."""
        self._unreadable = True

    def fill(self, full: bool) -> None:
        """There is no room left on it, or some again."""
        self.is_full = full
        if full:
            self._happened(Kind.DISK_FULL)

    def slow(self, ms: float) -> None:
        """Each sync takes so much longer; 0: no more."""
        self.slow_ms = ms
        if ms:
            self._happened(Kind.DISK_SLOW, f"{ms:.0f} ms")

    def lie(self) -> None:
        """From now on it only says that it syncs, but for the high-water record; until a crash."""
        if self._before is None:
            self.lied = True
            self._before = _Database(
                self.meta, list(self.entries), MemoryStorage(self.rows), dict(self.parts)
            )

    def repair(self) -> None:
        """Nothing is wrong with it any more, and it stalls no more; what it said was synced, is."""
        self._calm = True
        self.is_full = self._failing = self._unreadable = False
        self.slow_ms = 0.0
        self._before = None

    def _covered(self) -> bool:
        return self.mark.index >= len(self.entries) and self.mark.promised >= self.promised

    def _error(self) -> OSError:
        self._happened(Kind.DISK_FAILED)
        return OSError(errno.EIO, "input/output error", self.name)

    def _happened(self, kind: Kind, detail: str = "") -> None:
        self._tell(Happened(self._timeline.now, kind, self.name, detail))
