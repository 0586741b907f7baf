"""A node's front alone: the real service over an engine that approves everything, in bursts.

`python -m loadtest.bench.front HOST:PORT BURST_MS` shows what checking, translating and answering
cost, without log, disk or peers: the share of the front in whatever the whole node costs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from itertools import count

from loadtest.bench.echo import run, serve
from node.engine import (
    AuditReport,
    Current,
    FenceAnswer,
    HandoverAnswer,
    Interim,
    NodeStatus,
    SwitchAnswer,
)
from node.ledger.commands import Command, Outcome, Receipt, State
from node.ledger.refusals import Refusal
from node.metrics import Metrics
from node.rpc.settlement import SettlementService


class BurstEngine:
    """Approves what is submitted, all that waited at once, every `burst_ms` milliseconds.

    0 answers each in the next turn of the loop.
    """

    def __init__(self, burst_ms: float) -> None:
        self._burst_s = burst_ms / 1000.0
        self._waiting: list[tuple[Command, asyncio.Future[Receipt | Refusal]]] = []
        self._index = count(1)

    def submit(self, command: Command) -> asyncio.Future[Receipt | Refusal]:
        """Wait for the next burst."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt | Refusal] = loop.create_future()
        if not self._waiting:
            loop.call_later(self._burst_s, self._answer)
        self._waiting.append((command, answer))
        return answer

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        index = next(self._index)
        for command, answer in waiting:
            if not answer.cancelled():
                answer.set_result(_approve(command, index))

    async def inquire(self, key: str) -> Current:
        """Knows nothing."""
        return Current(None, 0)

    async def interim(self, terminal: str, service: int) -> Interim:
        """Knows nothing."""
        return Interim((), 0, 0)

    def status(self) -> NodeStatus:
        """A node that serves."""
        return NodeStatus("front", role="leader", serving=True)

    async def handover(self, target: str) -> HandoverAnswer:
        """Never."""
        return HandoverAnswer(False, target, "there is only a front")

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """An empty report."""
        return AuditReport("front", 0, b"", b"", "{}", 0, False, "", 0)

    async def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """Nothing."""
        nothing: list[list[str]] = []
        for lines in nothing:
            yield lines

    async def switch_site(self, site: str) -> SwitchAnswer:
        """Never."""
        return SwitchAnswer(False, site, "there is only a front")

    async def fence(self, epoch: int) -> FenceAnswer:
        """Vows nothing."""
        return FenceAnswer(False, 0, "", 0, 0, b"", 0)

    def since(self, after_index: int) -> AsyncIterator[list[str]]:
        """Nothing."""
        return self.export(after_index)


def _approve(command: Command, index: int) -> Receipt:
    return Receipt(
        key=command.key,
        fingerprint=command.fingerprint,
        outcome=Outcome.APPROVED,
        response_code="00",
        rrn="632700000001",
        approval_code="A1B2C3",
        state=State.CAPTURED,
        balance_minor=None,
        settled_at_ms=1_795_400_000_000,
        index=index,
        reason="",
    )


async def main(address: str, burst_ms: float) -> None:
    """Serve the front until a signal."""
    engine = BurstEngine(burst_ms)
    service = SettlementService(engine, Metrics(engine.status, lambda: (0, 0.0)))
    await serve(service.handler(), address)


if __name__ == "__main__":
    run(lambda: main(sys.argv[1], float(sys.argv[2])))
