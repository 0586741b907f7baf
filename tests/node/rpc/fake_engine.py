"""An engine for tests of the front: it does what the test says and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from node.engine import (
    AuditReport,
    Current,
    EngineError,
    FenceAnswer,
    HandoverAnswer,
    Interim,
    NodeStatus,
    SwitchAnswer,
)
from node.ledger.commands import Command, Outcome, Receipt, ServiceTotal, State
from node.ledger.queries import Inquiry
from node.ledger.refusals import Refusal

Answer = Receipt | Refusal | EngineError


def approved(command: Command, *, index: int = 7) -> Receipt:
    """The receipt an approving ledger gives."""
    return Receipt(
        key=command.key,
        fingerprint=command.fingerprint,
        outcome=Outcome.APPROVED,
        response_code="00",
        rrn="632700000007",
        approval_code="A1B2C3",
        state=State.CAPTURED,
        balance_minor=None,
        settled_at_ms=1_795_400_000_000,
        index=index,
        reason="",
    )


@dataclass
class FakeEngine:
    """`answer` decides each command; with `hold` set, nothing is answered before `release`."""

    answer: Callable[[Command], Answer] = approved
    hold: bool = False
    raise_at_once: EngineError | None = None
    inquiry: Inquiry | None = None
    read_error: EngineError | None = None
    totals: tuple[ServiceTotal, ...] = ()
    picture: NodeStatus = field(default_factory=lambda: NodeStatus("n1", serving=True))
    handed_to: list[str] = field(default_factory=list)
    switched_to: list[str] = field(default_factory=list)
    promised: int = 7
    asked: list[Command] = field(default_factory=list)
    reads: list[tuple[str, int] | str] = field(default_factory=list)
    waiting: list[tuple[Command, asyncio.Future[Receipt | Refusal]]] = field(default_factory=list)
    most_waiting: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def submit(self, command: Command) -> asyncio.Future[Receipt | Refusal]:
        """See `node.engine.Engine`."""
        self.asked.append(command)
        if self.raise_at_once is not None:
            raise self.raise_at_once
        future: asyncio.Future[Receipt | Refusal] = asyncio.get_running_loop().create_future()
        self.waiting.append((command, future))
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        self.came.set()
        if not self.hold:
            asyncio.get_running_loop().call_soon(self.release)
        return future

    async def holds(self, many: int) -> None:
        """Return once so many commands wait for an answer."""
        while len(self.waiting) < many:
            self.came.clear()
            await self.came.wait()

    def release(self) -> None:
        """Answer everything that waits, in one burst."""
        waiting, self.waiting = self.waiting, []
        for command, future in waiting:
            if future.cancelled():
                continue
            answer = self.answer(command)
            if isinstance(answer, EngineError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def inquire(self, key: str) -> Current:
        """See `node.engine.Engine`."""
        self.reads.append(key)
        if self.read_error is not None:
            raise self.read_error
        return Current(self.inquiry, 41)

    async def interim(self, terminal: str, service: int) -> Interim:
        """See `node.engine.Engine`."""
        self.reads.append((terminal, service))
        if self.read_error is not None:
            raise self.read_error
        return Interim(self.totals, 42, 1_795_400_000_123)

    def status(self) -> NodeStatus:
        """See `node.engine.Engine`."""
        return self.picture

    async def handover(self, target: str) -> HandoverAnswer:
        """See `node.engine.Engine`."""
        self.handed_to.append(target)
        return HandoverAnswer(True, target or "n2", "")

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """See `node.engine.Engine`."""
        if self.read_error is not None:
            raise self.read_error
        return AuditReport("n1", at_index, b"\1" * 32, b"\2" * 32, "{}", 3, rederive, "", 0)

    async def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine`."""
        yield ['{"a":1}', '{"b":2}']
        if self.read_error is not None:
            raise self.read_error
        yield ['{"c":3}']

    async def switch_site(self, site: str) -> SwitchAnswer:
        """See `node.engine.Engine`."""
        if self.read_error is not None:
            raise self.read_error
        self.switched_to.append(site)
        return SwitchAnswer(True, f"{site}1", "")

    async def fence(self, epoch: int) -> FenceAnswer:
        """See `node.engine.Engine`."""
        if self.read_error is not None:
            raise self.read_error
        promised = epoch > self.promised
        self.promised = max(epoch, self.promised)
        return FenceAnswer(promised, self.promised, "d1", 6, 41, b"\3" * 32, 40)

    async def since(self, after_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine`."""
        yield [f'{{"index":{after_index + 1}}}', f'{{"index":{after_index + 2}}}']
        if self.read_error is not None:
            raise self.read_error
        yield [f'{{"index":{after_index + 3}}}']
