"""One node as a terminal meets it: a real inquiry for a key that never exists, over one channel.

"Not found" is the good answer: only a leader that has just proved its lead may give it (R1). An
inquiry that hangs is told apart from a node that is gone by asking the same port whether anybody
is there: a leader that waits for its write quorum answers that at once. An answer that comes too
late still counts when it comes: a site that is slow is not a site that serves nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from coordinator.records import Reach
from coordinator.sites.sight import Answer
from proto import settlement_pb2 as pb

PROBE_KEY: Final = "KESSAI-PROBE.20000101.000001.0200"
"""An idempotency key that no terminal has: terminals' names are given out, and not this one."""

CHANNEL_OPTIONS: Final = (
    # The default waits 1 s, then up to 2 minutes: a node that is back would long be "silent".
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # How long one attempt may take; a host that drops packets must not hold it for 20 s.
    ("grpc.min_reconnect_backoff_ms", 500),
    # Two channels to one address are two connections: one stuck must not hold the other.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)

_INQUIRE: Final = "/kessai.settlement.v1.Settlement/Inquire"
_CHECK: Final = "/grpc.health.v1.Health/Check"

_STUCK: Final = 4
"""After so many probes without an answer in time the connection is made anew: TCP may wait many
seconds before it tries a healed path again."""

_LATE: Final = 4
"""An inquiry is given up for good after so many deadlines."""

_REACHES: Final = {
    # Its reads are full, which only a leader that serves can say.
    "OVERLOADED": Reach.SERVES,
    "NO_QUORUM": Reach.STALLS,
    "EXPIRED": Reach.STALLS,
}
"""What a node's own reason (google.rpc.ErrorInfo) says about it; ANSWERS where not named here."""

_NOBODY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
"""Statuses that the channel makes up by itself where no node answered."""


class Probe:
    """Asks the node at `endpoint` (`host:port`, where it settles) as a terminal would.

    `late` hears answers that come after `ask` has called the node silent.
    """

    def __init__(self, endpoint: str, deadline_ms: int, late: Callable[[Answer], None]) -> None:
        self._endpoint = endpoint
        self._deadline_s = deadline_ms / 1000
        self._late = late
        self._asked = 0
        self._answered = 0  # the newest inquiry that brought an answer
        self._unanswered = 0
        self._inquiries: set[asyncio.Task[None]] = set()
        self._channel = grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)

    async def ask(self) -> Answer:
        """How the node answers now; within the deadline, or a little later. Never raises."""
        self._asked += 1
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        inquiry = asyncio.ensure_future(self._inquire(self._asked, heard))
        self._inquiries.add(inquiry)
        inquiry.add_done_callback(self._inquiries.discard)
        await asyncio.wait({heard}, timeout=self._deadline_s / 2)
        there = False
        if not heard.done():
            there, _ = await asyncio.gather(
                is_there(self._channel, self._deadline_s / 2),
                asyncio.wait({heard}, timeout=self._deadline_s / 2),
            )
        if heard.done():
            self._unanswered = 0
            return heard.result()
        heard.cancel()
        if there:
            self._unanswered = 0
            return Answer(Reach.STALLS, "no proof of its lead in time")
        self._unanswered += 1
        if self._unanswered >= _STUCK:
            await self._anew()
        return Answer(Reach.SILENT, "no answer in time")

    async def close(self) -> None:
        """Close the channel; nothing is heard any more."""
        for inquiry in tuple(self._inquiries):
            inquiry.cancel()
        await self._channel.close()

    async def _inquire(self, number: int, heard: asyncio.Future[Answer]) -> None:
        """Hand the answer to whoever waits for it, or say that it came late."""
        call = self._channel.unary_unary(
            _INQUIRE,
            request_serializer=pb.InquireRequest.SerializeToString,
            response_deserializer=pb.InquireReply.FromString,
        )
        request = pb.InquireRequest(idempotency_key=PROBE_KEY)
        try:
            await call(request, timeout=self._deadline_s * _LATE)
        except grpc.aio.AioRpcError as problem:
            answer = _meaning(problem)
        else:
            answer = Answer(Reach.SERVES)
        if not heard.done():
            heard.set_result(answer)
        elif answer.reach is not Reach.SILENT and number > self._answered:
            self._unanswered = 0
            self._late(answer)
        self._answered = max(self._answered, number)

    async def _anew(self) -> None:
        self._unanswered = 0
        former, self._channel = (
            self._channel,
            grpc.aio.insecure_channel(self._endpoint, options=CHANNEL_OPTIONS),
        )
        await former.close()


async def is_there(channel: grpc.aio.Channel, within_s: float) -> bool:
    """Does anybody answer on this port at all, `within_s` seconds?"""
    call = channel.unary_unary(
        _CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        await call(health_pb2.HealthCheckRequest(), timeout=within_s)
    except grpc.aio.AioRpcError as problem:
        return problem.code() not in _NOBODY
    return True


def _meaning(problem: grpc.aio.AioRpcError) -> Answer:
    """What a failed inquiry says of the node."""
    reason = _reason(problem)
    if reason:
        return Answer(_REACHES.get(reason, Reach.ANSWERS), reason)
    code = problem.code()
    if code in _NOBODY:
        return Answer(Reach.SILENT, "no connection")
    return Answer(Reach.ANSWERS, code.name)


def _reason(problem: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason of a refusal by the node itself; "" where there is none."""
    for key, value in problem.trailing_metadata() or ():
        if key != "grpc-status-details-bin" or isinstance(value, str):
            continue
        try:
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
        except DecodeError:
            return ""
    return ""
