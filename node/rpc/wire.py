"""Settlement messages to commands, receipts to replies: the only place that knows both sides.

Every settlement passes here twice, on the leader's one Python thread, so the two hot functions
(`settle_command`, `settle_reply`) do nothing twice and allocate little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from node.engine import Current, Interim
from node.ledger.check import FieldProblem, check_close, check_interim, check_key, check_settle
from node.ledger.commands import (
    Command,
    Dcc,
    Receipt,
    Service,
    ServiceTotal,
    Type,
    fingerprint,
    idempotency_key,
)
from node.ledger.services import SETTLEMENT_CURRENCY
from proto import settlement_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Settlement"].full_name

SettleRequest = pb.SettleRequest
SettleStreamRequest = pb.SettleStreamRequest
SettleStreamReply = pb.SettleStreamReply
SettleReply = pb.SettleReply
InquireRequest = pb.InquireRequest
CloseRequest = pb.CloseRequest
InterimRequest = pb.InterimRequest
InquireReply = pb.InquireReply
CloseReply = pb.CloseReply
InterimReply = pb.InterimReply

_TYPE: Final = {int(kind): kind for kind in Type}

encode_settle_reply = pb.SettleReply.SerializeToString
encode_stream_reply = pb.SettleStreamReply.SerializeToString
encode_inquire_reply = pb.InquireReply.SerializeToString
encode_close_reply = pb.CloseReply.SerializeToString
encode_interim_reply = pb.InterimReply.SerializeToString

LONG_BYTES: Final = 1024
"""No valid request is longer. A longer one has its texts cut first: looking for card numbers in
64 KiB of digits would hold up everybody else for most of a second."""

CLIP_CHARACTERS: Final = 100
"""Beyond the bound of every text field, so a text cut to this is still found too long."""

TOTALS_LOOKED_AT: Final = len(Service) + 1
"""One more total than there are services: enough to find a close that names one twice."""


# --- Bytes in. None where they are not the message: a gRPC deserializer must not raise. ----------


def decode_settle(raw: bytes) -> pb.SettleRequest | None:
    """The SettleRequest in `raw`, or None."""
    try:
        request = pb.SettleRequest.FromString(raw)
    except DecodeError:
        return None
    if len(raw) > LONG_BYTES:
        _clip(request)
    return request


def decode_stream(raw: bytes) -> pb.SettleStreamRequest | None:
    """The SettleStreamRequest in `raw`, or None."""
    try:
        message = pb.SettleStreamRequest.FromString(raw)
    except DecodeError:
        return None
    if len(raw) > LONG_BYTES:
        _clip(message.request)
    return message


def decode_inquire(raw: bytes) -> pb.InquireRequest | None:
    """The InquireRequest in `raw`, or None."""
    try:
        return pb.InquireRequest.FromString(raw)
    except DecodeError:
        return None


def decode_close(raw: bytes) -> pb.CloseRequest | None:
    """The CloseRequest in `raw`, or None."""
    try:
        request = pb.CloseRequest.FromString(raw)
    except DecodeError:
        return None
    if len(raw) > LONG_BYTES:
        _clip(request)
    del request.expected[TOTALS_LOOKED_AT:]
    return request


def decode_interim(raw: bytes) -> pb.InterimRequest | None:
    """The InterimRequest in `raw`, or None."""
    try:
        return pb.InterimRequest.FromString(raw)
    except DecodeError:
        return None


def _clip(message: pb.SettleRequest | pb.CloseRequest | pb.DccOffer) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            if len(value) > CLIP_CHARACTERS:
                setattr(message, field.name, value[:CLIP_CHARACTERS])
        elif isinstance(value, pb.DccOffer):
            _clip(value)


# --- Requests to commands ------------------------------------------------------------------------


def settle_command(request: pb.SettleRequest) -> Command | list[FieldProblem]:
    """The command a valid request asks for, or everything that is wrong with it."""
    merchant, terminal, service = request.merchant_id, request.terminal_id, request.service
    brand, kind, amount = request.brand, request.type, request.amount_minor
    currency, date, stan = request.currency, request.business_date, request.stan
    token, last4, original = request.card_token, request.card_last4, request.original_key
    card_write, memo = request.card_write, request.memo
    dcc = _dcc_in(request.dcc) if request.HasField("dcc") else None
    problems = check_settle(
        merchant,
        terminal,
        service,
        brand,
        kind,
        amount,
        currency,
        date,
        stan,
        token,
        last4,
        original,
        dcc,
        card_write,
        memo,
    )
    if problems:
        return problems
    return Command(
        idempotency_key(terminal, date, stan, _TYPE[kind]),
        # Last 4 and memo are left out: a terminal may print them differently the second time.
        fingerprint(
            merchant, service, brand, kind, amount, currency, token, original, dcc, card_write
        ),
        merchant,
        terminal,
        service,
        brand,
        kind,
        amount,
        currency,
        date,
        stan,
        token,
        last4,
        original,
        dcc,
        card_write,
        memo,
    )


def close_command(request: pb.CloseRequest) -> Command | list[FieldProblem]:
    """The command a valid close asks for, or everything that is wrong with it."""
    merchant, terminal, service = request.merchant_id, request.terminal_id, request.service
    date, stan, expected = request.business_date, request.stan, _totals_in(request.expected)
    problems = check_close(merchant, terminal, date, stan, service, expected)
    if problems:
        return problems
    return Command(
        key=idempotency_key(terminal, date, stan, Type.CLOSE),
        fingerprint=fingerprint(merchant, service, int(Type.CLOSE), expected),
        merchant=merchant,
        terminal=terminal,
        service=service,
        brand="",
        type=Type.CLOSE,
        amount_minor=0,
        currency=SETTLEMENT_CURRENCY,
        business_date=date,
        stan=stan,
        expected=expected or None,
    )


def inquire_problems(request: pb.InquireRequest) -> list[FieldProblem]:
    """Everything wrong with an inquiry."""
    return check_key(request.idempotency_key)


def interim_problems(request: pb.InterimRequest) -> list[FieldProblem]:
    """Everything wrong with a request for interim totals."""
    return check_interim(request.merchant_id, request.terminal_id, request.service)


# --- Answers to bytes ----------------------------------------------------------------------------


def settle_reply(receipt: Receipt) -> pb.SettleReply:
    """The reply that carries a receipt. A replay differs in `replayed` only."""
    return pb.SettleReply(
        idempotency_key=receipt.key,
        outcome=receipt.outcome,  # type: ignore[arg-type]  # enums on the wire are open
        response_code=receipt.response_code,
        replayed=receipt.replayed,
        rrn=receipt.rrn,
        approval_code=receipt.approval_code,
        state=receipt.state,  # type: ignore[arg-type]
        balance_minor=receipt.balance_minor,
        settled_at_ms=receipt.settled_at_ms,
        index=receipt.index,
        reason=receipt.reason,
    )


def stream_reply(request_id: int, receipt: Receipt) -> pb.SettleStreamReply:
    """A receipt, for the request of a stream that asked for it."""
    return pb.SettleStreamReply(request_id=request_id, reply=settle_reply(receipt))


def close_reply(receipt: Receipt) -> pb.CloseReply:
    """The reply that carries a close: the centre's totals, and on MISMATCH the terminal's."""
    return pb.CloseReply(
        reply=settle_reply(receipt),
        totals=_totals_out(receipt.totals),
        expected=_totals_out(receipt.expected),
    )


def interim_reply(interim: Interim) -> pb.InterimReply:
    """The reply that carries totals since the last close."""
    return pb.InterimReply(
        totals=_totals_out(interim.totals),
        commit_index=interim.commit_index,
        as_of_ms=interim.as_of_ms,
    )


def inquire_reply(current: Current) -> pb.InquireReply:
    """The reply that says what became of a key."""
    inquiry = current.inquiry
    if inquiry is None:
        return pb.InquireReply(found=False, commit_index=current.commit_index)
    return pb.InquireReply(
        found=True,
        reply=settle_reply(inquiry.receipt),
        state_now=inquiry.state_now,  # type: ignore[arg-type]
        captured_minor=inquiry.captured_minor,
        refunded_minor=inquiry.refunded_minor,
        commit_index=current.commit_index,
    )


def _dcc_in(offer: pb.DccOffer) -> Dcc:
    return Dcc(offer.card_amount_minor, offer.card_currency, offer.rate)


def _totals_out(totals: Iterable[ServiceTotal]) -> list[pb.ServiceTotal]:
    return [
        pb.ServiceTotal(
            service=total.service,  # type: ignore[arg-type]
            count=total.count,
            captured_minor=total.captured_minor,
            voided_minor=total.voided_minor,
            refunded_minor=total.refunded_minor,
        )
        for total in totals
    ]


def _totals_in(totals: Sequence[pb.ServiceTotal]) -> tuple[ServiceTotal, ...]:
    return tuple(
        ServiceTotal(
            total.service,
            total.count,
            total.captured_minor,
            total.voided_minor,
            total.refunded_minor,
        )
        for total in totals
    )
