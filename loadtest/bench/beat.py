"""A steady beat of terminals beside what is measured: an open model, timed from the intended start.

Unlike loadtest/bench/load.py it does not wait for answers before it sends again, so a slow moment
of the cluster cannot hide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import grpc.aio

from loadtest.arrivals import Pattern, arrivals
from loadtest.bench.load import DEADLINE_S, BenchError, require_approved
from loadtest.load_plan import quantile
from proto import settlement_pb2 as pb
from proto import settlement_pb2_grpc


@dataclass(frozen=True, slots=True)
class Beat:
    """One payment: when it was meant to start, in `perf_counter` seconds, and how long it took."""

    at_s: float
    wait_ms: float


@dataclass(frozen=True, slots=True)
class Waits:
    """What terminals waited, of the payments meant to start in one stretch of time."""

    payments: int
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @classmethod
    def of(cls, beats: Sequence[Beat], begin_s: float, end_s: float) -> Waits:
        """Those meant to start from `begin_s` (included) to `end_s`; zeros where there are none."""
        waits = [each.wait_ms for each in beats if begin_s <= each.at_s < end_s]
        return cls(
            len(waits), quantile(waits, 0.50), quantile(waits, 0.99), max(waits, default=0.0)
        )


async def beat(
    channel: grpc.aio.Channel,
    source: Iterator[pb.SettleRequest],
    rate: float,
    stop: asyncio.Event,
    into: list[Beat],
) -> None:
    """Pay `rate` times a second, at random moments, until `stop`; each payment goes to `into`.

    Raises `BenchError` on an answer that must not be counted, or none.
    """
    settle = settlement_pb2_grpc.SettlementStub(channel).Settle
    begun = perf_counter()

    async def pay(at_s: float) -> None:
        try:
            reply = await settle(next(source), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise BenchError(f"a payment of the steady load failed: {error}") from error
        require_approved(reply)
        into.append(Beat(at_s, (perf_counter() - at_s) * 1000.0))

    try:
        async with asyncio.TaskGroup() as paying:
            for at_ms in arrivals(Pattern.POISSON, seed=1, terminal=0, terminals=1, rate=rate):
                at_s = begun + at_ms / 1000.0
                await asyncio.sleep(at_s - perf_counter())  # at once when it is late
                if stop.is_set():
                    break
                paying.create_task(pay(at_s))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
