"""The store as the rest of the node sees it: one folder, one replica."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from node.core.messages import Entry, Offer
from node.core.outputs import Install, Write
from node.ledger import admission, book, queries
from node.ledger.commands import Command, Receipt, ServiceTotal
from node.ledger.refusals import Refusal
from node.store import audit, checking, folder, recovery, space
from node.store.audit import AuditReport
from node.store.copying import Copier
from node.store.disk import Disk
from node.store.export import lines
from node.store.faults import DiskFaults, FaultyVfs
from node.store.highwater import HighWater
from node.store.problems import StoreClosed, StoreFailed
from node.store.reader import Guard, Readers
from node.store.recovery import Recovered
from node.store.rows import ReadRows
from node.store.schema import connect
from node.store.snapshot import Snapshot
from node.store.snapshots import SnapshotFile, Snapshots
from node.store.work import Apply, Bind, Fail, Freeze, Listener, Prune, Replace
from node.store.writer import FLUSH_ROWS, ApplyEntry, Writer

WRITER_CACHE_KIB: Final = 65536


@dataclass(frozen=True, slots=True)
class Totals:
    """`totals` are those of exactly the applied index `index`: all that was settled up to then.

    `as_of_ms` is the leader's time of the newest settlement in them, or earlier where a snapshot
    was installed since: nothing stamped before it is missing.
    """

    totals: tuple[ServiceTotal, ...]
    index: int
    as_of_ms: int


class Store:
    """Log, ledger and promises of one replica on one disk.

    `open`, then `start`; `write` and `apply` return at once and are done in order by the writer
    thread, many in one commit. Reads may come from any thread and see all that `applied` reported.
    After an error (`Listener.failed`) writes are dropped, reads and requests raise `StoreFailed`.
    """

    def __init__(
        self,
        node: str,
        lock: folder.Lock,
        vfs: FaultyVfs | None,
        database: Path,
        disk: Disk,
        writer: Writer,
        snapshots: Snapshots,
    ) -> None:
        """For `open` only."""
        self._node = node
        self._lock = lock
        self._vfs = vfs
        self._disk = disk
        self._writer = writer
        self._started = False
        self._closed = False
        self._unneeded = 0
        self._guard = Guard(database, lambda reason: writer.queue.put(Fail(reason)))
        self._readers = Readers(database, vfs.name if vfs else None, self._guard)
        self._snapshots = snapshots
        self._copier = Copier(snapshots, lambda: self._freeze(0, copying=True), self._guard)

    @staticmethod
    def open(
        path: Path,
        *,
        node: str,
        entries_in_memory: int = 4096,
        fault_file: Path | None = None,
        apply_entry: ApplyEntry = book.apply,
        flush_rows: int = FLUSH_ROWS,
    ) -> tuple[Store, Recovered]:
        """Opens the data folder `path`, made with a new disk id if it has no disk, and verifies it.

        `entries_in_memory`: how many entries at the end of the log to hand over (more if more are
        not applied). `fault_file`: see `node.store.faults`; only for drills. `flush_rows`: how many
        changed ledger rows to gather in memory before they are written.
        Raises `StoreRefused` naming the file and what is wrong; nothing is changed then. Where only
        room on the disk is missing that is `StoreFull`: try again when there is some.
        """
        snapshots = Snapshots(path / folder.DISK)
        with ExitStack() as opened:
            opened.push(snapshots.make_room_if_full)
            lock = folder.Lock(path)
            opened.callback(lock.release)
            disk = folder.make_disk(path)
            recovery.check_header(disk)
            faults = DiskFaults(fault_file)
            vfs = FaultyVfs(faults) if fault_file is not None else None
            if vfs is not None:
                opened.callback(vfs.unregister)
            vfs_name = vfs.name if vfs else None
            high_water = HighWater(disk / folder.HIGH_WATER, faults)
            opened.callback(high_water.close)
            database = disk / folder.DATABASE
            try:
                connection = connect(database, vfs_name, WRITER_CACHE_KIB)
            except apsw.Error as problem:
                raise space.refusal(database, problem, "SQLite cannot open it") from problem
            opened.callback(connection.close)
            recovered, meta, end = recovery.verify(connection, disk, high_water, entries_in_memory)
            snapshots.sweep(meta.applied_index)
            recovery.make_durable(connection, disk, high_water, meta, end)
            opened.pop_all()
        held = Disk(connection, high_water, meta, end)
        stamp_ms = recovery.newest_stamp_ms(recovered)
        writer = Writer(held, database, vfs_name, apply_entry, flush_rows, stamp_ms)
        return Store(node, lock, vfs, database, held, writer, snapshots), recovered

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Keeps a refused disk under another name, so that the next `open` makes a new one (D6).

        The operator's choice, never automatic. Returns where the files are now; raises
        `StoreRefused` when the folder is in use or has no disk.
        """
        return folder.set_aside(path)

    def start(self, listener: Listener) -> None:
        """Starts the writer thread; what was asked before is done first."""
        self._started = True
        self._writer.start(listener)

    def write(self, write: Write) -> None:
        """Queues one durable step; `Listener.persisted` names it when it is on disk."""
        if not self._writer.failure:
            self._writer.queue.put(write)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Queues committed entries, next in order; `Listener.applied` reports them."""
        if entries and not self._writer.failure:
            self._writer.queue.put(Apply(tuple(entries)))

    def prune(self, index: int) -> None:
        """Says that the log up to `index` is not needed any more; returns at once.

        The writer drops it in pieces, in moments without work, and never above the applied index
        that is on disk; see `prune_index` for how far it is. Each piece is a commit: ask in strides
        of many entries.
        """
        self._unneeded = max(self._unneeded, index)
        if not self._writer.failure:
            self._writer.queue.put(Prune(index))

    @property
    def prune_index(self) -> int:
        """The log on disk begins after this index. From any thread."""
        return self._disk.meta.prune_index

    @property
    def prune_stamp_ms(self) -> int:
        """The leader's time in the newest stamped entry up to `prune_index` (C3). Any thread."""
        return self._disk.meta.prune_stamp_ms

    def make_snapshot(self) -> Future[SnapshotFile]:
        """A copy of the ledger for a peer to fetch, made on another thread (M4).

        The one made last is given again while the log that follows it is kept; all who ask at once
        get one. It replaces the one before. The future fails with `SnapshotFailed` (say, no room
        left; the store goes on), `StoreFailed` or `StoreClosed`.
        """
        self._check()
        return self._copier.ask(max(self.prune_index, self._unneeded))

    def snapshot_file(self, index: int, chain: bytes) -> SnapshotFile | None:
        """The snapshot made here at `index` with this chain hash, if it is still kept."""
        return self._snapshots.find(index, chain)

    def snapshot_part(self, index: int, chain: bytes) -> Path:
        """Where to put the snapshot fetched for this offer together; other offers' are removed.

        Found again after a restart. Raises `OSError`.
        """
        return self._snapshots.part(index, chain)

    def check_snapshot(self, path: Path, offer: Offer) -> None:
        """Reads a fetched file through: it is whole, of this cluster, and what was offered.

        Raises `SnapshotDamaged` naming what is wrong, `OSError` (ENOSPC) when there is no room to
        install it. Takes as long as reading it all.
        """
        checking.check(path, offer, self._disk.meta.cluster_id)

    def install(self, install: Install, path: Path) -> None:
        """Queues the durable step of `install`, from the checked file at `path` (M4).

        Done after what was asked before, in one transaction; then `Listener.persisted` names it,
        the ledger stands at the offer's index, the log begins after it, and the file is removed.
        """
        if not self._writer.failure:
            self._writer.queue.put(Replace(install, path, self._readers.drain))

    def bind_cluster(self, cluster_id: str) -> None:
        """Makes this disk one of `cluster_id`: durable when it returns, and for good (E1).

        Raises `StoreRefused` when it is another cluster's.
        """
        self._check()
        if not self._started:
            self._writer.bind(cluster_id)
            return
        done: Future[None] = Future()
        self._writer.queue.put(Bind(cluster_id, done))
        done.result()

    def read_log(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """Committed rows of the log from index `first` on, payloads of at most `max_bytes` in all.

        At least one entry, if there is one; none when `first` is beyond the end or was pruned.
        """
        self._check()
        found: list[Entry] = []
        with self._readers.borrow() as connection:
            for entry in recovery.log_after(connection, first - 1):
                max_bytes -= len(entry.payload)
                if entry.index != first + len(found) or (found and max_bytes < 0):
                    break
                found.append(entry)
        return tuple(found)

    def admit(self, commands: Sequence[Command]) -> list[Receipt | Refusal | None]:
        """What the ledger already says to each command: see `node.ledger.admission`."""
        with self._reading() as rows:
            return admission.admit(rows, commands)

    def inquire(self, key: str) -> queries.Inquiry | None:
        """What became of an idempotency key: see `node.ledger.queries`."""
        with self._reading() as rows:
            return queries.inquire(rows, key)

    def interim(self, terminal: str, service: int) -> Totals:
        """A terminal's totals since its last close (`node.ledger.queries`), and as of when."""
        with self._writer.standing_still() as (index, as_of_ms), self._reading() as rows:
            return Totals(queries.interim(rows, terminal, service), index, as_of_ms)

    def audit(self, at_index: int, rederive: bool) -> Future[AuditReport]:
        """Log and ledger as they are at exactly `at_index` (0: now), added up on another thread.

        A later index is waited for. The future fails with `IndexPassed` (naming the current index)
        for an earlier one, `StoreFailed` or `StoreClosed`. Cancel it to wait no more.
        """
        return audit.begin(self._freeze(at_index), rederive, self._guard)

    def export(self, at_index: int) -> Iterator[str]:
        """Log and ledger at exactly `at_index` (0: now) as lines of JSON: see `node.store.export`.

        Waits until the index is applied; raises as `audit` does. Close the iterator when it is not
        read to the end.
        """
        snapshot = self._freeze(at_index).result()

        def guarded() -> Iterator[str]:
            with self._guard():
                yield from lines(snapshot, self._node)

        return guarded()

    @property
    def fsyncs(self) -> int:
        """Commits made durable since the start; each may hold many writes and applied entries."""
        return self._disk.commits

    @property
    def fsync_seconds(self) -> float:
        """The time these took, high-water record included."""
        return self._disk.commit_seconds

    def close(self) -> None:
        """Finishes what was queued, closes the files, gives the folder back. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._copier.stop()
        # The writer's connection is the last to close: that one empties the write-ahead log.
        self._writer.stop(self._readers.close)
        if self._vfs is not None:
            self._vfs.unregister()
        self._lock.release()

    @contextmanager
    def _reading(self) -> Iterator[ReadRows]:
        self._check()
        with self._readers.borrow() as connection:
            # Taken before the connection reads: what is written in between is seen twice, not
            # missed. Not before it is borrowed: an installation waits for who holds changes.
            yield ReadRows(connection, self._writer.changes)

    def _freeze(self, at_index: int, *, copying: bool = False) -> Future[Snapshot]:
        self._check()
        done: Future[Snapshot] = Future()
        self._writer.queue.put(Freeze(at_index, done, copying))
        return done

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("the store was closed")
        if self._writer.failure:
            raise StoreFailed(self._writer.failure)
