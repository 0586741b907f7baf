"""Anything at all, sent to the service: always a defined answer, and only valid commands pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.ledger.card_numbers import holds_card_number
from node.ledger.commands import Command, Type
from node.ledger.services import allowed
from proto import settlement_pb2 as pb
from tests.node.rpc.fake_engine import FakeEngine
from tests.node.rpc.front import front

SERVICE = "/kessai.settlement.v1.Settlement"
DEFINED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

texts = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["", "JPY", "USD", "M0001", "T0001", "tok-1", "4242", "4539578763621486"]),
    st.sampled_from(["T0001.20261123.000042.0200", "0.0067", "VISA", "1" * 9_000]),
)
int64s = st.integers(-(2**63), 2**63 - 1)
amounts = st.one_of(st.integers(-2, 5000), int64s)
uint32s = st.integers(0, 2**32 - 1)
enums = st.one_of(st.integers(0, 21), st.integers(-(2**31), 2**31 - 1))
offers = st.builds(pb.DccOffer, card_amount_minor=amounts, card_currency=texts, rate=texts)
settles = st.builds(
    pb.SettleRequest,
    merchant_id=texts,
    terminal_id=texts,
    service=enums,
    brand=texts,
    type=enums,
    amount_minor=amounts,
    currency=texts,
    business_date=st.one_of(st.just(20261123), uint32s),
    stan=st.one_of(st.integers(1, 999_999), uint32s),
    card_token=texts,
    card_last4=texts,
    original_key=texts,
    dcc=st.one_of(st.none(), offers),
    card_write=enums,
    memo=texts,
)
near_misses = st.builds(
    pb.SettleRequest,
    merchant_id=st.sampled_from(["M0001", "M-2"]),
    terminal_id=st.sampled_from(["T0001", "T-2"]),
    service=st.integers(1, 7),
    type=st.integers(1, 12),
    amount_minor=st.integers(0, 3),
    currency=st.just("JPY"),
    business_date=st.just(20261123),
    stan=st.integers(1, 999_999),
    card_token=st.sampled_from(["", "tok-1"]),
    original_key=st.sampled_from(["", "T0001.20261123.000042.0200"]),
    dcc=st.one_of(
        st.none(),
        st.just(pb.DccOffer(card_amount_minor=1, card_currency="USD", rate="0.0067")),
    ),
    card_write=st.integers(0, 3),
    memo=st.text(max_size=10),
)
closes = st.builds(
    pb.CloseRequest,
    merchant_id=texts,
    terminal_id=texts,
    business_date=uint32s,
    stan=uint32s,
    service=enums,
    expected=st.lists(
        st.builds(pb.ServiceTotal, service=enums, count=int64s, captured_minor=int64s), max_size=20
    ),
)
messages = st.one_of(
    st.tuples(st.just("Settle"), settles),
    st.tuples(st.just("Settle"), near_misses),
    st.tuples(st.just("Close"), closes),
    st.tuples(st.just("Inquire"), st.builds(pb.InquireRequest, idempotency_key=texts)),
    st.tuples(
        st.just("Interim"),
        st.builds(pb.InterimRequest, merchant_id=texts, terminal_id=texts, service=enums),
    ),
)
methods = st.sampled_from(["Settle", "Close", "Inquire", "Interim"])


def with_front(scenario: Callable[[FakeEngine, grpc.aio.Channel], Awaitable[None]]) -> None:
    """Run one scenario on a loop, a server and a channel of its own."""

    async def run() -> None:
        engine = FakeEngine()
        async with front(engine) as channel:
            await scenario(engine, channel)

    asyncio.run(run())


async def code_of(channel: grpc.aio.Channel, method: str, raw: bytes) -> grpc.StatusCode:
    """The status of one unary call that carries exactly these bytes."""
    send: Any = channel.unary_unary(f"{SERVICE}/{method}")
    call = send(raw, timeout=10)
    code: grpc.StatusCode = await call.code()
    return code


def assert_settleable(command: Command) -> None:
    """What the ledger may rely on, said again from the contract, not from the check."""
    assert command.type == Type.CLOSE or allowed(command.service, command.type)
    assert 0 <= command.amount_minor <= 999_999_999_999
    assert command.currency == "JPY"
    assert 1 <= command.stan <= 999_999
    assert command.key.startswith(f"{command.terminal}.{command.business_date}.")
    for text in (command.merchant, command.terminal, command.brand, command.card_token):
        assert text.isascii()
        assert not holds_card_number(text)
    assert not holds_card_number(command.memo)
    assert len(command.memo) <= 64


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages, min_size=60, max_size=60))
def test_random_messages_get_a_defined_answer(
    sent: list[tuple[str, pb.SettleRequest | pb.CloseRequest]],
) -> None:
    async def scenario(engine: FakeEngine, channel: grpc.aio.Channel) -> None:
        for method, message in sent:
            before = len(engine.asked)
            code = await code_of(channel, method, message.SerializeToString())
            assert code in DEFINED
            if code != grpc.StatusCode.OK:
                assert len(engine.asked) == before
        for command in engine.asked:
            assert_settleable(command)

    with_front(scenario)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(methods, st.binary(max_size=300)), min_size=60, max_size=60))
def test_random_bytes_get_a_defined_answer(sent: list[tuple[str, bytes]]) -> None:
    async def scenario(engine: FakeEngine, channel: grpc.aio.Channel) -> None:
        for method, raw in sent:
            before = len(engine.asked)
            code = await code_of(channel, method, raw)
            assert code in DEFINED
            if code != grpc.StatusCode.OK:
                assert len(engine.asked) == before

    with_front(scenario)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(settles, near_misses), min_size=1, max_size=60))
def test_random_requests_of_a_stream_are_all_answered(sent: list[pb.SettleRequest]) -> None:
    async def scenario(engine: FakeEngine, channel: grpc.aio.Channel) -> None:
        small = [request for request in sent if request.ByteSize() < 60_000]
        call: Any = channel.stream_stream(
            f"{SERVICE}/SettleStream",
            request_serializer=pb.SettleStreamRequest.SerializeToString,
            response_deserializer=pb.SettleStreamReply.FromString,
        )(timeout=30)
        for request_id, request in enumerate(small):
            await call.write(pb.SettleStreamRequest(request_id=request_id, request=request))
        await call.done_writing()
        answered: dict[int, str | None] = {}
        while (reply := await call.read()) is not grpc.aio.EOF:
            answered[reply.request_id] = reply.WhichOneof("result")
        assert await call.code() == grpc.StatusCode.OK
        assert sorted(answered) == list(range(len(small)))
        assert list(answered.values()).count("reply") == len(engine.asked)

    with_front(scenario)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_on_a_stream_end_it_with_a_defined_status(raw: bytes) -> None:
    async def scenario(engine: FakeEngine, channel: grpc.aio.Channel) -> None:
        call: Any = channel.stream_stream(f"{SERVICE}/SettleStream")(timeout=10)
        await call.write(raw)
        await call.done_writing()
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        assert await call.code() in DEFINED

    with_front(scenario)
