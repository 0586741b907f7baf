"""The simulated store's writer: the rounds of node/store/writer.py, in virtual time.

What is a thread there is a generator here: it yields the seconds that each sync takes, or None
where it waits to be asked for something. The order of everything inside a round is the real one's,
and so are plans, pictures, pruning and the ledger's rules; whatever moment a crash comes at, it
leaves on the disk what the real one would have left there.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from loadtest.sim.happening import Happened, Kind
from loadtest.sim.happening import Listener as Tell
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.setup import DiskManners
from loadtest.sim.storage.disk import SimDisk
from loadtest.sim.storage.rows import Picture, Rows, take
from node.core.messages import Entry
from node.core.outputs import Write
from node.ledger import book
from node.store import Listener, StoreClosed, StoreFailed, installing, space
from node.store.pictures import Pictures
from node.store.plan import BYTES_MAX, End, Plan
from node.store.problems import StoreDamaged
from node.store.pruning import Pruning
from node.store.work import Apply, Fail, Freeze, Prune, Replace, Stop, Work

_WAKE_S: Final = 0.0001
"""A thread that waits begins within this time."""
_EARLY: Final = 0.1
"""How often it begins before all that is asked for in one go is there."""
_FLUSH_ROWS: Final = (4, 16, 64, 256)
_PRUNE_ENTRIES: Final = (1, 4, 16, 64)
"""Small beside the real ones: so few are settled in a day. Drawn for each life."""
_POSTPONED: Final = 4
"""Both wait for a moment without work, until there is this many times as much of it."""

Thread = Iterator[float | None]


class SimWriter:
    """Owns the disk while its process lives.

    `rows` and `applied` are what reads see; `stamp_ms` is the leader's time of the newest
    settlement applied. `syncs` and `sync_seconds` count. `failure` is set once it has stopped.
    """

    def __init__(
        self,
        disk: SimDisk,
        loop: VirtualLoop,
        draw: random.Random,
        manners: DiskManners,
        tell: Tell,
        stamp_ms: int,
    ) -> None:
        self.rows = Rows(disk)
        self.applied = disk.applied
        self.stamp_ms = stamp_ms
        self.failure = ""
        self.syncs = 0
        self.sync_seconds = 0.0
        self._disk = disk
        self._loop = loop
        self._draw = draw
        self._manners = manners
        self._tell = tell
        self._flush_rows = draw.choice(_FLUSH_ROWS)
        self._prune_entries = draw.choice(_PRUNE_ENTRIES)
        self._listener: Listener | None = None
        self._queue: deque[Work] = deque()
        self._backlog: deque[Work] = deque()
        self._applying: list[Entry] = []
        self._pictures = Pictures()
        self._pruning = Pruning()
        self._stopping = False
        self._ended = False
        self._idle = False
        self._thread = self._run()

    def start(self, listener: Listener) -> None:
        """Begin to work through what was asked and will be."""
        self._listener = listener
        self._wake()

    def ask(self, work: Work) -> None:
        """Put something in the queue; after the end nothing is taken in."""
        if self._ended or self.failure:
            return
        if isinstance(work, Write | Replace):
            self._disk.asked += 1
        self._queue.append(work)
        if self._idle:
            self._wake()

    def stop(self) -> None:
        """Do all that was asked so far, without a moment passing, and end."""
        self.ask(Stop())
        while not (self._ended or self.failure):
            self._advance()
        self._ended = True
        self._abandon(StoreClosed("the store was closed"))

    def picture(self) -> Picture:
        """Log and ledger where the ledger stands now, be it on the disk or not."""
        meta = msgspec.structs.replace(self._disk.meta, applied_index=self.applied)
        # Entries are applied just before they are written, maybe in the place of others.
        ahead = [entry for entry in self._applying if entry.index <= self.applied]
        return take(meta, self.rows, self._disk.entries[: self.applied - len(ahead)] + ahead)

    # -- the thread ------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._idle = False
        self._loop.call_later(self._draw.random() * _WAKE_S, self._resume)

    def _resume(self) -> None:
        if not (self._ended or self.failure):
            self._advance()

    def _advance(self) -> None:
        try:
            seconds = next(self._thread)
        except StopIteration:
            self._ended = True
        except Exception as problem:
            self._fail(space.reason(problem, Path(self._disk.name)))
        else:
            self._idle = seconds is None
            if seconds is not None:
                self._loop.call_later(seconds, self._resume)
            elif self._queue:
                self._wake()

    def _sync(self, effect: Callable[[], None]) -> Thread:
        """One step on the disk: `effect` is what it does there. Raises `OSError`."""
        seconds = self._disk.begin(effect, self._manners)
        yield seconds
        self._disk.finish()
        self.syncs += 1
        self.sync_seconds += seconds

    def _run(self) -> Thread:
        while not self._stopping:
            if not self._queue and not self._pruning.waiting(self._disk.meta):
                yield None
            self._take_in()
            while self._backlog and not self._stopping:
                yield from self._round()
            yield from self._tidy()

    def _take_in(self) -> None:
        queue = self._queue
        count = len(queue)
        if count > 1 and self._draw.random() < _EARLY:
            count = self._draw.randrange(1, count)
        for _ in range(count):
            self._backlog.append(queue.popleft())

    def _round(self) -> Thread:
        """One transaction from the front of the backlog, and the pictures that are due after it."""
        plan = Plan(self._disk.meta, self._disk.end, self.applied)
        backlog, writes = self._backlog, 0
        while backlog and plan.size < BYTES_MAX and not self._pictures.due:
            if isinstance(backlog[0], Replace | Stop | Fail):
                yield from self._perform(plan, writes)
                yield from self._alone(backlog.popleft())
                break
            match work := backlog.popleft():
                case Write():
                    plan.add_write(work)
                    writes += 1
                case Apply():
                    self._gather(plan, work)
                case Freeze():
                    self._pictures.ask(work, plan.applied)
                case Prune(index):
                    self._pruning.ask(index)
        else:
            yield from self._perform(plan, writes)
        while self._pictures.due:
            yield from self._freeze(self._pictures.due.pop())

    def _gather(self, plan: Plan, work: Apply) -> None:
        """Plans entries up to the next index somebody waits for, if that is among them."""
        count = self._pictures.split(work.entries)
        plan.add_entries(work.entries[:count])
        if work.entries[count:]:
            self._backlog.appendleft(Apply(work.entries[count:]))

    def _perform(self, plan: Plan, writes: int) -> Thread:
        """Apply, tell; lower the high-water record, commit, raise it; tell."""
        self._applying = plan.entries
        if plan.entries:
            receipts = []
            for entry in plan.entries:
                answers = book.apply(self.rows, entry.index, entry.payload)
                self.applied = entry.index
                for answer in answers:
                    self.stamp_ms = max(self.stamp_ms, answer.settled_at_ms)
                receipts.append((entry.index, answers))
            if self._listener is not None:
                self._listener.applied(plan.applied, receipts)
        if plan.rows or plan.cut_after is not None or plan.meta is not self._disk.meta:
            yield from self._commit(plan, writes)
        else:
            self._disk.landed += writes
        if plan.number is not None:
            self._persisted(plan.number, writes)

    def _commit(self, plan: Plan, writes: int) -> Thread:
        disk, after = self._disk, plan.cut_after
        if after is not None:
            chain = disk.place(after)[1]
            if plan.end.hash is None:
                plan.end = End(after, chain)
            if after < disk.mark.index:
                yield from self._sync(partial(disk.cover, disk.mark.promised, after, chain))
        yield from self._sync(partial(disk.commit, plan.meta, after, plan.rows, writes))
        assert plan.end.hash is not None, "a commit leaves the end of the log known"
        yield from self._cover(plan.meta.promised, plan.end.index, plan.end.hash)

    def _cover(self, promised: int, index: int, chain: bytes) -> Thread:
        mark = self._disk.mark
        if (mark.promised, mark.index, mark.hash) != (promised, index, chain):
            yield from self._sync(partial(self._disk.cover, promised, index, chain))

    def _persisted(self, number: int, writes: int) -> None:
        self._disk.asked -= writes
        self._disk.landed -= writes
        if self._listener is not None:
            self._listener.persisted(number)

    def _alone(self, work: Work) -> Thread:
        match work:
            case Replace():
                yield from self._replace(work)
            case Fail(reason):
                raise StoreFailed(reason)
            case Stop():
                yield from self._flush()
                self._stopping = True

    def _replace(self, work: Replace) -> Thread:
        disk, install, offer = self._disk, work.install, work.install.offer
        installing.permit(install, disk.meta, self.applied)
        yield from self._flush()
        if disk.mark.index >= offer.index:
            chain = disk.place(disk.applied)[1]
            yield from self._cover(disk.mark.promised, disk.applied, chain)
        contents = disk.parts.get(work.file)
        if contents is None:
            raise StoreDamaged(f"the snapshot fetched for index {offer.index} is not there")
        meta = installing.becoming(install, contents.meta, disk.meta)
        yield from self._sync(partial(disk.install, meta, contents))
        self.rows.clear()
        self.applied, self._applying = offer.index, []
        yield from self._cover(meta.promised, offer.index, offer.hash)
        self._tell(Happened(disk.now_ms, Kind.INSTALLED, disk.name, f"index {offer.index}"))
        self._persisted(install.number, 1)
        disk.parts.pop(work.file, None)
        self._pictures.pass_over(self.applied)

    def _freeze(self, freeze: Freeze) -> Thread:
        if not freeze.done.set_running_or_notify_cancel():
            return
        try:
            yield from self._flush()
        except Exception as problem:
            freeze.done.set_exception(problem)
            raise
        done: Future[Any] = freeze.done  # a real one holds a database's picture
        done.set_result(self.picture())

    def _flush(self) -> Thread:
        if self.applied != self._disk.applied:
            yield from self._sync(partial(self._disk.flush, self.applied, self.rows.changes))
            self.rows.clear()

    def _tidy(self) -> Thread:
        """What must be done now and then, in a moment without work if one comes soon enough."""
        disk = self._disk
        patience = _POSTPONED if self._queue else 1
        waiting = max(self.rows.pending, self.applied - disk.applied)
        if waiting >= self._flush_rows * patience:
            yield from self._flush()
        due = self._pruning.waiting(disk.meta)
        if due and (not self._queue or due >= _POSTPONED * self._prune_entries):
            to = disk.pruned + min(due, self._prune_entries)
            yield from self._sync(partial(disk.prune, to))

    # -- its end ---------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._abandon(StoreFailed(reason))
        if self._listener is not None:
            self._listener.failed(reason)

    def _abandon(self, problem: StoreFailed | StoreClosed) -> None:
        """Tells everybody who still waits."""
        for work in (*self._backlog, *self._queue):
            if isinstance(work, Freeze) and work.done.set_running_or_notify_cancel():
                work.done.set_exception(problem)
        self._backlog.clear()
        self._queue.clear()
        self._pictures.abandon(problem)
