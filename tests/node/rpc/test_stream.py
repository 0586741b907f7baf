"""The stream of a concentrator: replies as they come, refusals inside it, bounded both ways."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from node.engine import OutcomeUnknown, Overloaded
from node.ledger.commands import Command
from node.ledger.refusals import RefusalKind, refusal
from proto import settlement_pb2 as pb
from proto.settlement_pb2_grpc import SettlementStub
from tests.node.rpc.fake_engine import Answer, FakeEngine, approved
from tests.node.rpc.front import KEY, Tally, front, sale


def ask(request_id: int, **changes: object) -> pb.SettleStreamRequest:
    """A request of a stream; its STAN is its id."""
    return pb.SettleStreamRequest(
        request_id=request_id, request=sale(**{"stan": request_id, **changes})
    )


async def read_all(call: Any) -> list[pb.SettleStreamReply]:
    """Every reply until the server ends the stream."""
    replies = []
    while (reply := await call.read()) is not grpc.aio.EOF:
        replies.append(reply)
    return replies


async def test_every_request_is_answered_under_its_own_number() -> None:
    engine, tally = FakeEngine(), Tally()
    async with front(engine, tally) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        for request_id in range(1, 301):
            await call.write(ask(request_id))
        await call.done_writing()
        replies = await read_all(call)
        assert await call.code() == grpc.StatusCode.OK
    assert sorted(reply.request_id for reply in replies) == list(range(1, 301))
    for reply in replies:
        assert reply.reply.idempotency_key == f"T0001.20261123.{reply.request_id:06d}.0200"
    assert tally.settlements == {(1, pb.OUTCOME_APPROVED): 300}


async def test_a_slow_request_does_not_hold_up_the_others() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1))
        await engine.holds(1)
        slow = engine.waiting.pop()
        await call.write(ask(2))
        await engine.holds(1)
        engine.release()
        assert (await call.read()).request_id == 2
        engine.waiting.append(slow)
        engine.release()
        assert (await call.read()).request_id == 1


async def test_refused_requests_are_answered_in_the_stream_which_goes_on() -> None:
    def answer(command: Command) -> Answer:
        match command.stan:
            case 2:
                return refusal(RefusalKind.KEY_REUSED, "stan", "other content")
            case 3:
                return OutcomeUnknown("127.0.0.9:7102")
            case 4:
                return Overloaded(75)
            case _:
                return approved(command)

    async with front(FakeEngine(answer)) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1, amount_minor=0, currency="USD"))
        for request_id in (2, 3, 4, 5):
            await call.write(ask(request_id))
        await call.done_writing()
        replies = {reply.request_id: reply for reply in await read_all(call)}
        assert await call.code() == grpc.StatusCode.OK
    bad, reused, unknown, overloaded = (replies[number].problem for number in (1, 2, 3, 4))
    assert bad.grpc_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [problem.field for problem in bad.fields] == ["amount_minor", "currency"]
    assert (reused.grpc_code, reused.response_code) == (6, "12")
    assert unknown.retry_same_key
    assert (unknown.leader_endpoint, unknown.response_code) == ("127.0.0.9:7102", "68")
    assert (overloaded.grpc_code, overloaded.retry_after_ms) == (8, 75)
    assert replies[5].reply.outcome == pb.OUTCOME_APPROVED


async def test_what_is_under_way_is_bounded() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine, stream_requests=8) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)

        async def send() -> None:
            for request_id in range(1, 41):
                await call.write(ask(request_id))
            await call.done_writing()

        sending = asyncio.create_task(send())
        answered: list[int] = []
        while len(answered) < 40:
            await engine.holds(8)
            engine.release()
            answered += [(await call.read()).request_id for _ in range(8)]
        await sending
        assert await call.read() is grpc.aio.EOF
    assert engine.most_waiting == 8
    assert sorted(answered) == list(range(1, 41))


async def test_a_stream_that_breaks_cancels_what_the_engine_holds() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1))
        await call.write(ask(2))
        await engine.holds(2)
        futures = [future for _, future in engine.waiting]
        call.cancel()
        await asyncio.wait(futures)
    assert all(future.cancelled() for future in futures)


async def test_an_engine_that_drops_a_request_leaves_its_outcome_unknown() -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1))
        await engine.holds(1)
        engine.waiting[0][1].cancel()
        reply = await call.read()
    assert reply.request_id == 1
    assert reply.problem.retry_same_key
    assert reply.problem.response_code == "68"


async def test_a_failure_nobody_foresaw_is_answered_too(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine(hold=True)
    async with front(engine) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1))
        await engine.holds(1)
        engine.waiting.pop()[1].set_exception(ZeroDivisionError("a bug"))
        reply = await call.read()
    assert reply.problem.retry_same_key
    assert "a bug" not in reply.problem.message
    assert "nobody foresaw" in caplog.text


async def test_bytes_that_are_no_message_end_the_stream_as_bad_input() -> None:
    engine = FakeEngine()
    async with front(engine) as channel:
        raw: Any = channel.stream_stream("/kessai.settlement.v1.Settlement/SettleStream")
        call = raw(timeout=10)
        await call.write(b"\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert engine.asked == []


async def test_an_empty_stream_ends_well() -> None:
    async with front(FakeEngine()) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.done_writing()
        assert await read_all(call) == []
        assert await call.code() == grpc.StatusCode.OK


async def test_the_key_of_a_streamed_request_is_the_unary_ones() -> None:
    async with front(FakeEngine()) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(42))
        assert (await call.read()).reply.idempotency_key == KEY


async def test_a_service_that_is_not_offered_is_refused_inside_the_stream() -> None:
    def answer(command: Command) -> Answer:
        return refusal(RefusalKind.SERVICE_NOT_OFFERED, "", "take cash")

    async with front(FakeEngine(answer)) as channel:
        call = SettlementStub(channel).SettleStream(timeout=10)
        await call.write(ask(1))
        await call.done_writing()
        (reply,) = await read_all(call)
    assert reply.problem.grpc_code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert (reply.problem.message, reply.problem.response_code) == ("take cash", "91")
    assert not reply.problem.retry_same_key
