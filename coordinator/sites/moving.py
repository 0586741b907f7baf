"""Asks a leader that terminals cannot reach to hand over within its site (H1)."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from coordinator.sites.probe import CHANNEL_OPTIONS
from proto import control_pb2 as pb

_HANDOVER: Final = "/kessai.control.v1.Control/Handover"


async def ask_to_hand_over(peers: str, deadline_ms: int) -> str:
    """Ask the leader whose operators' address is `peers` (`host:port`); what came of it, in words.

    A leader that is not to be reached there either is no error: the site's switch comes next.
    """
    async with grpc.aio.insecure_channel(peers, options=CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(
            _HANDOVER,
            request_serializer=pb.HandoverRequest.SerializeToString,
            response_deserializer=pb.HandoverReply.FromString,
        )
        try:
            reply = await call(pb.HandoverRequest(), timeout=deadline_ms / 1000)
        except grpc.aio.AioRpcError as problem:
            return f"it could not be asked: {problem.details() or problem.code().name}"
    if reply.started:
        return f"it hands over to {reply.target}"
    return f"it does not hand over: {reply.reason}"
