"""Bad input, a row each: its status, the field named, and nothing that reaches the engine."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from node.rpc import wire
from proto import settlement_pb2 as pb
from proto.settlement_pb2_grpc import SettlementStub
from tests.node.rpc.fake_engine import FakeEngine
from tests.node.rpc.front import KEY, Tally, front, read_refusal, sale

PAN = "4539578763621486"
REFUND = pb.TRANSACTION_TYPE_REFUND

SETTLE: dict[str, tuple[pb.SettleRequest, str]] = {
    "unknown service": (sale(service=99), "service"),
    "no service": (sale(service=0), "service"),
    "type the service does not have": (sale(type=pb.TRANSACTION_TYPE_EARN), "type"),
    "unknown type": (sale(type=77), "type"),
    "close as a type": (sale(type=20), "type"),
    "currency with another exponent": (sale(currency="USD"), "currency"),
    "no currency": (sale(currency=""), "currency"),
    "amount 0": (sale(amount_minor=0), "amount_minor"),
    "amount below 0": (sale(amount_minor=-1), "amount_minor"),
    "amount at the end of int64": (sale(amount_minor=2**63 - 1), "amount_minor"),
    "amount at the other end": (sale(amount_minor=-(2**63)), "amount_minor"),
    "merchant too long": (sale(merchant_id="M" * 16), "merchant_id"),
    "merchant empty": (sale(merchant_id=""), "merchant_id"),
    "terminal too long": (sale(terminal_id="T" * 14), "terminal_id"),
    "terminal with a dot": (sale(terminal_id="T.1"), "terminal_id"),
    "brand too long": (sale(brand="B" * 25), "brand"),
    "token too long": (sale(card_token="t" * 65), "card_token"),
    "no token": (sale(card_token=""), "card_token"),
    "last4 of 5": (sale(card_last4="12345"), "card_last4"),
    "memo too long": (sale(memo="あ" * 65), "memo"),
    "memo far too long": (sale(memo="1 " * 30_000), "memo"),
    "stan 0": (sale(stan=0), "stan"),
    "stan of 7 digits": (sale(stan=1_000_000), "stan"),
    "date that is none": (sale(business_date=20260231), "business_date"),
    "original where none belongs": (sale(original_key=KEY), "original_key"),
    "no original": (sale(type=REFUND), "original_key"),
    "original that is no key": (sale(type=REFUND, original_key="yesterday"), "original_key"),
    "dcc for another service": (
        sale(dcc=pb.DccOffer(card_amount_minor=1, card_currency="USD", rate="0.0067")),
        "dcc",
    ),
    "dcc missing": (sale(service=pb.SERVICE_DCC), "dcc"),
    "card write outside advice": (sale(card_write=pb.CARD_WRITE_WRITTEN), "card_write"),
    "card number as token": (sale(card_token=PAN), "card_token"),
    "card number in memo": (sale(memo=f"card {PAN} ok"), "memo"),
    "card number in groups": (sale(memo="4539 5787 6362 1486"), "memo"),
    "card number as merchant": (sale(merchant_id="4222222222222"), "merchant_id"),
    "card number as brand": (sale(brand=PAN), "brand"),
}


@pytest.mark.parametrize(("request_", "field"), SETTLE.values(), ids=SETTLE.keys())
async def test_a_bad_field_is_named_and_nothing_reaches_the_engine(
    request_: pb.SettleRequest, field: str
) -> None:
    engine, tally = FakeEngine(), Tally()
    async with front(engine, tally) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await SettlementStub(channel).Settle(request_, timeout=5)
    refused = read_refusal(raised.value)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.fields
    assert refused.advice.response_code == "30"
    assert not refused.advice.retry_same_key
    assert engine.asked == []
    assert tally.refusals == {"BAD_INPUT": 1}


@pytest.mark.parametrize(
    "request_", [SETTLE["card number in memo"][0], SETTLE["card number as token"][0]]
)
async def test_a_card_number_is_not_repeated_in_the_refusal(request_: pb.SettleRequest) -> None:
    async with front(FakeEngine()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await SettlementStub(channel).Settle(request_, timeout=5)
    metadata = dict(raised.value.trailing_metadata() or ())
    assert PAN not in str(raised.value.details())
    assert PAN.encode() not in metadata["grpc-status-details-bin"]


async def test_every_field_at_fault_is_named_at_once() -> None:
    request = sale(merchant_id="", stan=0, amount_minor=-5, currency="EUR", card_last4="x")
    async with front(FakeEngine()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await SettlementStub(channel).Settle(request, timeout=5)
    named = set(read_refusal(raised.value).fields)
    assert named == {"merchant_id", "stan", "amount_minor", "currency", "card_last4"}


@pytest.mark.parametrize(
    ("method", "message", "field"),
    [
        ("Inquire", pb.InquireRequest(), "idempotency_key"),
        ("Inquire", pb.InquireRequest(idempotency_key="x" * 5000), "idempotency_key"),
        ("Interim", pb.InterimRequest.FromString(b"\x0a\x01M\x12\x01T\x18\x08"), "service"),
        ("Interim", pb.InterimRequest(merchant_id="M1"), "terminal_id"),
        ("Close", pb.CloseRequest(merchant_id="M1", terminal_id="T1", stan=1), "business_date"),
        (
            "Close",
            pb.CloseRequest(
                merchant_id="M1",
                terminal_id="T1",
                business_date=20261123,
                stan=1,
                expected=[pb.ServiceTotal(service=pb.SERVICE_CREDIT, count=-1)] * 3000,
            ),
            "expected[0].count",
        ),
    ],
)
async def test_the_other_calls_name_their_fields_too(
    method: str, message: pb.InquireRequest, field: str
) -> None:
    engine = FakeEngine()
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await getattr(SettlementStub(channel), method)(message, timeout=5)
    refused = read_refusal(raised.value)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.fields
    assert engine.asked == []
    assert engine.reads == []


def test_long_texts_are_cut_before_anything_looks_at_them() -> None:
    request = wire.decode_settle(sale(memo="1 " * 30_000, brand="b" * 2000).SerializeToString())
    assert request is not None
    assert len(request.memo) == wire.CLIP_CHARACTERS
    assert len(request.brand) == wire.CLIP_CHARACTERS
    assert request.merchant_id == "M0001"


def test_no_valid_request_is_long_enough_to_be_cut() -> None:
    longest = sale(
        merchant_id="M" * 15,
        terminal_id="T" * 13,
        brand="b" * 24,
        service=pb.SERVICE_DCC,
        amount_minor=999_999_999_999,
        card_token="t" * 64,
        memo="𠮷" * 64,
        dcc=pb.DccOffer(
            card_amount_minor=999_999_999_999, card_currency="KWD", rate="0." + "1" * 14
        ),
    )
    assert longest.ByteSize() < wire.LONG_BYTES
