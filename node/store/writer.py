"""The writer: one thread, one transaction at a time, one commit for all that was waiting.

While a transaction is being synced, whatever is asked next waits in the queue and goes into the
following one together (group commit). The order inside one round:

1. gather writes and entries to apply into a plan;
2. apply the entries to the ledger, tell the listener: their receipts may leave;
3. lower the high-water record if the log is cut below it;
4. write log and meta row, commit: one sync;
5. raise the high-water record: a sync of its own (D5);
6. tell the listener which writes are on disk.

What the entries change in the ledger gathers in memory and reaches the disk some rounds later, many
entries in one transaction with the applied index: rows that change often are written once, and keys
that are neighbours share a page. Nothing can be lost by that: the log has it all, and a restart
applies again what comes after the applied index on disk.

Any error ends it: roll back, say so once, vouch for nothing again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from node.core.outputs import Write
from node.ledger.commands import Receipt
from node.ledger.storage import LedgerStorage
from node.store import installing, snapshot, space
from node.store.disk import Disk
from node.store.pictures import Pictures
from node.store.plan import BYTES_MAX, Plan
from node.store.problems import StoreClosed, StoreFailed, StoreRefused
from node.store.pruning import POSTPONED_AT_MOST, ROWS, Pruning
from node.store.rows import Changes
from node.store.work import Apply, Bind, Fail, Freeze, Listener, Prune, Replace, Stop, Work

ApplyEntry = Callable[[LedgerStorage, int, bytes], tuple[Receipt, ...]]

FLUSH_ROWS: Final = 2048
"""Ledger rows changed in memory before they are written."""

CHECKPOINT_PAGES: Final = 2000
"""Pages in the write-ahead log before they are copied into the database."""

_POSTPONED_AT_MOST: Final = 4
"""Both wait for a moment without work, until there is this many times as much of it."""

_FLUSH_ENTRIES: Final = 2048
"""Entries applied before the ledger is written, however few rows they changed."""


class Writer:
    """Owns the disk once `start` was called."""

    def __init__(
        self,
        disk: Disk,
        database: Path,
        vfs: str | None,
        apply_entry: ApplyEntry,
        flush_rows: int,
        stamp_ms: int = 0,
    ) -> None:
        """`stamp_ms`: the time of the newest entry that is applied, 0 where there is none."""
        self.queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self.failure = ""
        self._disk = disk
        self._database = database
        self._vfs = vfs
        self._apply_entry = apply_entry
        self._applied = disk.meta.applied_index
        self._stamp_ms = stamp_ms
        # Held while rows change, so that a reader can say as of which index it has read.
        self._changing = threading.Lock()
        self._flush_rows = flush_rows
        self._backlog: deque[Work] = deque()
        self._pictures = Pictures()
        self._pruning = Pruning()
        self._stopping = False
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def changes(self) -> Changes:
        """What is applied but not on disk yet, for readers to lay over what they find there."""
        return self._disk.rows.changes

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[tuple[int, int]]:
        """The applied index, and the time of its newest entry: nothing is applied until it ends.

        For one short read: the writer waits meanwhile.
        """
        with self._changing:
            yield self._applied, self._stamp_ms

    def start(self, listener: Listener) -> None:
        """Begins to work through the queue."""
        self._listener = listener
        self._thread.start()

    def stop(self, before_closing: Callable[[], None]) -> None:
        """Does what was asked so far, ends the thread, closes the files."""
        if self._thread.ident is not None:
            self.queue.put(Stop())
            self._thread.join()
        self._abandon(StoreClosed("the store was closed"))
        before_closing()
        self._disk.close(tidy=not self.failure)

    def bind(self, cluster_id: str) -> None:
        """Makes `cluster_id` durable. Raises `StoreRefused` when the disk is of another cluster."""
        meta = self._disk.meta
        if meta.cluster_id not in ("", cluster_id):
            raise StoreRefused(
                self._database, f"belongs to cluster {meta.cluster_id}, not to {cluster_id}"
            )
        if meta.cluster_id != cluster_id:
            meta = msgspec.structs.replace(meta, cluster_id=cluster_id)
            self._perform(Plan(meta, self._disk.end, self._applied))

    def _run(self) -> None:
        try:
            while not self._stopping:
                # While there is something to prune, an empty queue is the moment for it.
                if not (self.queue.empty() and self._pruning.waiting(self._disk.meta)):
                    self._backlog.append(self.queue.get())
                while not self.queue.empty():
                    self._backlog.append(self.queue.get_nowait())
                while self._backlog and not self._stopping:
                    self._round()
                self._tidy()
        except Exception as problem:
            self._fail(space.reason(problem, self._database.parent))

    def _round(self) -> None:
        """One transaction from the front of the backlog, and the pictures that are due after it."""
        plan = Plan(self._disk.meta, self._disk.end, self._applied)
        while self._backlog and plan.size < BYTES_MAX and not self._pictures.due:
            if isinstance(self._backlog[0], Bind | Replace | Stop | Fail):
                self._perform(plan)
                self._alone(self._backlog.popleft())
                break
            match work := self._backlog.popleft():
                case Write():
                    plan.add_write(work)
                case Apply():
                    self._gather(plan, work)
                case Freeze():
                    self._pictures.ask(work, plan.applied)
                case Prune(index):
                    self._pruning.ask(index)
        else:
            self._perform(plan)
        while self._pictures.due:
            self._freeze(self._pictures.due.pop())

    def _gather(self, plan: Plan, work: Apply) -> None:
        """Plans entries up to the next index somebody waits for, if that is among them."""
        count = self._pictures.split(work.entries)
        plan.add_entries(work.entries[:count])
        if work.entries[count:]:
            self._backlog.appendleft(Apply(work.entries[count:]))

    def _alone(self, work: Work) -> None:
        match work:
            case Bind(cluster_id, done):
                try:
                    self.bind(cluster_id)
                except Exception as problem:
                    done.set_exception(problem)
                    if not isinstance(problem, StoreRefused):
                        raise
                else:
                    done.set_result(None)
            case Replace():
                self._replace(work)
            case Fail(reason):
                raise StoreFailed(reason)
            case Stop():
                self._disk.flush(self._applied)
                self._stopping = True

    def _replace(self, work: Replace) -> None:
        installing.permit(work.install, self._disk.meta, self._applied)
        # Readers lay what is not written yet over what they find on disk: there is none of it now,
        # and nobody is left who still holds some, when the rows below become others.
        self._disk.flush(self._applied)
        work.drain()
        with self._changing:
            # The newest entry's time is not in a snapshot: that of before stays true, if early.
            self._disk.install(work.install, work.file)
            self._applied = work.install.offer.index
        if self._listener is not None:
            self._listener.persisted(work.install.number)
        with contextlib.suppress(OSError):
            work.file.unlink()
        self._pictures.pass_over(self._applied)

    def _freeze(self, freeze: Freeze) -> None:
        if not freeze.done.set_running_or_notify_cancel():
            return
        try:
            self._disk.flush(self._applied)
            freeze.done.set_result(
                snapshot.take(self._database, self._vfs, readonly=not freeze.copying)
            )
        except Exception as problem:
            freeze.done.set_exception(problem)
            raise

    def _perform(self, plan: Plan) -> None:
        """Steps 2 to 6."""
        if plan.entries:
            receipts = []
            for entry in plan.entries:
                with self._changing:
                    answers = self._apply_entry(self._disk.rows, entry.index, entry.payload)
                    self._applied = entry.index
                    for answer in answers:
                        self._stamp_ms = max(self._stamp_ms, answer.settled_at_ms)
                receipts.append((entry.index, answers))
            if self._listener is not None:
                self._listener.applied(plan.applied, receipts)
        if plan.rows or plan.cut_after is not None or plan.meta is not self._disk.meta:
            self._disk.commit(plan)
        if plan.number is not None and self._listener is not None:
            self._listener.persisted(plan.number)

    def _tidy(self) -> None:
        """What must be done now and then, in a moment without work if one comes soon enough."""
        patience = 1 if self.queue.empty() else _POSTPONED_AT_MOST
        if (
            self._disk.rows.pending >= self._flush_rows * patience
            or self._applied - self._disk.meta.applied_index >= _FLUSH_ENTRIES
        ):
            self._disk.flush(self._applied)
        due = self._pruning.waiting(self._disk.meta)
        if due and (self.queue.empty() or due >= POSTPONED_AT_MOST):
            self._disk.prune(min(due, ROWS))
        if self._disk.pages >= CHECKPOINT_PAGES * patience:
            self._disk.checkpoint()

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._disk.roll_back()
        stopped = self._abandon(StoreFailed(reason))
        if self._listener is not None:
            with contextlib.suppress(Exception):
                self._listener.failed(reason)
        while not stopped:
            self._backlog.append(self.queue.get())
            stopped = self._abandon(StoreFailed(reason))

    def _abandon(self, problem: StoreFailed | StoreClosed) -> bool:
        """Tells everybody who still waits; whether the end was asked for, too."""
        while not self.queue.empty():
            self._backlog.append(self.queue.get_nowait())
        stopped = False
        for work in self._backlog:
            match work:
                case Bind() | Freeze():
                    if work.done.set_running_or_notify_cancel():
                        work.done.set_exception(problem)
                case Stop():
                    stopped = True
        self._backlog.clear()
        self._pictures.abandon(problem)
        return stopped
