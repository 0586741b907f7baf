"""Between the load test's requests and the stubs: encode, decode, and read what an error means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from loadtest.history import Reply, Result
from loadtest.request import Call, Request
from loadtest.terminal import Answered, Given, NoAnswer, Refused, Send
from proto import settlement_pb2 as pb

CHANNEL_OPTIONS: Final = (
    # The default waits up to seconds before it tries a restarted node again.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    # A connection into a site that was cut off is given up, or it would stay as silent as the site
    # for as long again after the repair: TCP's own patience doubles with every loss.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 1_500),
    ("grpc.enable_retries", 0),  # the terminal retries by itself, and says so in its history
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment is for the outside world
)

# Definite: the centre has judged the request itself. Everything else is tried again.
_DEFINITE: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
DETAILS_KEY: Final = "grpc-status-details-bin"
"""Where a refused call carries its details."""

RELAY: Final = (("kessai-relay", "1"),)
"""Metadata that asks the called node to pass the request on to the leader, one hop."""

_RESULTS: Final = {
    pb.OUTCOME_APPROVED: Result.OK,
    pb.OUTCOME_DECLINED: Result.DECLINED,
    pb.OUTCOME_MISMATCH: Result.MISMATCH,
}

Message = pb.SettleRequest | pb.CloseRequest | pb.InterimRequest | pb.InquireRequest
Answer = pb.SettleReply | pb.CloseReply | pb.InterimReply | pb.InquireReply


@dataclass(frozen=True, slots=True)
class Method:
    """One call of the service, for either kind of channel (synchronous or asyncio)."""

    path: str
    serialize: Callable[[Message], bytes]
    parse: Callable[[bytes], Answer]


METHODS: Final[dict[Call, Method]] = {
    call: Method(
        f"/kessai.settlement.v1.Settlement/{name}",
        lambda message: message.SerializeToString(),
        kind.FromString,
    )
    for call, name, kind in (
        (Call.SETTLE, "Settle", pb.SettleReply),
        (Call.CLOSE, "Close", pb.CloseReply),
        (Call.INTERIM, "Interim", pb.InterimReply),
        (Call.INQUIRE, "Inquire", pb.InquireReply),
    )
}


@dataclass(frozen=True, slots=True)
class Word:
    """What came back from one attempt: the terminal's input, and what to put on record.

    `answer` is the message itself, for those who print more of it.
    """

    given: Given
    result: Result | None = None
    reply: Reply | None = None
    code: str = ""
    detail: str = ""
    answer: Answer | None = None


def encode(request: Request) -> Message:
    """The message of a request."""
    if request.call is Call.INQUIRE:
        return pb.InquireRequest(idempotency_key=request.target)
    if request.call is Call.INTERIM:
        return pb.InterimRequest(
            merchant_id=request.merchant,
            terminal_id=request.terminal,
            service=_service(request.service),
        )
    if request.call is Call.CLOSE:
        return pb.CloseRequest(
            merchant_id=request.merchant,
            terminal_id=request.terminal,
            business_date=request.business_date,
            stan=request.stan,
            service=_service(request.service),
            expected=[
                pb.ServiceTotal(
                    service=_service(total.service),
                    count=total.count,
                    captured_minor=total.captured_minor,
                    voided_minor=total.voided_minor,
                    refunded_minor=total.refunded_minor,
                )
                for total in request.expected
            ],
        )
    message = pb.SettleRequest(
        merchant_id=request.merchant,
        terminal_id=request.terminal,
        service=_service(request.service),
        brand=request.brand,
        type=cast("pb.TransactionType", request.type),
        amount_minor=request.amount_minor,
        currency=request.currency,
        business_date=request.business_date,
        stan=request.stan,
        card_token=request.card_token,
        card_last4=request.card_last4,
        original_key=request.original_key,
        card_write=cast("pb.CardWrite", request.card_write),
        memo=request.memo,
    )
    if request.dcc is not None:
        message.dcc.card_amount_minor = request.dcc.card_amount_minor
        message.dcc.card_currency = request.dcc.card_currency
        message.dcc.rate = request.dcc.rate
    return message


def metadata(send: Send) -> tuple[tuple[str, str], ...]:
    """What an attempt carries besides its message."""
    return RELAY if send.relay else ()


def decode(answer: Answer) -> Word:
    """What was answered, with the stored reply in it, if any (an inquiry's is its target's).

    An outcome outside the protocol is no answer: the terminal asks again.
    """
    if isinstance(answer, pb.InterimReply):
        return Word(Answered(), Result.READ, answer=answer)
    if isinstance(answer, pb.InquireReply):
        found = _reply(answer.reply) if answer.found else None
        return Word(Answered(), Result.READ, found, answer=answer)
    reply = answer.reply if isinstance(answer, pb.CloseReply) else answer
    result = _RESULTS.get(reply.outcome)
    if result is None:
        return Word(NoAnswer(), code="OK", detail=f"outcome {reply.outcome}?", answer=answer)
    return Word(Answered(), result, _reply(reply), answer=answer)


def _service(number: int) -> pb.Service:
    return cast("pb.Service", number)


def _reply(reply: pb.SettleReply) -> Reply:
    return Reply(
        key=reply.idempotency_key,
        outcome=reply.outcome,
        response_code=reply.response_code,
        rrn=reply.rrn,
        approval_code=reply.approval_code,
        state=reply.state,
        balance_minor=reply.balance_minor if reply.HasField("balance_minor") else None,
        settled_at_ms=reply.settled_at_ms,
        index=reply.index,
        reason=reply.reason,
        replayed=reply.replayed,
    )


def judge(error: grpc.RpcError) -> Word:
    """What an error means to the terminal, with its gRPC code and a detail in words."""
    trailing = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    details = next((value for key, value in trailing if key == DETAILS_KEY), b"")
    return weigh(error.code(), error.details() or "", details)


def weigh(code: grpc.StatusCode, message: str, details: bytes) -> Word:
    """The same, of a call that ended with `code`. `details` is the google.rpc.Status that came with
    it; empty where nobody spoke for the centre."""
    found = _details(details)
    advice = next((each for each in found if isinstance(each, pb.RetryAdvice)), None)
    if code in _DEFINITE and not (advice is not None and advice.retry_same_key):
        detail = _fields(found) or message
        return Word(Refused(), Result.REFUSED, code=code.name, detail=detail)
    retry_after_ms = _retry_after_ms(found)
    if advice is None:
        # Nobody spoke for the centre: refused connection, time-out, broken stream.
        silent = code is grpc.StatusCode.DEADLINE_EXCEEDED
        cut = code is grpc.StatusCode.UNAVAILABLE
        given = NoAnswer(silent=silent, retry_after_ms=retry_after_ms, cut=cut)
    else:
        given = NoAnswer(False, advice.leader_endpoint, retry_after_ms)
    return Word(given, code=code.name, detail=message)


def _details(raw: bytes) -> list[object]:
    """The unpacked details of a google.rpc.Status, those of kinds we know."""
    try:
        status = status_pb2.Status.FromString(raw)
    except DecodeError:
        return []
    found: list[object] = []
    for each in status.details:
        for kind in (pb.RetryAdvice, error_details_pb2.RetryInfo, error_details_pb2.BadRequest):
            message = kind()
            if each.Unpack(message):
                found.append(message)
    return found


def _retry_after_ms(details: Iterable[object]) -> float:
    for each in details:
        if isinstance(each, error_details_pb2.RetryInfo):
            return float(each.retry_delay.seconds * 1e3 + each.retry_delay.nanos / 1e6)
    return 0.0


def _fields(details: Iterable[object]) -> str:
    """The fields at fault, each with what is wrong; empty where no field is."""
    return "; ".join(
        f"{violation.field}: {violation.description}"
        for each in details
        if isinstance(each, error_details_pb2.BadRequest)
        for violation in each.field_violations
    )
