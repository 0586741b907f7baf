"""A real server over a fake engine, a real channel to it, and what a refused call carried."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from node.rpc import wire, wire_control
from node.rpc.control import ControlService
from node.rpc.health import Health, settles_or_redirects
from node.rpc.server import build_server, listen, open_channel
from node.rpc.settlement import SettlementService
from proto import settlement_pb2 as pb
from tests.node.rpc.fake_engine import FakeEngine

MESSAGE_BYTES = 65536


@dataclass
class Tally:
    """Counts what the service tells its observer."""

    settlements: Counter[tuple[int, int]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def settled(self, service: int, outcome: int, seconds: float) -> None:
        """See `node.rpc.observer.Observer`."""
        assert seconds >= 0
        self.settlements[service, outcome] += 1

    def refused(self, reason: str) -> None:
        """See `node.rpc.observer.Observer`."""
        self.refusals[reason] += 1


@asynccontextmanager
async def front(
    engine: FakeEngine, tally: Tally | None = None, *, stream_requests: int = 1024
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve every service of a node over `engine`; yields a channel to it."""
    settlement = SettlementService(engine, tally or Tally(), stream_requests=stream_requests)
    server = build_server(
        (settlement.handler(), ControlService(engine).handler()),
        services=(wire.SERVICE, wire_control.SERVICE),
        health=Health({wire.SERVICE: lambda: settles_or_redirects(engine.status())}),
        message_bytes=MESSAGE_BYTES,
    )
    port = listen(server, "127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        engine.release()
        await server.stop(0)


@dataclass(frozen=True)
class Refused:
    """A refused call, its details unpacked; None where a detail was not sent."""

    code: grpc.StatusCode
    message: str
    fields: dict[str, str]
    advice: pb.RetryAdvice
    reason: str
    retry_after_ms: int | None
    facts: dict[str, str]


def read_refusal(error: grpc.aio.AioRpcError) -> Refused:
    """Everything a terminal can learn from `error`. Fails if there are no details."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    bad, advice = error_details_pb2.BadRequest(), pb.RetryAdvice()
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    waits = False
    for detail in status.details:
        detail.Unpack(bad)
        detail.Unpack(advice)
        detail.Unpack(info)
        waits = detail.Unpack(retry) or waits
    return Refused(
        code=error.code(),
        message=error.details() or "",
        fields={each.field: each.description for each in bad.field_violations},
        advice=advice,
        reason=info.reason,
        retry_after_ms=retry.retry_delay.ToMilliseconds() if waits else None,
        facts=dict(info.metadata),
    )


def sale(**changes: object) -> pb.SettleRequest:
    """A valid card sale, with some fields changed."""
    fields: dict[str, object] = {
        "merchant_id": "M0001",
        "terminal_id": "T0001",
        "service": pb.SERVICE_CREDIT,
        "brand": "VISA",
        "type": pb.TRANSACTION_TYPE_SALE,
        "amount_minor": 1200,
        "currency": "JPY",
        "business_date": 20261123,
        "stan": 42,
        "card_token": "tok-3f9a",
        "card_last4": "4242",
    }
    return pb.SettleRequest(**{**fields, **changes})  # type: ignore[arg-type]


KEY = "T0001.20261123.000042.0200"
