"""Unary calls: each outcome's status, details and advice, and what the engine was asked."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn, cast

import grpc
import grpc.aio
import pytest

from node.engine import (
    EngineError,
    Interim,
    NodeStatus,
    NoQuorum,
    NotLeader,
    NotProposed,
    OutcomeUnknown,
    Overloaded,
    StorageDown,
)
from node.ledger.commands import Command, Outcome, Receipt, ServiceTotal, State
from node.ledger.queries import Inquiry
from node.ledger.refusals import RefusalKind, refusal
from node.rpc.settlement import SettlementService
from proto import settlement_pb2 as pb
from proto.settlement_pb2_grpc import SettlementStub
from tests.node.rpc.fake_engine import FakeEngine, approved
from tests.node.rpc.front import KEY, Refused, Tally, front, read_refusal, sale


async def refusal_of(engine: FakeEngine, request: pb.SettleRequest) -> Refused:
    """What a Settle that must be refused carries."""
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Settle(request, timeout=5)
    return read_refusal(refused.value)


async def test_an_approval_carries_the_whole_receipt() -> None:
    engine, tally = FakeEngine(), Tally()
    async with front(engine, tally) as channel:
        reply = await SettlementStub(channel).Settle(sale(), timeout=5)
    assert reply == pb.SettleReply(
        idempotency_key=KEY,
        outcome=pb.OUTCOME_APPROVED,
        response_code="00",
        rrn="632700000007",
        approval_code="A1B2C3",
        state=pb.TRANSACTION_STATE_CAPTURED,
        settled_at_ms=1_795_400_000_000,
        index=7,
    )
    assert not reply.HasField("balance_minor")
    assert tally.settlements == {(pb.SERVICE_CREDIT, pb.OUTCOME_APPROVED): 1}


async def test_the_command_says_what_the_request_said() -> None:
    engine = FakeEngine()
    request = sale(
        service=pb.SERVICE_DCC,
        memo="棚卸し",
        dcc=pb.DccOffer(card_amount_minor=800, card_currency="USD", rate="0.0066667"),
    )
    async with front(engine) as channel:
        await SettlementStub(channel).Settle(request, timeout=5)
    (command,) = engine.asked
    assert (command.key, command.merchant, command.terminal) == (KEY, "M0001", "T0001")
    assert (command.service, command.type, command.amount_minor) == (7, 3, 1200)
    assert command.dcc is not None
    assert (command.dcc.card_amount_minor, command.dcc.card_currency) == (800, "USD")
    assert (command.card_token, command.card_last4, command.memo) == ("tok-3f9a", "4242", "棚卸し")


async def test_a_decline_is_an_answer_with_its_balance_and_reason() -> None:
    def decline(command: Command) -> Receipt:
        return Receipt(
            command.key,
            command.fingerprint,
            Outcome.DECLINED,
            "51",
            "632700000008",
            "",
            State.DECLINED,
            0,
            1,
            8,
            "not enough funds",
        )

    async with front(FakeEngine(decline)) as channel:
        reply = await SettlementStub(channel).Settle(sale(), timeout=5)
    assert (reply.outcome, reply.response_code) == (pb.OUTCOME_DECLINED, "51")
    assert reply.HasField("balance_minor")
    assert reply.balance_minor == 0
    assert reply.reason == "not enough funds"


async def test_a_refused_key_reuse_is_already_exists_and_names_the_field() -> None:
    refused = await refusal_of(
        FakeEngine(lambda command: refusal(RefusalKind.KEY_REUSED, "stan", "other content")), sale()
    )
    assert refused.code == grpc.StatusCode.ALREADY_EXISTS
    assert refused.fields == {"stan": "other content"}
    assert refused.advice.response_code == "12"
    assert not refused.advice.retry_same_key
    assert refused.reason == "KEY_REUSED"


async def test_an_unknown_original_is_not_found() -> None:
    refused = await refusal_of(
        FakeEngine(
            lambda command: refusal(RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "no such one")
        ),
        sale(type=pb.TRANSACTION_TYPE_VOID, original_key="T0001.20261123.000041.0200"),
    )
    assert refused.code == grpc.StatusCode.NOT_FOUND
    assert refused.fields == {"original_key": "no such one"}
    assert refused.advice.response_code == "25"


async def test_a_refund_above_what_is_left_is_bad_input_naming_the_amount() -> None:
    refused = await refusal_of(
        FakeEngine(
            lambda command: refusal(RefusalKind.EXCEEDS_REMAINING, "amount_minor", "200 are left")
        ),
        sale(type=pb.TRANSACTION_TYPE_REFUND, original_key="T0001.20261123.000041.0200"),
    )
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == {"amount_minor": "200 are left"}
    assert refused.advice.response_code == "30"


LEADER = "127.0.0.9:7102"
DOWN, FULL = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED

# The error; its status, reason, leader's endpoint, field 39, is the outcome unknown, wait in ms.
ENGINE_ERRORS: list[tuple[EngineError, grpc.StatusCode, str, str, str, bool, int | None]] = [
    (NotLeader(LEADER), DOWN, "NOT_LEADER", LEADER, "", False, None),
    (NotLeader(), DOWN, "NOT_LEADER", "", "", False, 100),
    (NotProposed(LEADER), DOWN, "NOT_PROPOSED", LEADER, "", False, None),
    (OutcomeUnknown(LEADER), DOWN, "OUTCOME_UNKNOWN", LEADER, "68", True, None),
    (NoQuorum("one of three answers", 200), DOWN, "NO_QUORUM", "", "91", False, 200),
    (Overloaded(75), FULL, "OVERLOADED", "", "91", False, 75),
    (StorageDown("the disk is full", LEADER), DOWN, "STORAGE_DOWN", LEADER, "91", False, None),
]


@pytest.mark.parametrize("at_once", [True, False], ids=["raised", "in the future"])
@pytest.mark.parametrize(
    ("error", "code", "reason", "endpoint", "response_code", "unknown", "wait_ms"), ENGINE_ERRORS
)
async def test_what_the_engine_cannot_answer_says_to_repeat_the_same_key(
    error: EngineError,
    code: grpc.StatusCode,
    reason: str,
    endpoint: str,
    response_code: str,
    unknown: bool,
    wait_ms: int | None,
    at_once: bool,
) -> None:
    engine = FakeEngine(raise_at_once=error) if at_once else FakeEngine(lambda command: error)
    refused = await refusal_of(engine, sale())
    assert (refused.code, refused.reason) == (code, reason)
    assert refused.advice.retry_same_key
    assert refused.advice.leader_endpoint == endpoint
    assert refused.advice.outcome_unknown is unknown
    assert refused.advice.response_code == response_code
    assert refused.retry_after_ms == wait_ms


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            NotLeader("127.0.0.1:7112"),
            "this node does not lead; nothing was settled: ask again with the same key, "
            "at 127.0.0.1:7112",
        ),
        (
            NotLeader(),
            "this node does not lead; nothing was settled: ask again with the same key, "
            "at any node: no leader is known yet",
        ),
        (
            NotProposed("127.0.0.1:7112"),
            "the leader changed before the request was proposed; nothing was settled: ask again "
            "with the same key, at 127.0.0.1:7112",
        ),
        (
            NoQuorum("copies would be 1, copies_min is 2: in sync a {a1}, b {}"),
            "copies would be 1, copies_min is 2: in sync a {a1}, b {}; nothing was settled: ask "
            "again with the same key",
        ),
        (
            OutcomeUnknown("127.0.0.1:7112"),
            "the leader changed while the request was being settled: ask again with the same key, "
            "never a new one",
        ),
    ],
)
async def test_what_was_not_settled_says_so_and_what_to_do(
    error: EngineError, message: str
) -> None:
    assert (await refusal_of(FakeEngine(lambda command: error), sale())).message == message


async def test_a_failure_nobody_foresaw_is_an_unknown_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def break_down(command: Command) -> Receipt:
        raise ZeroDivisionError

    class Broken(FakeEngine):
        def release(self) -> None:
            waiting, self.waiting = self.waiting, []
            for _, future in waiting:
                future.set_exception(ZeroDivisionError("a bug"))

    refused = await refusal_of(Broken(break_down), sale())
    assert refused.code == grpc.StatusCode.UNAVAILABLE
    assert refused.advice.outcome_unknown
    assert "a bug" not in refused.message
    assert "nobody foresaw" in caplog.text


async def test_an_engine_that_drops_a_request_leaves_its_outcome_unknown() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).Settle(sale(), timeout=5)
        await engine.holds(1)
        engine.waiting[0][1].cancel()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
    assert read_refusal(refused.value).reason == "OUTCOME_UNKNOWN"


async def test_a_deadline_that_passes_cancels_what_the_engine_holds() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Settle(sale(), timeout=0.05)
        assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        ((_, future),) = engine.waiting
        await asyncio.wait([future])
        assert future.cancelled()


async def test_a_caller_that_goes_away_cancels_what_the_engine_holds() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).Settle(sale(), timeout=5)
        await engine.holds(1)
        call.cancel()
        ((_, future),) = engine.waiting
        await asyncio.wait([future])
        assert future.cancelled()


async def test_many_calls_answered_in_one_burst_each_get_their_own_reply() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        settle = SettlementStub(channel).Settle
        calls = [settle(sale(stan=stan), timeout=5) for stan in range(1, 65)]
        await engine.holds(64)
        engine.release()
        replies = await asyncio.gather(*calls)
    assert [reply.idempotency_key for reply in replies] == [
        f"T0001.20261123.{stan:06d}.0200" for stan in range(1, 65)
    ]


async def test_where_a_leader_is_not_interim_totals_are_answered_all_the_same() -> None:
    engine = FakeEngine(
        raise_at_once=NotLeader(LEADER),
        picture=NodeStatus("b2", site="b", role="follower", leader_endpoint=LEADER),
        totals=(ServiceTotal(1, 1, 1200, 0, 0),),
    )
    async with front(engine) as channel:
        stub = SettlementStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Settle(sale(), timeout=5)
        reply = await stub.Interim(
            pb.InterimRequest(merchant_id="M0001", terminal_id="T0001"), timeout=5
        )
    assert reply.totals[0].captured_minor == 1200
    assert (reply.commit_index, reply.as_of_ms) == (42, 1_795_400_000_123)


async def test_interim_totals_that_cannot_be_read_send_elsewhere() -> None:
    engine = FakeEngine(read_error=StorageDown("the disk is gone", LEADER))
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Interim(
                pb.InterimRequest(merchant_id="M0001", terminal_id="T0001"), timeout=5
            )
    assert read_refusal(refused.value).reason == "STORAGE_DOWN"
    assert read_refusal(refused.value).advice.leader_endpoint == LEADER


async def test_a_read_that_fails_unforeseen_says_so_without_the_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeEngine):
        async def interim(self, terminal: str, service: int) -> Interim:
            raise ZeroDivisionError("a bug")

    async with front(Broken()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Interim(
                pb.InterimRequest(merchant_id="M0001", terminal_id="T0001"), timeout=5
            )
    assert read_refusal(refused.value).reason == "UNFORESEEN"
    assert "a bug" not in (refused.value.details() or "")
    assert "reading failed" in caplog.text


async def test_inquire_tells_the_first_answer_and_where_it_stands_now() -> None:
    request = sale()
    engine = FakeEngine()
    async with front(engine) as channel:
        stub = SettlementStub(channel)
        first = await stub.Settle(request, timeout=5)
        engine.inquiry = Inquiry(approved(engine.asked[0]), State.REFUNDED, 1200, 300)
        reply = await stub.Inquire(pb.InquireRequest(idempotency_key=KEY), timeout=5)
    assert reply.found
    assert reply.reply == first
    assert reply.state_now == pb.TRANSACTION_STATE_REFUNDED
    assert (reply.captured_minor, reply.refunded_minor, reply.commit_index) == (1200, 300, 41)
    assert engine.reads == [KEY]


async def test_inquire_of_an_unknown_key_is_an_answer() -> None:
    async with front(FakeEngine()) as channel:
        reply = await SettlementStub(channel).Inquire(
            pb.InquireRequest(idempotency_key=KEY), timeout=5
        )
    assert reply == pb.InquireReply(found=False, commit_index=41)


async def test_inquire_where_nobody_leads_is_unavailable() -> None:
    engine = FakeEngine(read_error=NotLeader(LEADER))
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Inquire(pb.InquireRequest(idempotency_key=KEY), timeout=5)
    assert read_refusal(refused.value).advice.leader_endpoint == LEADER


async def test_a_close_is_a_command_with_the_terminals_totals() -> None:
    centre = ServiceTotal(1, 3, 3600, 0, 100)

    def mismatch(command: Command) -> Receipt:
        return Receipt(
            command.key,
            command.fingerprint,
            Outcome.MISMATCH,
            "95",
            "632700000009",
            "",
            State.DONE,
            None,
            1,
            9,
            "",
            totals=(centre,),
            expected=command.expected or (),
        )

    engine = FakeEngine(mismatch)
    request = pb.CloseRequest(
        merchant_id="M0001",
        terminal_id="T0001",
        business_date=20261123,
        stan=900,
        service=pb.SERVICE_CREDIT,
        expected=[pb.ServiceTotal(service=pb.SERVICE_CREDIT, count=2, captured_minor=2400)],
    )
    async with front(engine) as channel:
        reply = await SettlementStub(channel).Close(request, timeout=5)
    assert engine.asked[0].key == "T0001.20261123.000900.0500"
    assert engine.asked[0].expected == (ServiceTotal(1, 2, 2400, 0, 0),)
    assert reply.reply.outcome == pb.OUTCOME_MISMATCH
    assert reply.totals[0].captured_minor == 3600
    assert reply.totals[0].refunded_minor == 100
    assert reply.expected[0].captured_minor == 2400


async def test_a_close_without_totals_expects_none() -> None:
    engine = FakeEngine()
    request = pb.CloseRequest(
        merchant_id="M0001", terminal_id="T0001", business_date=20261123, stan=901
    )
    async with front(engine) as channel:
        await SettlementStub(channel).Close(request, timeout=5)
    assert engine.asked[0].expected is None
    assert engine.asked[0].service == 0


async def test_interim_carries_totals_index_and_time() -> None:
    engine = FakeEngine(totals=(ServiceTotal(4, 2, 900, 0, 0),))
    async with front(engine) as channel:
        reply = await SettlementStub(channel).Interim(
            pb.InterimRequest(merchant_id="M0001", terminal_id="T0001", service=pb.SERVICE_E_MONEY),
            timeout=5,
        )
    assert reply.totals[0].captured_minor == 900
    assert (reply.commit_index, reply.as_of_ms) == (42, 1_795_400_000_123)
    assert engine.reads == [("T0001", 4)]


async def test_a_message_over_the_size_bound_is_refused_before_it_is_read() -> None:
    engine = FakeEngine()
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SettlementStub(channel).Settle(sale(memo="x" * 70_000), timeout=5)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert engine.asked == []


async def test_refusals_are_counted_by_reason() -> None:
    tally = Tally()
    engine = FakeEngine(raise_at_once=Overloaded(), picture=NodeStatus("n1"))
    async with front(engine, tally) as channel:
        for request in (sale(), sale(), sale(amount_minor=0)):
            with pytest.raises(grpc.aio.AioRpcError):
                await SettlementStub(channel).Settle(request, timeout=5)
    assert tally.refusals == {"OVERLOADED": 2, "BAD_INPUT": 1}
    assert not tally.settlements


class LateContext:
    """A call whose deadline passed while it waited to be looked at."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None

    def time_remaining(self) -> float:
        """Nothing is left."""
        return 0.0

    async def abort(self, code: grpc.StatusCode, details: str, trailing: object) -> NoReturn:
        """See `grpc.aio.ServicerContext.abort`."""
        self.code = code
        raise grpc.aio.AbortError(details)


async def test_what_is_known_to_be_too_late_never_reaches_the_engine() -> None:
    engine, context = FakeEngine(), LateContext()
    with pytest.raises(grpc.aio.AbortError):
        await SettlementService(engine, Tally()).settle(sale(), cast(Any, context))
    assert context.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert engine.asked == []


async def test_a_service_that_is_not_offered_is_a_failed_precondition_with_its_facts() -> None:
    facts = (("service", "E_MONEY"), ("fallback_ja", "現金でお取り扱いください"))
    refused = await refusal_of(
        FakeEngine(
            lambda command: refusal(
                RefusalKind.SERVICE_NOT_OFFERED, "", "現金でお取り扱いください", facts
            )
        ),
        sale(),
    )
    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "SERVICE_NOT_OFFERED"
    assert refused.message == "現金でお取り扱いください"
    assert refused.facts == dict(facts)
    assert refused.fields == {}
    assert refused.advice.response_code == "91"
    assert not refused.advice.retry_same_key
    assert refused.retry_after_ms is None
