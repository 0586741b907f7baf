"""grpc.health.v1 computed when asked, from the engine's own picture: nothing to keep in step.

Settlement is SERVING where a request gets a useful answer: this node settles, or knows who does.
Everything else on a node is SERVING as long as it answers at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from node.engine import NodeStatus

SERVICE: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

WATCH_MS: Final = 100
"""How often a watched state is looked at again."""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def settles_or_redirects(status: NodeStatus) -> bool:
    """Is it worth sending settlements to the node that says this of itself?"""
    return status.serving or bool(status.leader_endpoint)


class Health:
    """The health service. `services` maps each full name to the question whether it serves now."""

    def __init__(self, services: Mapping[str, Callable[[], bool]]) -> None:
        self._services = {"": lambda: True, **services}

    def state(self, service: str) -> int:
        """The HealthCheckResponse status of `service` now; the empty name is the whole server."""
        serves = self._services.get(service)
        if serves is None:
            return int(_UNKNOWN)
        return int(_SERVING if serves() else _NOT_SERVING)

    async def check(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> health_pb2.HealthCheckResponse:
        """One answer; NOT_FOUND for a service this server does not have."""
        state = self.state(request.service)
        if state == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return health_pb2.HealthCheckResponse(status=state)

    async def watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """The state now and at every change, until the caller goes away."""
        told: int | None = None
        while True:
            state = self.state(request.service)
            if state != told:
                await context.write(health_pb2.HealthCheckResponse(status=state))
                told = state
            await asyncio.sleep(WATCH_MS / 1000)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer this service."""
        read = health_pb2.HealthCheckRequest.FromString
        write = health_pb2.HealthCheckResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self.check, read, write),
                "Watch": grpc.unary_stream_rpc_method_handler(self.watch, read, write),
            },
        )
