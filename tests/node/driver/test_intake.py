"""The intake: batches, repeats (C1), and what a lost leadership may say (T9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from node.core.outputs import NotProposed as CoreNotProposed
from node.core.outputs import Placed
from node.driver.intake import PACED_FROM, Intake
from node.engine import NotProposed, OutcomeUnknown, Overloaded, StorageDown
from node.ledger.commands import (
    Command,
    Outcome,
    Receipt,
    Service,
    State,
    Type,
    decode_batch,
    fingerprint,
    idempotency_key,
)
from node.ledger.refusals import Refusal, RefusalKind, refusal


def sale(stan: int, amount: int = 1000) -> Command:
    """A plain credit sale of terminal T1."""
    return Command(
        key=idempotency_key("T1", 20261123, stan, Type.SALE),
        fingerprint=fingerprint(stan, amount),
        merchant="M1",
        terminal="T1",
        service=Service.CREDIT,
        brand="VISA",
        type=Type.SALE,
        amount_minor=amount,
        currency="JPY",
        business_date=20261123,
        stan=stan,
    )


def receipt(command: Command, index: int, stamp_ms: int = 1) -> Receipt:
    """An approval of `command` at `index`."""
    return Receipt(
        key=command.key,
        fingerprint=command.fingerprint,
        outcome=Outcome.APPROVED,
        response_code="00",
        rrn="r",
        approval_code="a",
        state=State.CAPTURED,
        balance_minor=None,
        settled_at_ms=stamp_ms,
        index=index,
        reason="",
    )


class Bench:
    """An intake with hands on everything around it."""

    def __init__(
        self,
        *,
        waiting_commands: int = 100,
        batches_under_way: int = 1,
        batch_interval_ms: float = 0.0,
    ) -> None:
        self.proposed: list[tuple[int, bytes]] = []
        self.accepting = True
        self.clock_ms = 1000
        self.ledger: dict[str, Receipt | Refusal] = {}
        self.broken: Exception | None = None
        self.proofs: list[asyncio.Future[None]] = []
        self.intake = Intake(
            loop=asyncio.get_running_loop(),
            admit=self._admit,
            propose=lambda ticket, payload: self.proposed.append((ticket, payload)),
            may_propose=lambda: self.accepting,
            prove=self._prove,
            leader_endpoint=lambda: "127.0.0.1:7102",
            clock_ms=lambda: self.clock_ms,
            waiting_commands=waiting_commands,
            batch_commands=64,
            batches_under_way=batches_under_way,
            batch_interval_ms=batch_interval_ms,
        )

    def _admit(self, commands: Sequence[Command]) -> list[Receipt | Refusal | None]:
        if self.broken is not None:
            raise self.broken
        return [self.ledger.get(command.key) for command in commands]

    def _prove(self) -> asyncio.Future[None]:
        self.proofs.append(asyncio.get_running_loop().create_future())
        return self.proofs[-1]

    async def turn(self) -> None:
        """Let everything that is due on the loop happen."""
        for _ in range(5):
            await asyncio.sleep(0)

    def keys(self, position: int) -> list[str]:
        """The keys in the proposal at `position`."""
        return [command.key for command in decode_batch(self.proposed[position][1]).commands]


async def test_what_arrives_together_travels_together_and_the_next_batch_forms_meanwhile() -> None:
    bench = Bench()
    first = [bench.intake.submit(sale(stan)) for stan in (1, 2, 3)]
    await bench.turn()
    later = [bench.intake.submit(sale(stan)) for stan in (4, 5)]
    await bench.turn()
    assert len(bench.proposed) == 1
    assert len(bench.keys(0)) == 3

    bench.intake.on_placed(Placed(bench.proposed[0][0], index=7, epoch=3))
    bench.intake.on_receipts([(7, tuple(receipt(sale(s), 7) for s in (1, 2, 3)))])
    await bench.turn()
    assert [future.result().key for future in first] == [sale(s).key for s in (1, 2, 3)]  # type: ignore[union-attr]
    assert len(bench.keys(1)) == 2
    assert not any(future.done() for future in later)


async def test_C1_a_repeat_of_what_is_not_committed_waits_for_that_commit() -> None:
    bench = Bench()
    first = bench.intake.submit(sale(1))
    await bench.turn()
    repeat = bench.intake.submit(sale(1))
    await bench.turn()
    assert len(bench.proposed) == 1, "a repeat is not proposed a second time"
    assert not repeat.done(), "nor answered from what only the leader has"

    bench.intake.on_placed(Placed(bench.proposed[0][0], index=2, epoch=3))
    await bench.turn()
    assert not repeat.done(), "placed is not committed"
    bench.intake.on_receipts([(2, (receipt(sale(1), 2),))])
    original, again = first.result(), repeat.result()
    assert isinstance(original, Receipt)
    assert isinstance(again, Receipt)
    assert not original.replayed
    assert again.replayed
    assert again.rrn == original.rrn


async def test_C1_a_key_under_way_with_other_content_is_refused() -> None:
    bench = Bench()
    bench.intake.submit(sale(1, amount=1000))
    other = bench.intake.submit(sale(1, amount=2000)).result()
    assert isinstance(other, Refusal)
    assert other.kind is RefusalKind.KEY_REUSED


async def test_C1_a_committed_key_is_answered_from_the_ledger_and_never_proposed() -> None:
    bench = Bench()
    bench.ledger[sale(1).key] = receipt(sale(1), 5)
    again = bench.intake.submit(sale(1))
    await bench.turn()
    assert again.result() == bench.ledger[sale(1).key]
    assert bench.proposed == []


async def test_R1_a_refusal_waits_for_the_proof_that_this_node_still_leads() -> None:
    bench = Bench()
    told = refusal(RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "no such transaction")
    bench.ledger[sale(1).key] = told
    refused = bench.intake.submit(sale(1))
    await bench.turn()
    assert not refused.done(), "a fenced leader's ledger may be behind"
    bench.proofs[0].set_result(None)
    await bench.turn()
    assert refused.result() == told
    assert bench.proposed == []
    assert len(bench.intake) == 0


async def test_R1_without_the_proof_a_refusal_is_not_told() -> None:
    bench = Bench()
    bench.ledger[sale(1).key] = refusal(RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "no such")
    refused = bench.intake.submit(sale(1))
    await bench.turn()
    bench.proofs[0].set_exception(OutcomeUnknown(""))
    await bench.turn()
    with pytest.raises(NotProposed):
        refused.result()


async def test_T9_placed_is_unknown_and_the_rest_was_never_proposed() -> None:
    bench = Bench()
    placed = bench.intake.submit(sale(1))
    repeat = bench.intake.submit(sale(1))
    await bench.turn()
    bench.intake.on_placed(Placed(bench.proposed[0][0], index=2, epoch=3))
    waiting = bench.intake.submit(sale(2))
    bench.accepting = False
    bench.intake.on_abandon()
    with pytest.raises(OutcomeUnknown, match="while the request was being settled"):
        placed.result()
    with pytest.raises(OutcomeUnknown):
        repeat.result()
    with pytest.raises(NotProposed) as refused:
        waiting.result()
    assert refused.value.leader_endpoint == "127.0.0.1:7102"

    # What the entry became is for another leadership to say: this one is not answered twice.
    bench.intake.on_receipts([(2, (receipt(sale(1), 2),))])
    assert len(bench.intake) == 0


async def test_T9_a_batch_that_the_core_refuses_was_never_proposed() -> None:
    bench = Bench()
    future = bench.intake.submit(sale(1))
    await bench.turn()
    bench.intake.on_not_proposed(CoreNotProposed(bench.proposed[0][0], "a2"))
    with pytest.raises(NotProposed):
        future.result()


async def test_H1_while_handing_over_commands_wait_and_go_on_when_it_is_given_up() -> None:
    bench = Bench()
    bench.accepting = False
    future = bench.intake.submit(sale(1))
    await bench.turn()
    assert bench.proposed == []
    assert not future.done()
    bench.accepting = True
    bench.intake.propose_admitted()
    await bench.turn()
    assert len(bench.proposed) == 1


async def test_under_load_the_next_batch_waits_its_interval_and_alone_a_command_does_not() -> None:
    bench = Bench(batches_under_way=5, batch_interval_ms=5.0)
    for stan in range(1, PACED_FROM + 1):
        bench.intake.submit(sale(stan))
    await bench.turn()
    bench.intake.submit(sale(100))
    await bench.turn()
    assert len(bench.proposed) == 1, "so many at once say that more are coming"
    bench.intake.submit(sale(101))
    await asyncio.sleep(0.05)
    assert bench.keys(1) == [sale(100).key, sale(101).key]
    bench.intake.submit(sale(102))
    await asyncio.sleep(0.05)
    for stan in (103, 104):
        bench.intake.submit(sale(stan))
        await bench.turn()
    assert len(bench.proposed) == 5, "after a batch of one nothing waits"


async def test_a_command_whose_caller_has_gone_is_not_proposed() -> None:
    bench = Bench()
    gone, stays = bench.intake.submit(sale(1)), bench.intake.submit(sale(2))
    gone.cancel()
    await bench.turn()
    assert bench.keys(0) == [sale(2).key]
    assert not stays.done()


async def test_over_the_bound_a_command_is_refused_at_once() -> None:
    bench = Bench(waiting_commands=2)
    bench.accepting = False
    bench.intake.submit(sale(1))
    bench.intake.submit(sale(2))
    with pytest.raises(Overloaded):
        bench.intake.submit(sale(3))


async def test_C3_the_stamp_never_goes_back_when_the_clock_does() -> None:
    bench = Bench(batches_under_way=4)
    bench.intake.submit(sale(1))
    await bench.turn()
    bench.clock_ms = 400
    bench.intake.submit(sale(2))
    await bench.turn()
    bench.intake.on_receipts([(9, (receipt(sale(9), 9, stamp_ms=5000),))])
    bench.intake.submit(sale(3))
    await bench.turn()
    stamps = [decode_batch(payload).stamp_ms for _, payload in bench.proposed]
    assert stamps == [1000, 1000, 5000]


async def test_a_ledger_that_cannot_be_read_is_told_and_blocks_nobody_after() -> None:
    bench = Bench()
    bench.broken = OSError("disk")
    future = bench.intake.submit(sale(1))
    await bench.turn()
    with pytest.raises(StorageDown, match="disk"):
        future.result()
    bench.broken = None
    bench.intake.submit(sale(1))
    await bench.turn()
    assert len(bench.proposed) == 1
