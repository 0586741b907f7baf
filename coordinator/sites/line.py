"""A line to one port of a node over gRPC: what a terminal asks there, and what an operator does."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from coordinator.records import Reach
from coordinator.sites.probe import NOBODY_THERE, of_reason
from coordinator.sites.sight import Answer
from proto import control_pb2, settlement_pb2

_OPTIONS: Final = (
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
_HANDOVER: Final = "/kessai.control.v1.Control/Handover"

_NOBODY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
"""Statuses that the channel makes up by itself where no node answered."""


class GrpcLine:
    """See `coordinator.sites.ports.Line`; `endpoint` is `host:port`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._channel = _channel(endpoint)

    async def inquire(self, key: str, within_s: float) -> Answer:
        """See `Line.inquire`."""
        call = self._channel.unary_unary(
            _INQUIRE,
            request_serializer=settlement_pb2.InquireRequest.SerializeToString,
            response_deserializer=settlement_pb2.InquireReply.FromString,
        )
        try:
            await call(settlement_pb2.InquireRequest(idempotency_key=key), timeout=within_s)
        except grpc.aio.AioRpcError as problem:
            return meaning(problem.code(), _details(problem))
        return Answer(Reach.SERVES)

    async def is_there(self, within_s: float) -> bool:
        """See `Line.is_there`."""
        call = self._channel.unary_unary(
            _CHECK,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            await call(health_pb2.HealthCheckRequest(), timeout=within_s)
        except grpc.aio.AioRpcError as problem:
            return problem.code() not in _NOBODY
        return True

    async def hand_over(self, within_s: float) -> str:
        """See `Line.hand_over`."""
        call = self._channel.unary_unary(
            _HANDOVER,
            request_serializer=control_pb2.HandoverRequest.SerializeToString,
            response_deserializer=control_pb2.HandoverReply.FromString,
        )
        try:
            reply = await call(control_pb2.HandoverRequest(), timeout=within_s)
        except grpc.aio.AioRpcError as problem:
            return f"it could not be asked: {problem.details() or problem.code().name}"
        if reply.started:
            return f"it was asked and hands over to {reply.target}"
        return f"it was asked and does not hand over: {reply.reason}"

    async def anew(self) -> None:
        """See `Line.anew`."""
        former, self._channel = self._channel, _channel(self._endpoint)
        await former.close()

    async def close(self) -> None:
        """See `Line.close`."""
        await self._channel.close()


def _channel(endpoint: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)


def meaning(code: grpc.StatusCode, details: bytes) -> Answer:
    """What a failed inquiry says of the node; `details` is a google.rpc.Status, or empty."""
    reason = _reason(details)
    if reason:
        return of_reason(reason)
    return NOBODY_THERE if code in _NOBODY else Answer(Reach.ANSWERS, code.name)


def _reason(details: bytes) -> str:
    """The ErrorInfo reason of a refusal by the node itself; "" where there is none."""
    try:
        for detail in status_pb2.Status.FromString(details).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return str(info.reason)
    except DecodeError:
        return ""
    return ""


def _details(problem: grpc.aio.AioRpcError) -> bytes:
    for key, value in problem.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and not isinstance(value, str):
            return value
    return b""
