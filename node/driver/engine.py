"""The quorum log as an engine: what the gRPC front sees of driver, intake and store.

Refusals that need no log (not the leader, no write quorum, queue full, disk lost) are raised at
once; everything else is a future that the intake answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

from node.core import Replica
from node.core.inputs import FenceAsked, HandoverAsked, Inquired, SwitchAsked
from node.core.leader import Leader
from node.core.messages import Promise
from node.core.outputs import Fenced, NotProposed, Placed, ReadReady, ReadRefused
from node.core.silent import Silent
from node.driver.archive import Archive
from node.driver.driver import Driver
from node.driver.intake import Answer, Intake
from node.driver.picture import Picture
from node.driver.ports import Reads
from node.engine import (
    AuditReport,
    Current,
    FenceAnswer,
    HandoverAnswer,
    Interim,
    NodeStatus,
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    StorageDown,
    SwitchAnswer,
)
from node.ledger.commands import Command, Receipt
from node.store import StoreClosed, StoreFailed

QUORUM_CHECK_MS = 50
READS_BOUND = 4096
P = ParamSpec("P")
T = TypeVar("T")


class QuorumLog:
    """Implements `node.engine.Engine` over one replica. Everything is called on the event loop."""

    def __init__(
        self,
        driver: Driver,
        intake: Intake,
        store: Reads,
        readers: Executor,
        *,
        terminals: Mapping[str, str],
        picture: Picture,
        archive: Archive,
    ) -> None:
        """`terminals` maps every node's name to its terminal-facing endpoint."""
        self._driver = driver
        self._intake = intake
        self._store = store
        self._readers = readers
        self._terminals = terminals
        self._picture = picture
        self._archive = archive
        self._fences: dict[int, asyncio.Future[FenceAnswer]] = {}
        self._reads: dict[int, asyncio.Future[None]] = {}
        self._tickets = 0
        self._heir = ""  # who was to lead after us, until it is known who does
        self._serving = False
        self._accepting = False
        self._no_quorum = ""
        self._quorum_checked_at = 0.0
        self._settled = 0
        self.on_serving: Callable[[], None] = lambda: None

    @property
    def _replica(self) -> Replica:
        return self._driver.replica

    def leader_endpoint(self) -> str:
        """Where terminals should go, "" when not known (or when it is known not to be here)."""
        return self._terminals.get(self._replica.leader or self._heir, "")

    # -- what the front asks --------------------------------------------------------------------

    def submit(self, command: Command) -> asyncio.Future[Answer]:
        """See `node.engine.Engine.submit`."""
        self._must_serve()
        return self._intake.submit(command)

    def _must_serve(self) -> None:
        """Raise why nothing can be settled or read as current here just now, if so."""
        if self._serving:
            if self._no_quorum:
                raise NoQuorum(self._no_quorum)
            return
        role = self._replica.role
        if isinstance(role, Silent):
            raise StorageDown(role.reason, "")
        endpoint = "" if isinstance(role, Leader) else self.leader_endpoint()
        raise NotLeader(endpoint)

    async def inquire(self, key: str) -> Current:
        """See `node.engine.Engine.inquire`."""
        self._must_serve()
        if len(self._reads) >= READS_BOUND:
            raise Overloaded()
        await self.prove()
        commit_index = self._replica.state.applied
        return Current(await self._read(self._store.inquire, key), commit_index)

    def prove(self) -> asyncio.Future[None]:
        """Done once what the ledger says is known to be current as of now (R1).

        It holds `OutcomeUnknown` if the leadership ends before that.
        """
        self._tickets += 1
        number = self._tickets
        proof: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reads[number] = proof
        proof.add_done_callback(lambda _: self._reads.pop(number, None))
        self._driver.feed(Inquired(number))
        return proof

    async def _read(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read the ledger off the loop. Raises `StorageDown`."""
        work = partial(read, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except (StoreFailed, StoreClosed) as problem:
            raise StorageDown(str(problem), self.leader_endpoint()) from problem

    async def interim(self, terminal: str, service: int) -> Interim:
        """See `node.engine.Engine.interim`."""
        read = await self._read(self._store.interim, terminal, service)
        return Interim(read.totals, read.index, read.as_of_ms)

    async def handover(self, target: str) -> HandoverAnswer:
        """See `node.engine.Engine.handover`."""
        if not isinstance(self._replica.role, Leader):
            leader = self._replica.leader or "nobody known"
            return HandoverAnswer(False, "", f"this node does not lead; {leader} does")
        before = self._replica.role.move
        self._driver.feed(HandoverAsked(target))
        role = self._replica.role
        if isinstance(role, Leader) and role.move is not None and role.move is not before:
            return HandoverAnswer(True, role.move.target.node, "")
        return HandoverAnswer(False, "", self._replica.state.last_change)

    async def switch_site(self, site: str) -> SwitchAnswer:
        """See `node.engine.Engine.switch_site`."""
        if not isinstance(self._replica.role, Leader):
            leader = self._replica.leader or "nobody known"
            return SwitchAnswer(False, "", f"this node does not lead; {leader} does")
        before = self._replica.role.move
        self._driver.feed(SwitchAsked(site))
        role = self._replica.role
        if isinstance(role, Leader) and role.move is not None and role.move is not before:
            return SwitchAnswer(True, role.move.target.node, "")
        reason = self._replica.state.last_change
        return SwitchAnswer(False, "", reason.removeprefix("switch: refused: "))

    async def fence(self, epoch: int) -> FenceAnswer:
        """See `node.engine.Engine.fence`."""
        if isinstance(self._replica.role, Silent):
            raise StorageDown(self._replica.role.reason, "")
        self._tickets += 1
        ticket = self._tickets
        answer: asyncio.Future[FenceAnswer] = asyncio.get_running_loop().create_future()
        self._fences[ticket] = answer
        answer.add_done_callback(lambda _: self._fences.pop(ticket, None))
        self._driver.feed(FenceAsked(ticket, epoch))
        return await answer

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """See `node.engine.Engine.audit`."""
        return await self._archive.audit(at_index, rederive)

    def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine.export`."""
        return self._archive.export(at_index)

    def since(self, after_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine.since`."""
        return self._archive.since(after_index)

    def status(self) -> NodeStatus:
        """See `node.engine.Engine.status`."""
        return self._picture.status(
            serving=self._serving and not self._no_quorum,
            reason=self._no_quorum or self._replica.state.last_change,
            settled=self._settled,
        )

    # -- what the driver tells ------------------------------------------------------------------

    def on_placed(self, placed: Placed) -> None:
        """See `node.driver.ports.Waiters`."""
        self._intake.on_placed(placed)

    def on_not_proposed(self, refused: NotProposed) -> None:
        """See `node.driver.ports.Waiters`."""
        self._intake.on_not_proposed(refused)

    def on_fenced(self, answer: Fenced) -> None:
        """See `node.driver.ports.Waiters`."""
        waiting = self._fences.get(answer.ticket)
        if waiting is None or waiting.done():
            return
        state = self._replica.state
        waiting.set_result(
            FenceAnswer(
                promised=isinstance(answer.promise, Promise),
                promised_epoch=state.promised,
                disk_id=state.me.disk,
                last_epoch=state.log.last_epoch,
                last_index=state.log.last_index,
                last_hash=state.log.last_hash,
                commit_index=state.commit,
            )
        )

    def on_read(self, answer: ReadReady | ReadRefused) -> None:
        """See `node.driver.ports.Waiters`."""
        waiting = self._reads.get(answer.read)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, ReadReady):
            waiting.set_result(None)
        else:
            waiting.set_exception(OutcomeUnknown(self.leader_endpoint()))

    def on_receipts(self, receipts: Sequence[tuple[int, tuple[Receipt, ...]]]) -> None:
        """See `node.driver.ports.Waiters`."""
        self._settled += sum(len(answers) for _, answers in receipts)
        self._intake.on_receipts(receipts)

    def on_abandon(self) -> None:
        """See `node.driver.ports.Waiters`."""
        self._serving = False
        self._intake.on_abandon()

    def on_step(self) -> None:
        """See `node.driver.ports.Waiters`."""
        replica = self._replica
        if isinstance(replica.role, Leader) and replica.role.move is not None:
            self._heir = replica.role.move.target.node
        elif replica.leader:
            self._heir = ""
        was_serving, self._serving = self._serving, replica.serving
        if self._serving and not was_serving:
            # What a snapshot brought was never in an entry seen here (C3).
            self._intake.last_stamp_ms = max(self._intake.last_stamp_ms, self._store.prune_stamp_ms)
            self.on_serving()
        if not self._serving:
            self._no_quorum = ""
            self._accepting = False
            return
        now = self._driver.now_ms()
        role = replica.role
        if isinstance(role, Leader) and now - self._quorum_checked_at >= QUORUM_CHECK_MS:
            self._quorum_checked_at = now
            self._no_quorum = role.missing_quorum(now)
        was_accepting, self._accepting = self._accepting, replica.accepting
        if self._accepting and not was_accepting:
            self._intake.propose_admitted()  # a move was called off: what it held back goes on
