"""Asks a leader that terminals cannot reach to hand over within its site (H1).

Only one that is well inside: its operators' port answers while its terminals' port does not. Where
both are slow the node is busy, and another leader would be no better off.
"""

from __future__ import annotations

import asyncio
from typing import Final

import grpc
import grpc.aio

from coordinator.sites.probe import CHANNEL_OPTIONS, is_there
from proto import control_pb2 as pb

_HANDOVER: Final = "/kessai.control.v1.Control/Handover"


async def ask_to_hand_over(terminals: str, peers: str, deadline_ms: int) -> str:
    """Ask the leader whose two addresses (`host:port`) these are; what came of it, in words.

    A leader that is not to be reached by operators either is no error: the site's switch is next.
    """
    deadline_s = deadline_ms / 1000
    async with (
        grpc.aio.insecure_channel(terminals, options=CHANNEL_OPTIONS) as front,
        grpc.aio.insecure_channel(peers, options=CHANNEL_OPTIONS) as back,
    ):
        reached = asyncio.ensure_future(is_there(front, 2 * deadline_s))
        try:
            if not await is_there(back, deadline_s):
                return "it could not be asked: nobody answers there either"
            # A busy node answers both questions late, but then both.
            await asyncio.wait({reached}, timeout=deadline_s / 2)
            if reached.done() and reached.result():
                return "it was not asked: terminals reach it after all"
        finally:
            reached.cancel()
        call = back.unary_unary(
            _HANDOVER,
            request_serializer=pb.HandoverRequest.SerializeToString,
            response_deserializer=pb.HandoverReply.FromString,
        )
        try:
            reply = await call(pb.HandoverRequest(), timeout=deadline_s)
        except grpc.aio.AioRpcError as problem:
            return f"it could not be asked: {problem.details() or problem.code().name}"
    if reply.started:
        return f"it was asked and hands over to {reply.target}"
    return f"it was asked and does not hand over: {reply.reason}"
