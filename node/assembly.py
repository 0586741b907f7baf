"""Making a node's larger parts from its settings and from what its disk held."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable
from pathlib import Path

import grpc.aio

from coordinator.configuration import ReplicaId
from node.core import Identity, Log, Replica, Timings
from node.core.messages import Offer
from node.driver.snapshots import FetchFailed, FetchFile, Progress
from node.engine import Engine
from node.ledger.commands import PayloadError, decode_batch
from node.metrics import Metrics
from node.rpc import wire, wire_control
from node.rpc.control import ControlService
from node.rpc.fetching import SnapshotError, fetch_patiently
from node.rpc.health import Health, settles_or_redirects
from node.rpc.replication import MESSAGE_BYTES as PEER_MESSAGE_BYTES
from node.rpc.replication import ReplicationService
from node.rpc.server import build_server, listen
from node.rpc.settlement import SettlementService
from node.rpc.snapshots import SnapshotService
from node.rpc.wire_replication import SERVICE as REPLICATION
from node.rpc.wire_snapshots import SnapshotRequest
from node.settings import Settings
from node.store import Recovered


def make_replica(settings: Settings, recovered: Recovered, now: float, *, pruned: int) -> Replica:
    """The replica this disk is, in a new life. `now` is the loop's time in milliseconds; its log
    begins after `pruned`.
    """
    timings, limits = settings.timings, settings.limits
    return Replica(
        Identity(
            ReplicaId(settings.node, recovered.disk_id),
            settings.site,
            {peer.node: peer.site for peer in settings.others},
            life=secrets.token_hex(4),
        ),
        Timings(
            heartbeat_ms=timings.heartbeat_ms,
            suspicion_ms=timings.suspicion_ms,
            eviction_ms=timings.eviction_ms,
            etcd_deadline_ms=timings.etcd_deadline_ms,
            handover_ms=timings.handover_ms,
            retransmit_ms=timings.retransmit_ms,
            append_bytes=limits.append_bytes,
            entries_in_memory=limits.entries_in_memory,
            log_keep_entries=limits.log_keep_entries,
        ),
        random.SystemRandom().random,
        Log(recovered.base_index, recovered.base_epoch, recovered.base_hash, recovered.entries),
        now=now,
        promised=recovered.promised,
        revision=recovered.configuration_revision,
        applied=recovered.applied_index,
        bound=bool(recovered.cluster_id),
        pruned=pruned,
    )


def make_fetcher(
    settings: Settings, cluster_id: Callable[[], str], on_received: Callable[[int], None]
) -> FetchFile:
    """How an offered snapshot is fetched from the peer that offered it; `on_received` is told the
    bytes that come.
    """
    addresses = {peer.node: peer.peers for peer in settings.others}

    async def fetch_file(node: str, offer: Offer, part: Path, progress: Progress) -> None:
        request = SnapshotRequest(cluster_id(), settings.node, offer.index, offer.hash)
        try:
            await fetch_patiently(
                addresses[node], request, part, progress=progress, on_received=on_received
            )
        except SnapshotError as problem:
            raise FetchFailed(str(problem)) from problem

    return fetch_file


def make_servers(
    settings: Settings,
    engine: Engine,
    metrics: Metrics,
    replication: ReplicationService,
    snapshots: SnapshotService,
) -> tuple[grpc.aio.Server, ...]:
    """Both gRPC servers, listening but not started: terminals, then peers and operators.

    Raises `ListenError` for an address in use.
    """
    terminals = build_server(
        [SettlementService(engine, metrics).handler()],
        services=[wire.SERVICE],
        health=Health({wire.SERVICE: lambda: settles_or_redirects(engine.status())}),
        message_bytes=settings.limits.message_bytes,
    )
    listen(terminals, settings.terminals)
    peers = build_server(
        [replication.handler(), snapshots.handler(), ControlService(engine).handler()],
        services=[REPLICATION, wire_control.SERVICE],
        health=Health({REPLICATION: lambda: True, wire_control.SERVICE: lambda: True}),
        message_bytes=PEER_MESSAGE_BYTES,
    )
    listen(peers, settings.peers)
    return terminals, peers


def last_stamp_ms(recovered: Recovered) -> int:
    """The time stamped in the newest stamped entry: a later one must not be less (C3)."""
    for entry in reversed(recovered.entries):
        if entry.payload:
            with contextlib.suppress(PayloadError):
                return decode_batch(entry.payload).stamp_ms
    return recovered.prune_stamp_ms
