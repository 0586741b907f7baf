"""Commands on their way into the log: waiting, being admitted, placed; and their answers.

A batch forms while the one before is on its way. Keys are looked up among everything here, a
repeat waits for the commit of what it repeats (C1), and the end of a leadership tells each
command what can be known of it (T9). Refused and replayed commands never reach the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from node.core.outputs import NotProposed as CoreNotProposed
from node.core.outputs import Placed
from node.engine import EngineError, NotProposed, OutcomeUnknown, Overloaded, StorageDown
from node.ledger.admission import Refusal
from node.ledger.commands import Command, Receipt, encode_batch
from node.ledger.refusals import RefusalKind, refusal

PACED_FROM = 2
"""A recent batch of so many commands says that more are coming: the next waits its interval.

With six replicas on two cores, 300 requests a second made 180 batches, which filled both cores
(docs/performance.md).
"""

FULL_AT = 64
"""With so many waiting, a batch is large enough not to wait for more."""

Answer = Receipt | Refusal
Admit = Callable[[Sequence[Command]], list[Receipt | Refusal | None]]


class Pending:
    """One command and everybody who waits for its answer; the first is who sent it first."""

    __slots__ = ("command", "futures")

    def __init__(self, command: Command, future: asyncio.Future[Answer]) -> None:
        self.command = command
        self.futures = [future]

    def is_waited_for(self) -> bool:
        """False once every caller has gone away."""
        return any(not future.done() for future in self.futures)

    def answer(self, answer: Answer) -> None:
        """Tell everybody; whoever only repeated hears that it is a replay."""
        first = True
        for future in self.futures:
            if not future.done():
                if first or not isinstance(answer, Receipt):
                    future.set_result(answer)
                else:
                    future.set_result(msgspec.structs.replace(answer, replayed=True))
            first = False

    def fail(self, error: Callable[[], EngineError]) -> None:
        """Tell everybody that there is no answer; each gets an exception of its own."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error())


class Batch:
    """Commands that travel together; `payload` once admitted and encoded."""

    __slots__ = ("payload", "pending")

    def __init__(self, pending: list[Pending]) -> None:
        self.pending = pending
        self.payload = b""


class Intake:
    """Owns every command between the front and its answer. All of it on the event loop."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        admit: Admit,
        propose: Callable[[int, bytes], None],
        may_propose: Callable[[], bool],
        prove: Callable[[], asyncio.Future[None]],
        leader_endpoint: Callable[[], str],
        clock_ms: Callable[[], int],
        waiting_commands: int,
        batch_commands: int,
        batches_under_way: int,
        batch_interval_ms: float,
    ) -> None:
        """`admit` reads the ledger, a batch at a time: on the loop, because a change of threads
        costs more than the read (docs/performance.md). `propose(ticket, payload)` hands a batch
        to the core; `may_propose` is false during a planned move (H1, H2); `prove` is done once
        this node is known to have led after the call (R1). Under load a batch begins no sooner
        than `batch_interval_ms` after the one before.
        """
        self._loop = loop
        self._admit = admit
        self._propose = propose
        self._may_propose = may_propose
        self._prove = prove
        self._leader_endpoint = leader_endpoint
        self._clock_ms = clock_ms
        self._waiting_bound = waiting_commands
        self._batch_bound = batch_commands
        self._under_way_bound = batches_under_way
        self._interval_s = batch_interval_ms / 1000
        self._last_begun = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._recent_size = 0
        self._by_key: dict[str, Pending] = {}
        self._waiting: deque[Pending] = deque()
        self._admitted: deque[Batch] = deque()
        self._proposing: dict[int, Batch] = {}
        self._placed: dict[int, Batch] = {}
        self._under_way = 0
        self._tickets = 0
        self._pump_due = False
        self.last_stamp_ms = 0
        self.on_batch: Callable[[int], None] = lambda commands: None

    def __len__(self) -> int:
        return len(self._by_key)

    def submit(self, command: Command) -> asyncio.Future[Answer]:
        """Take one command; the future holds its answer. Raises `Overloaded` over the bound."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        known = self._by_key.get(command.key)
        if known is not None:
            if known.command.fingerprint != command.fingerprint:
                future.set_result(
                    refusal(
                        RefusalKind.KEY_REUSED,
                        "stan",
                        f"key {command.key} is under way with other content",
                    )
                )
            else:
                known.futures.append(future)
            return future
        if len(self._waiting) >= self._waiting_bound:
            raise Overloaded()
        pending = Pending(command, future)
        self._by_key[command.key] = pending
        self._waiting.append(pending)
        self._pump_soon()
        return future

    # -- the way in -----------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """Once the loop has taken everything that is already there: it all joins the batch."""
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        while self._waiting and self._under_way < self._under_way_bound and self._may_propose():
            if self._is_early():
                return
            taken: list[Pending] = []
            while self._waiting and len(taken) < self._batch_bound:
                pending = self._waiting.popleft()
                if pending.is_waited_for():
                    taken.append(pending)
                else:
                    # Its deadline has passed before it was proposed: it never happened.
                    del self._by_key[pending.command.key]
            if taken:
                self._under_way += 1
                self._recent_size = max(len(taken), self._recent_size // 2)
                self._prepare(Batch(taken))

    def _is_early(self) -> bool:
        """Under load, a few milliseconds more make a larger batch, and every batch costs the same
        hash, fsyncs and messages. Alone, a command never waits.
        """
        now = self._loop.time()
        wait_s = self._last_begun + self._interval_s - now
        if self._recent_size < PACED_FROM or len(self._waiting) >= FULL_AT or wait_s <= 0:
            self._last_begun = now
            return False
        if self._alarm is None:
            self._alarm = self._loop.call_later(wait_s, self._on_alarm)
        return True

    def _on_alarm(self) -> None:
        self._alarm = None
        self._pump()

    def _prepare(self, batch: Batch) -> None:
        """Ask the ledger what it already says; what is left gets its stamp and its bytes."""
        try:
            answers = self._admit([pending.command for pending in batch.pending])
        except Exception as problem:  # told to every caller, whatever it was
            reason = f"the ledger could not be asked: {problem}"
            self._under_way -= 1
            self._fail(batch, lambda: StorageDown(reason))
            return
        going: list[Pending] = []
        refused: list[tuple[Pending, Refusal]] = []
        for pending, answer in zip(batch.pending, answers, strict=True):
            if answer is None:
                going.append(pending)
            elif isinstance(answer, Refusal):
                refused.append((pending, answer))
            else:  # an answer once given stays true, whoever gives it again
                del self._by_key[pending.command.key]
                pending.answer(answer)
        if refused:
            self._refuse_when_proven(refused)
        batch.pending = going
        if not going:
            self._under_way -= 1
            return
        # C3: the leader's clock, never back.
        stamp_ms = self.last_stamp_ms = max(self._clock_ms(), self.last_stamp_ms)
        batch.payload = encode_batch(stamp_ms, tuple(pending.command for pending in going))
        self._admitted.append(batch)
        self.propose_admitted()

    def _refuse_when_proven(self, refused: list[tuple[Pending, Refusal]]) -> None:
        """A refusal is drawn from the ledger, so it is a read that must be current (R1): a leader
        that was fenced without knowing it would refuse a void of what its successor has settled.
        """

        def proven(proof: asyncio.Future[None]) -> None:
            current = not proof.cancelled() and proof.exception() is None
            for pending, answer in refused:
                if self._by_key.get(pending.command.key) is pending:
                    del self._by_key[pending.command.key]
                if current:
                    pending.answer(answer)
                else:
                    pending.fail(self._not_proposed())

        self._prove().add_done_callback(proven)

    def propose_admitted(self) -> None:
        """Hand what is ready to the core, in order; during a move it stays here (H1, H2)."""
        while self._admitted and self._may_propose():
            batch = self._admitted.popleft()
            self._tickets += 1
            self._proposing[self._tickets] = batch
            self.on_batch(len(batch.pending))
            self._propose(self._tickets, batch.payload)
        if self._waiting:
            self._pump_soon()

    # -- the way out ----------------------------------------------------------------------------

    def on_placed(self, placed: Placed) -> None:
        """The batch has its place in the log."""
        self._placed[placed.index] = self._proposing.pop(placed.ticket)

    def on_not_proposed(self, refused: CoreNotProposed) -> None:
        """The batch never reached the log."""
        batch = self._proposing.pop(refused.ticket, None)
        if batch is not None:
            self._under_way -= 1
            self._fail(batch, self._not_proposed())

    def on_receipts(self, receipts: Sequence[tuple[int, tuple[Receipt, ...]]]) -> None:
        """Entries are applied: answer those of ours."""
        for index, answers in receipts:
            # Not only the last one: a replay's receipt bears the time of what it repeats.
            newest_ms = max((answer.settled_at_ms for answer in answers), default=0)
            self.last_stamp_ms = max(self.last_stamp_ms, newest_ms)
            batch = self._placed.pop(index, None)
            if batch is None:
                continue
            self._under_way -= 1
            for pending, answer in zip(batch.pending, answers, strict=True):
                del self._by_key[pending.command.key]
                pending.answer(answer)
        if self._waiting:
            self._pump_soon()

    def on_abandon(self) -> None:
        """The leadership is over: placed is *unknown*, everything else never happened (T9)."""
        endpoint = self._leader_endpoint()
        placed, self._placed = self._placed, {}
        for batch in placed.values():
            self._fail(batch, lambda: OutcomeUnknown(endpoint))
        unplaced = [*self._admitted, *self._proposing.values(), Batch(list(self._waiting))]
        self._admitted.clear()
        self._proposing.clear()
        self._waiting.clear()
        for batch in unplaced:
            self._fail(batch, lambda: NotProposed(endpoint))
        self._under_way = 0

    def _not_proposed(self) -> Callable[[], EngineError]:
        endpoint = self._leader_endpoint()
        return lambda: NotProposed(endpoint)

    def _fail(self, batch: Batch, error: Callable[[], EngineError]) -> None:
        for pending in batch.pending:
            if self._by_key.get(pending.command.key) is pending:
                del self._by_key[pending.command.key]
            pending.fail(error)
