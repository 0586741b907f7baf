"""The client: keeps a fixed number of requests in flight and times each. Closed loop on purpose.

It asks how much the server can do, not how long terminals wait at a given load; for that there is
`kessai load`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Final

import grpc.aio

from proto import settlement_pb2 as pb
from proto import settlement_pb2_grpc

BUSINESS_DATE: Final = 20261123
DEADLINE_S: Final = 10.0
STAN_MAX: Final = 999_999


class BenchError(RuntimeError):
    """An answer that a benchmark must not count: refused, declined, or none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One round: how many answers in how many seconds, and each one's latency in milliseconds."""

    answers: int
    seconds: float
    latencies_ms: array[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that `share` (0 to 1) of the answers did not exceed."""
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def requests(prefix: str) -> Iterator[pb.SettleRequest]:
    """Card sales, each with a key of its own. `prefix`: 1 to 8 of A-Z 0-9, not used before."""
    template = pb.SettleRequest(
        merchant_id="BENCH-0001",
        service=pb.SERVICE_CREDIT,
        brand="VISA",
        type=pb.TRANSACTION_TYPE_SALE,
        amount_minor=1200,
        currency="JPY",
        business_date=BUSINESS_DATE,
        card_token="bench-card-4f6a9b",
        card_last4="4242",
    )
    for terminal in count():
        template.terminal_id = f"{prefix}-{terminal:03d}"
        for stan in range(1, STAN_MAX + 1):
            # A copy each: grpc.aio serialises later than it is called.
            request = pb.SettleRequest()
            request.CopyFrom(template)
            request.stan = stan
            yield request


async def unary(channel: grpc.aio.Channel, prefix: str, in_flight: int, seconds: float) -> Sample:
    """Unary calls, `in_flight` at a time, for `seconds`. Raises `BenchError`."""
    settle = settlement_pb2_grpc.SettlementStub(channel).Settle
    source = requests(prefix)
    latencies = array("d")
    begun = perf_counter()
    end = begun + seconds

    async def caller() -> None:
        now = perf_counter()
        while now < end:
            reply = await settle(next(source), timeout=DEADLINE_S)
            answered = perf_counter()
            require_approved(reply)
            latencies.append((answered - now) * 1000.0)
            now = answered

    try:
        async with asyncio.TaskGroup() as callers:
            for _ in range(in_flight):
                callers.create_task(caller())
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, BenchError):
            raise first from errors
        if isinstance(first, grpc.aio.AioRpcError):
            raise BenchError(f"a call failed: {first}") from errors
        raise
    return Sample(len(latencies), perf_counter() - begun, latencies)


async def stream(channel: grpc.aio.Channel, prefix: str, in_flight: int, seconds: float) -> Sample:
    """One bidirectional stream with `in_flight` requests under way. Raises `BenchError`."""
    call = settlement_pb2_grpc.SettlementStub(channel).SettleStream()
    source = requests(prefix)
    latencies = array("d")
    sent: dict[int, float] = {}
    room = asyncio.Semaphore(in_flight)
    begun = perf_counter()
    end = begun + seconds

    async def writer() -> None:
        for request_id in count(1):
            await room.acquire()
            now = perf_counter()
            if now >= end:
                break
            sent[request_id] = now
            await call.write(pb.SettleStreamRequest(request_id=request_id, request=next(source)))
        await call.done_writing()

    writing = asyncio.create_task(writer())
    try:
        while (message := await call.read()) is not grpc.aio.EOF:
            if message.HasField("problem"):
                raise BenchError(f"a request was refused: {message.problem.message}")
            require_approved(message.reply)
            latencies.append((perf_counter() - sent.pop(message.request_id)) * 1000.0)
            room.release()
        await writing
    except grpc.aio.AioRpcError as error:
        raise BenchError(f"the stream failed: {error}") from error
    finally:
        writing.cancel()
        call.cancel()
    if sent:
        raise BenchError(f"{len(sent)} requests of the stream were never answered")
    return Sample(len(latencies), perf_counter() - begun, latencies)


def require_approved(reply: pb.SettleReply) -> None:
    """Raise `BenchError` unless the payment was approved."""
    if reply.outcome != pb.OUTCOME_APPROVED:
        raise BenchError(f"not approved: {reply.response_code} {reply.reason}")
