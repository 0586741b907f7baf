"""The writer: one thread, one transaction at a time, one commit for all that was waiting.

While a transaction is being synced, whatever is asked next waits in the queue and goes into the
following one together (group commit). The order inside one round:

1. gather writes and entries to apply into a plan;
2. apply the entries to the ledger, tell the listener: their receipts may leave;
3. lower the high-water record if the log is cut below it;
4. write log, ledger and meta row, commit: one sync;
5. raise the high-water record: a sync of its own (D5);
6. tell the listener which writes are on disk.

Any error ends it: roll back, say so once, vouch for nothing again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw
import msgspec

from node.core.messages import Write
from node.ledger.commands import Receipt
from node.ledger.storage import LedgerStorage
from node.store import snapshot
from node.store.highwater import HighWater
from node.store.plan import BYTES_MAX, End, Plan
from node.store.problems import IndexPassed, StoreClosed, StoreFailed, StoreRefused
from node.store.recovery import hash_at
from node.store.rows import NO_CHANGES, Changes, WriteRows
from node.store.schema import Meta, pack_meta
from node.store.work import Apply, Bind, Fail, Freeze, Listener, Stop, Work

ApplyEntry = Callable[[LedgerStorage, int, bytes], tuple[Receipt, ...]]

CHECKPOINT_IDLE_PAGES: Final = 1000
CHECKPOINT_PAGES: Final = 4000

_INSERT: Final = "INSERT INTO log (idx, epoch, payload, hash) VALUES (?, ?, ?, ?)"


class Writer:
    """Owns the writing connection and the high-water record once `start` was called."""

    def __init__(
        self,
        connection: apsw.Connection,
        database: Path,
        vfs: str | None,
        high_water: HighWater,
        meta: Meta,
        end: End,
        apply_entry: ApplyEntry,
    ) -> None:
        self.queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self.changes: Changes = NO_CHANGES
        self.failure = ""
        self.commits = 0
        self.commit_seconds = 0.0
        self._connection = connection
        self._database = database
        self._vfs = vfs
        self._high_water = high_water
        self._meta = meta
        self._end = end
        self._apply_entry = apply_entry
        self._rows = WriteRows(connection, meta.tallies)
        self._backlog: deque[Work] = deque()
        self._waiting: list[Freeze] = []
        self._due: list[Freeze] = []
        self._pages = 0
        self._stopping = False
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def meta(self) -> Meta:
        """Where the replica stands on disk."""
        return self._meta

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
        if not self.failure:
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        self._connection.close()
        self._high_water.close()

    def bind(self, cluster_id: str) -> None:
        """Makes `cluster_id` durable. Raises `StoreRefused` when the disk is of another cluster."""
        if self._meta.cluster_id not in ("", cluster_id):
            raise StoreRefused(
                self._database,
                f"belongs to cluster {self._meta.cluster_id}, not to {cluster_id}",
            )
        if self._meta.cluster_id == cluster_id:
            return
        plan = Plan(msgspec.structs.replace(self._meta, cluster_id=cluster_id), self._end)
        self._perform(plan)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._backlog.append(self.queue.get())
                while True:
                    try:
                        self._backlog.append(self.queue.get_nowait())
                    except queue.Empty:
                        break
                while self._backlog and not self._stopping:
                    self._round()
                self._checkpoint()
        except Exception as problem:
            self._fail(f"{type(problem).__name__}: {problem}")

    def _round(self) -> None:
        """One transaction from the front of the backlog, and the pictures that are due after it."""
        plan = Plan(self._meta, self._end)
        while self._backlog and plan.size < BYTES_MAX and not self._due:
            if isinstance(self._backlog[0], Bind | Stop | Fail):
                self._perform(plan)
                self._alone(self._backlog.popleft())
                return
            match work := self._backlog.popleft():
                case Write():
                    plan.add_write(work)
                case Apply():
                    self._gather(plan, work)
                case Freeze():
                    self._register(plan, work)
        self._perform(plan)
        while self._due:
            self._freeze(self._due.pop())

    def _gather(self, plan: Plan, work: Apply) -> None:
        """Plans entries up to the next index somebody waits for, if that is among them."""
        entries = work.entries
        target = min((f.at_index for f in self._waiting), default=None)
        if target is None or not entries or target > entries[-1].index:
            plan.add_entries(entries)
            return
        count = target - entries[0].index + 1
        plan.add_entries(entries[:count])
        if entries[count:]:
            self._backlog.appendleft(Apply(entries[count:]))
        self._due = [freeze for freeze in self._waiting if freeze.at_index == target]
        self._waiting = [freeze for freeze in self._waiting if freeze.at_index != target]

    def _register(self, plan: Plan, freeze: Freeze) -> None:
        if freeze.at_index in (0, plan.applied):
            self._due.append(freeze)
        elif freeze.at_index > plan.applied:
            self._waiting.append(freeze)
        elif freeze.done.set_running_or_notify_cancel():
            freeze.done.set_exception(IndexPassed(freeze.at_index, plan.applied))

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
            case Fail(reason):
                raise StoreFailed(reason)
            case Stop():
                self._stopping = True

    def _freeze(self, freeze: Freeze) -> None:
        if not freeze.done.set_running_or_notify_cancel():
            return
        try:
            freeze.done.set_result(snapshot.take(self._database, self._vfs))
        except Exception as problem:
            freeze.done.set_exception(problem)
            raise

    def _perform(self, plan: Plan) -> None:
        """Steps 2 to 6."""
        receipts: list[tuple[int, tuple[Receipt, ...]]] = []
        before = self._meta
        if plan.rows or plan.entries or plan.cut_after is not None or plan.meta is not before:
            self._connection.execute("BEGIN IMMEDIATE").fetchall()
            for entry in plan.entries:
                answers = self._apply_entry(self._rows, entry.index, entry.payload)
                receipts.append((entry.index, answers))
            if receipts and self._listener is not None:
                self.changes = self._rows.changes
                self._listener.applied(plan.applied, receipts)
            self._commit(plan)
        if plan.number is not None and self._listener is not None:
            self._listener.persisted(plan.number)

    def _commit(self, plan: Plan) -> None:
        if plan.cut_after is not None:
            self._cut(plan, plan.cut_after)
        if plan.rows:
            self._connection.executemany(
                _INSERT, [(row.index, row.epoch, row.payload, row.hash) for row in plan.rows]
            ).fetchall()
        written = self._rows.flush() if plan.entries else 0
        meta = plan.meta
        if plan.entries:
            meta = msgspec.structs.replace(
                meta, applied_index=plan.applied, tallies=self._rows.tallies
            )
        if meta is not self._meta:
            self._connection.execute(
                "UPDATE meta SET state = ?, crc = ? WHERE one = 1", pack_meta(meta)
            ).fetchall()
        started = time.perf_counter()
        self._connection.execute("COMMIT").fetchall()
        self._meta, self._end = meta, plan.end
        self.changes = NO_CHANGES
        self._rows.clear()
        assert plan.end.hash is not None, "a commit leaves the end of the log known"
        self._high_water.cover(meta.promised, plan.end.index, plan.end.hash)
        self.commit_seconds += time.perf_counter() - started
        self.commits += 1
        self._pages += 4 + written + plan.size // 4096

    def _cut(self, plan: Plan, after: int) -> None:
        """Drops the log above `after`; the high-water record goes first, or a crash would look
        like a loss."""
        chain = hash_at(self._connection, self._meta, after)
        assert chain is not None, "a cut is never beyond the log"
        if plan.end.hash is None:
            plan.end = End(after, chain)
        mark = self._high_water.mark
        if after < mark.index:
            self._high_water.cover(mark.promised, after, chain)
        self._connection.execute("DELETE FROM log WHERE idx > ?", (after,)).fetchall()

    def _checkpoint(self) -> None:
        """Copies the write-ahead log into the database, so that it starts anew."""
        if self._pages >= CHECKPOINT_IDLE_PAGES:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._pages = 0

    def _fail(self, reason: str) -> None:
        self.failure = reason
        # Where the roll back fails, SQLite has done it by itself, or will at the next opening.
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK").fetchall()
        self._abandon(StoreFailed(reason))
        if self._listener is not None:
            with contextlib.suppress(Exception):
                self._listener.failed(reason)
        while not isinstance(work := self.queue.get(), Stop):
            self._backlog.append(work)
            self._abandon(StoreFailed(reason))

    def _abandon(self, problem: StoreFailed | StoreClosed) -> None:
        """Tells everybody who still waits."""
        while True:
            try:
                self._backlog.append(self.queue.get_nowait())
            except queue.Empty:
                break
        for work in (*self._backlog, *self._waiting, *self._due):
            if isinstance(work, Bind | Freeze) and work.done.set_running_or_notify_cancel():
                work.done.set_exception(problem)
        self._backlog.clear()
        self._waiting.clear()
        self._due.clear()
