"""Six stand-in nodes as terminals meet them, each behind a port of its own; and their leader."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from proto import control_pb2 as control
from proto import settlement_pb2 as settlement

Context = grpc.aio.ServicerContext[Any, Any]


class Node:
    """A server on `port`. `mood` is an ErrorInfo reason, "serves", or "hangs"."""

    def __init__(self, port: int, mood: str = "NOT_LEADER") -> None:
        self.endpoint = f"127.0.0.1:{port}"
        self.mood = mood
        self.keys: list[str] = []
        self.handovers = 0
        self.refuses = ""  # why it does not hand over
        self._server: grpc.aio.Server | None = None
        self._held = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        unary = grpc.unary_unary_rpc_method_handler
        generic = grpc.method_handlers_generic_handler
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers(
            (
                generic(
                    "kessai.settlement.v1.Settlement",
                    {
                        "Inquire": unary(
                            self._inquire,
                            settlement.InquireRequest.FromString,
                            settlement.InquireReply.SerializeToString,
                        )
                    },
                ),
                generic(
                    "kessai.control.v1.Control",
                    {
                        "Handover": unary(
                            self._handover,
                            control.HandoverRequest.FromString,
                            control.HandoverReply.SerializeToString,
                        )
                    },
                ),
                generic(
                    "grpc.health.v1.Health",
                    {
                        "Check": unary(
                            self._check,
                            health_pb2.HealthCheckRequest.FromString,
                            health_pb2.HealthCheckResponse.SerializeToString,
                        )
                    },
                ),
            )
        )
        self._server.add_insecure_port(self.endpoint)
        await self._server.start()

    async def stop(self) -> None:
        """Gone: connections are refused."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(0)

    def go_on(self) -> None:
        """Answer, by the mood of now, those who were left hanging."""
        held, self._held = self._held, asyncio.Event()
        held.set()

    async def _inquire(
        self, request: settlement.InquireRequest, context: Context
    ) -> settlement.InquireReply:
        self.keys.append(request.idempotency_key)
        if self.mood == "hangs":
            await self._held.wait()
        if self.mood == "serves":
            return settlement.InquireReply(found=False, commit_index=1)
        if self.mood.startswith("bare "):
            await context.abort(grpc.StatusCode[self.mood.removeprefix("bare ")], "no details")
        status = status_pb2.Status(code=14, message=self.mood)
        for detail in (error_details_pb2.ErrorInfo(reason=self.mood, domain="kessai"),):
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.UNAVAILABLE, self.mood)
        raise AssertionError("abort raises")

    async def _handover(
        self, request: control.HandoverRequest, context: Context
    ) -> control.HandoverReply:
        self.handovers += 1
        if self.refuses:
            return control.HandoverReply(started=False, reason=self.refuses)
        return control.HandoverReply(started=True, target="a2")

    async def _check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
