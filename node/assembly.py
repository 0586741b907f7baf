"""Making a node's larger parts from its settings and from what its disk held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc.aio

from coordinator.addresses import over_each
from coordinator.registry import Registry
from node.core.messages import Offer
from node.driver.snapshots import FetchFailed, FetchFile, Progress
from node.engine import Engine
from node.metrics import Metrics
from node.rpc import wire, wire_control
from node.rpc.control import ControlService
from node.rpc.fetching import SnapshotError, fetch_patiently
from node.rpc.health import Health, settles_or_redirects
from node.rpc.relay import Relay
from node.rpc.replication import MESSAGE_BYTES as PEER_MESSAGE_BYTES
from node.rpc.replication import ReplicationService
from node.rpc.server import build_server, listen
from node.rpc.settlement import SettlementService
from node.rpc.snapshots import SnapshotService
from node.rpc.wire_replication import SERVICE as REPLICATION
from node.rpc.wire_snapshots import SnapshotRequest
from node.settings import Settings


def make_registry(settings: Settings) -> Registry:
    """The way to etcd. Nodes begin at different members: one's loss is not felt by all."""
    first = sum(settings.node.encode()) % max(1, len(settings.etcd))
    return Registry(settings.etcd, settings.timings.etcd_deadline_ms, first=first)


def make_fetcher(
    own: str,
    cluster_id: Callable[[], str],
    address: Callable[[str], str],
    on_received: Callable[[int], None],
) -> FetchFile:
    """How the node `own` fetches an offered snapshot from the peer that offered it: at the peer's
    `address` as it is now. `on_received` is told the bytes that come.
    """

    async def fetch_file(node: str, offer: Offer, part: Path, progress: Progress) -> None:
        request = SnapshotRequest(cluster_id(), own, offer.index, offer.hash)
        try:
            await fetch_patiently(
                address(node), request, part, progress=progress, on_received=on_received
            )
        except SnapshotError as problem:
            raise FetchFailed(str(problem)) from problem

    return fetch_file


def make_servers(
    settings: Settings,
    engine: Engine,
    metrics: Metrics,
    relay: Relay,
    replication: ReplicationService,
    snapshots: SnapshotService,
) -> tuple[grpc.aio.Server, ...]:
    """Both gRPC servers, listening but not started: terminals, then peers and operators. Each
    listens at every address of this host that others may come to.

    Raises `ListenError` for an address in use.
    """
    terminals = build_server(
        [SettlementService(engine, metrics, relay=relay).handler()],
        services=[wire.SERVICE],
        health=Health({wire.SERVICE: lambda: settles_or_redirects(engine.status())}),
        message_bytes=settings.limits.message_bytes,
    )
    for address in over_each(settings.terminals, settings.paths):
        listen(terminals, address)
    peers = build_server(
        [replication.handler(), snapshots.handler(), ControlService(engine).handler()],
        services=[REPLICATION, wire_control.SERVICE],
        health=Health({REPLICATION: lambda: True, wire_control.SERVICE: lambda: True}),
        message_bytes=PEER_MESSAGE_BYTES,
    )
    for address in over_each(settings.peers, settings.paths):
        listen(peers, address)
    return terminals, peers
