"""The simulated store: the door of node/store/store.py, over a simulated disk in virtual time."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from loadtest.sim.happening import Listener as Tell
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.setup import DiskManners
from loadtest.sim.storage.copying import Copier
from loadtest.sim.storage.disk import SimDisk, SimSnapshot
from loadtest.sim.storage.recovery import recover
from loadtest.sim.storage.rows import Picture
from loadtest.sim.storage.writer import SimWriter
from node.core.messages import Entry, Offer
from node.core.outputs import Install, Write
from node.ledger import admission, queries
from node.ledger.commands import Command, Receipt
from node.ledger.refusals import Refusal
from node.store import (
    FULL,
    AuditReport,
    IndexPassed,
    Listener,
    Recovered,
    SnapshotDamaged,
    SnapshotFile,
    StoreClosed,
    StoreFailed,
    StoreRefused,
    Totals,
    audit,
    checking,
    recovery,
    space,
)
from node.store.export import lines
from node.store.problems import StoreDamaged
from node.store.work import Apply, Fail, Freeze, Prune, Replace


class SimStore:
    """One life's store on `disk`. Where `node.store.Store` says something, the same holds here."""

    def __init__(
        self,
        disk: SimDisk,
        node: str,
        loop: VirtualLoop,
        draw: random.Random,
        writer: SimWriter,
    ) -> None:
        """For `open` only."""
        self.node = node
        self.disk = disk
        self._writer = writer
        self._closed = False
        self._unneeded = 0
        self._copier = Copier(disk, loop, draw, lambda: self._freeze(0))

    @staticmethod
    def open(
        disk: SimDisk,
        *,
        node: str,
        loop: VirtualLoop,
        draw: random.Random,
        manners: DiskManners,
        tell: Tell,
        entries_in_memory: int,
    ) -> tuple[SimStore, Recovered]:
        """Verifies the disk, and vouches for it. Raises `StoreRefused` or, where only room is
        missing, `StoreFull`."""
        recovered = recover(disk, entries_in_memory)
        for part, contents in list(disk.parts.items()):
            if contents.meta.applied_index <= disk.applied:
                del disk.parts[part]
        last = len(disk.entries)
        disk.cover(disk.promised, last, disk.place(last)[1])
        stamp_ms = recovery.newest_stamp_ms(recovered)
        writer = SimWriter(disk, loop, draw, manners, tell, stamp_ms)
        return SimStore(disk, node, loop, draw, writer), recovered

    def start(self, listener: Listener) -> None:
        """See `Store.start`."""
        self._writer.start(listener)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, write: Write) -> None:
        """See `Store.write`."""
        self._writer.ask(write)

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`."""
        if entries:
            self._writer.ask(Apply(tuple(entries)))

    def prune(self, index: int) -> None:
        """See `Store.prune`."""
        self._unneeded = max(self._unneeded, index)
        self._writer.ask(Prune(index))

    def bind_cluster(self, cluster_id: str) -> None:
        """See `Store.bind_cluster`. No time passes. Raises `StoreRefused`, `StoreFailed`."""
        self._check()
        known = self.disk.meta.cluster_id
        if known == cluster_id:
            return
        if known:
            raise StoreRefused(self._file, f"belongs to cluster {known}, not to {cluster_id}")
        try:
            self.disk.check_writable()
        except OSError as problem:
            raise self._broken(space.reason(problem, self._file)) from problem
        self.disk.bind(cluster_id)

    def close(self) -> None:
        """See `Store.close`. No time passes."""
        if not self._closed:
            self._closed = True
            self._copier.stop()
            self._writer.stop()

    @property
    def prune_index(self) -> int:
        """See `Store.prune_index`."""
        return self.disk.pruned

    @property
    def prune_stamp_ms(self) -> int:
        """See `Store.prune_stamp_ms`."""
        return self.disk.meta.prune_stamp_ms

    @property
    def fsyncs(self) -> int:
        """See `Store.fsyncs`; those of the high-water record are counted, too."""
        return self._writer.syncs

    @property
    def fsync_seconds(self) -> float:
        """See `Store.fsync_seconds`."""
        return self._writer.sync_seconds

    # -- snapshots -------------------------------------------------------------------------------

    def make_snapshot(self) -> Future[SnapshotFile]:
        """See `Store.make_snapshot`."""
        self._check()
        return self._copier.ask(max(self.prune_index, self._unneeded))

    def snapshot_file(self, index: int, chain: bytes) -> SnapshotFile | None:
        """See `Store.snapshot_file`."""
        return self._copier.find(index, chain)

    def snapshot_part(self, index: int, chain: bytes) -> Path:
        """See `Store.snapshot_part`: here a name in `SimDisk.parts`."""
        mine = Path(f"{self.disk.disk_id}/{index}-{chain.hex()}.part")
        for part in list(self.disk.parts):
            if part != mine:
                del self.disk.parts[part]
        return mine

    def keep_part(self, part: Path, file: SnapshotFile) -> None:
        """The file has been fetched whole: put it where `snapshot_part` says."""
        assert isinstance(file, SimSnapshot), "made on a simulated disk"
        self.disk.parts[part] = file.contents

    def check_snapshot(self, path: Path, offer: Offer) -> None:
        """See `Store.check_snapshot`."""
        contents = self.disk.parts.get(path)
        if contents is None:
            raise SnapshotDamaged(f"{path}: cannot be read: no such file")
        try:
            checking.check_offer(contents.meta, offer, self.disk.meta.cluster_id)
        except StoreDamaged as problem:
            raise SnapshotDamaged(f"{path}: {problem}") from problem
        if self.disk.is_full:
            raise OSError(errno.ENOSPC, f"{FULL}: to install a snapshot")

    def install(self, install: Install, path: Path) -> None:
        """See `Store.install`."""
        self._writer.ask(Replace(install, path, lambda: None))

    # -- reading ---------------------------------------------------------------------------------

    def read_log(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """See `Store.read_log`."""
        self._check()
        try:
            return self.disk.read(first, max_bytes)
        except OSError as problem:
            raise self._broken(space.reason(problem, self._file)) from problem

    def admit(self, commands: Sequence[Command]) -> list[Receipt | Refusal | None]:
        """See `Store.admit`."""
        self._check()
        return admission.admit(self._writer.rows, commands)

    def inquire(self, key: str) -> queries.Inquiry | None:
        """See `Store.inquire`."""
        self._check()
        return queries.inquire(self._writer.rows, key)

    def interim(self, terminal: str, service: int) -> Totals:
        """See `Store.interim`."""
        self._check()
        writer = self._writer
        totals = queries.interim(writer.rows, terminal, service)
        return Totals(totals, writer.applied, writer.stamp_ms)

    def audit(self, at_index: int, rederive: bool) -> Future[AuditReport]:
        """See `Store.audit`."""
        report: Future[AuditReport] = Future()
        frozen = self._freeze(at_index)

        def when_frozen(done: Future[Picture]) -> None:
            if done.cancelled() or not report.set_running_or_notify_cancel():
                return
            problem = done.exception()
            if problem is not None:
                report.set_exception(problem)
            else:
                report.set_result(audit.add_up(done.result(), rederive))

        def when_reported(done: Future[AuditReport]) -> None:
            if done.cancelled():
                frozen.cancel()

        report.add_done_callback(when_reported)
        frozen.add_done_callback(when_frozen)
        return report

    def export(self, at_index: int) -> Iterator[str]:
        """See `Store.export`; but nobody can wait here. Raises `IndexPassed`, and `StoreFailed`
        for an index that is not applied yet."""
        self._check()
        applied = self._writer.applied
        if 0 < at_index < applied:
            raise IndexPassed(at_index, applied)
        if at_index > applied:
            raise StoreFailed(f"the ledger stands at {applied}, not yet at {at_index}")
        return iter(ledger_of(self))

    def picture(self) -> Picture:
        """Log and ledger as they stand now, also of a store that has failed."""
        return self._writer.picture()

    @property
    def _file(self) -> Path:
        return Path(self.disk.disk_id)

    def _freeze(self, at_index: int) -> Future[Picture]:
        self._check()
        # A real one holds a database's picture, this one ours: who asked knows.
        done: Future[Any] = Future()
        self._writer.ask(Freeze(at_index, done))
        return done

    def _broken(self, reason: str) -> StoreFailed:
        """The disk met an error while it was read: the store stops."""
        self._writer.ask(Fail(reason))
        return StoreFailed(reason)

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("the store was closed")
        if self._writer.failure:
            raise StoreFailed(self._writer.failure)


def ledger_of(store: SimStore) -> list[str]:
    """Log and ledger of a replica as lines of JSON, as of its applied index, for evidence."""
    return list(lines(store.picture(), store.node))
