"""gRPC servers and channels as this cluster wants them: what is on which port, with which options.

Two ports a node: terminals (settlement) and peers (replication, control). Health and reflection
are on both, so grpcurl and probes work everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from node.rpc.health import Health

Option = tuple[str, int | str]

CHANNEL_OPTIONS: Final[tuple[Option, ...]] = (
    # The default waits 1 s, then up to 2 minutes: a failover would be over long before.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # How long one attempt may take; a host that drops packets must not hold it for 20 s.
    ("grpc.min_reconnect_backoff_ms", 500),
    # Two channels to one address are two connections: one stuck must not hold the other.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy named in the environment is for the outside world, never for our own nodes.
    ("grpc.enable_http_proxy", 0),
)
"""For every channel inside the cluster, and for clients that want to survive a failover."""


class ListenError(RuntimeError):
    """The address cannot be listened on; the message names it."""


def server_options(message_bytes: int) -> tuple[Option, ...]:
    """Options of every server. `message_bytes` bounds one incoming message (RESOURCE_EXHAUSTED)."""
    return (
        # With it on, a second node on the same address would silently take half the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", message_bytes),
        # A concentrator whose host vanished must not keep its stream's memory for ever.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    )


def build_server(
    handlers: Sequence[grpc.GenericRpcHandler],
    *,
    services: Iterable[str],
    health: Health | None,
    message_bytes: int,
) -> grpc.aio.Server:
    """A server with these handlers, reflection for `services`, and health where given.

    `services` are full names ("kessai.settlement.v1.Settlement"). Call `listen`, then `start()`.
    """
    server = grpc.aio.server(options=server_options(message_bytes))
    server.add_generic_rpc_handlers(tuple(handlers))
    names = [*services, reflection.SERVICE_NAME]
    if health is not None:
        server.add_generic_rpc_handlers((health.handler(),))
        names.append(health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    reflection.enable_server_reflection(names, server)
    return server


def listen(server: grpc.aio.Server, address: str) -> int:
    """Bind `host:port` (port 0: any) and say which port it became. Raises `ListenError`."""
    try:
        return server.add_insecure_port(address)
    except RuntimeError as problem:
        raise ListenError(
            f"{address}: cannot be listened on: is another process there?"
        ) from problem


def open_channel(address: str, *, message_bytes: int = 4_194_304) -> grpc.aio.Channel:
    """A channel to `host:port` that connects again within 200 ms of the other side's return."""
    return grpc.aio.insecure_channel(
        address,
        options=(*CHANNEL_OPTIONS, ("grpc.max_receive_message_length", message_bytes)),
    )
