"""A running node: its parts, how they are joined, and how they are taken apart.

On SIGTERM or SIGINT the leadership is handed over first, then everything is closed in the other
order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from coordinator.addresses import over_each
from coordinator.configuration import ReplicaId
from coordinator.events import ConfigurationSeen, CoordinatorEvent
from coordinator.keyvalue import UnsupportedVersion
from coordinator.session import Session
from coordinator.stamp import wall_ms
from node.assembly import make_fetcher, make_registry, make_servers
from node.core.inputs import PeerRefused, Received
from node.core.messages import Message
from node.core.outputs import Event
from node.core.silent import Silent
from node.journal import Journal
from node.metrics import Endpoint, Metrics
from node.rpc.relay import Relay
from node.rpc.replication import Links, PeerLink, ReplicationService
from node.rpc.server import ListenError
from node.rpc.snapshots import Pace, SnapshotService
from node.rpc.wire_replication import Hello
from node.settings import Settings
from node.store import FULL, Recovered, Store, StoreFailed, StoreRefused
from node.works import hand_over, make_replica, make_works

RECORDED = frozenset(
    {"alarm", "fenced", "follower", "handover", "in-sync", "rolled-back", "serving", "set-change"}
    | {"silent", "snapshot", "switch"}
)
"""Events of the core that operators find in etcd, not only in the node's own log."""


PUBLISH_S = 5.0
"""How often the node's record in etcd is brought up to date; each costs a write there."""

DISK_FULL = 75
"""Exit code of a node that stopped for want of room on its disk (EX_TEMPFAIL of sysexits.h)."""


class Node:
    """The parts of one node and how they are joined."""

    def __init__(self, settings: Settings, store: Store, recovered: Recovered) -> None:
        self._settings = settings
        self._store = store
        self._recovered = recovered
        self._cluster_id = recovered.cluster_id
        self._journal = Journal(settings.node)
        self._me = ReplicaId(settings.node, recovered.disk_id)

    async def run(self) -> int:
        """Run until told to stop. Returns the exit code."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._exit_code = 0
        readers = ThreadPoolExecutor(4, thread_name_prefix="reader")
        self._links = Links(
            {
                peer.node: PeerLink(
                    peer.node,
                    over_each(peer.peers, peer.paths),
                    self._hello,
                    self._on_refused,
                    self._on_rejected,
                )
                for peer in settings.others
            }
        )
        replica = make_replica(
            settings,
            self._recovered,
            loop.time() * 1000,
            pruned=self._store.prune_index,
            life=secrets.token_hex(4),
            random=random.SystemRandom().random,
        )
        works = make_works(
            settings,
            replica,
            self._store,
            self._recovered,
            loop=loop,
            readers=readers,
            send=self._links.send,
            journal=self._on_event,
            say=self._journal.say,
            fetch_file=make_fetcher(
                settings.node,
                lambda: self._cluster_id,
                self._links.address,
                lambda size: metrics.snapshot_received(size),
            ),
            connected=self._links.connected,
            clock_ms=wall_ms,
        )
        self._driver, self._engine = works.driver, works.engine
        self._snapshots, self._picture = works.snapshots, works.picture
        metrics = Metrics(
            self._engine.status, lambda: (self._store.fsyncs, self._store.fsync_seconds)
        )
        self._relay = Relay(
            settings.limits.waiting_commands, lambda: self._engine.status().leader_endpoint
        )
        works.intake.on_batch = metrics.batch
        self._engine.on_serving = metrics.takeover

        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stopping.set)
        registry = make_registry(settings)
        self._session = session = Session(
            registry,
            settings.cluster,
            self._me,
            settings.site,
            settings.terminals,
            settings.peers,
            settings.timings.lease_ms,
            settings.timings.etcd_deadline_ms,
            self._on_coordination,
            life=secrets.token_hex(8),
            clock_ms=wall_ms,
        )
        endpoint = Endpoint(metrics.registry)
        servers: tuple[grpc.aio.Server, ...] = ()
        try:
            servers = self._servers(metrics)
            for server in servers:
                await server.start()
            await endpoint.start(settings.metrics)
            self._store.start(self._driver)
            self._driver.elections = session
            self._driver.start()
            self._links.start()
            await session.start()
            session.publish(self._recovered_index(), "ready")
            self._journal.say(
                "started", f"disk {self._me.disk}, log ends at {self._recovered_index()}"
            )
            for note in self._recovered.notes:
                self._journal.say("recovered", note)
            publishing = asyncio.ensure_future(self._publish(session))
            try:
                await self._until_told(session)
            finally:
                publishing.cancel()
            await hand_over(self._driver)
        except (ListenError, OSError, UnsupportedVersion) as problem:
            print(f"refused to start: {problem}", file=sys.stderr)
            return 2
        finally:
            await self._take_apart(session, servers, endpoint)
            await registry.close()
            # While the loop still runs: the store tells what it finishes on the way.
            await asyncio.to_thread(self._store.close)
            readers.shutdown(wait=False, cancel_futures=True)
        self._journal.say("stopped", "")
        return self._exit_code

    # -- who we are ----------------------------------------------------------------------------

    def _servers(self, metrics: Metrics) -> tuple[grpc.aio.Server, ...]:
        replication = ReplicationService(
            self._hello,
            {peer.node: peer.site for peer in self._settings.others},
            self._on_message,
            lambda problem: self._journal.say("stranger", problem),
        )
        pace = Pace(self._settings.limits.snapshot_bytes_s, now_s=asyncio.get_running_loop().time)
        snapshots = SnapshotService(
            lambda: self._cluster_id,
            {peer.node for peer in self._settings.others},
            self._store.snapshot_file,
            pace,
            metrics.snapshot_sent,
        )
        return make_servers(
            self._settings, self._engine, metrics, self._relay, replication, snapshots
        )

    def _recovered_index(self) -> int:
        recovered = self._recovered
        return recovered.entries[-1].index if recovered.entries else recovered.base_index

    def _hello(self) -> Hello:
        settings = self._settings
        return Hello(
            settings.cluster, self._cluster_id, settings.node, self._me.disk, settings.site
        )

    # -- what comes in --------------------------------------------------------------------------

    def _on_message(self, sender: ReplicaId, message: Message) -> None:
        self._driver.feed(Received(sender, message))

    def _on_event(self, event: Event) -> None:
        self._journal(event)
        if event.kind in RECORDED:
            state = self._driver.replica.state
            self._session.record(event.kind, event.detail, state.promised, state.commit)
        if event.kind == "silent" and FULL in event.detail:
            self._stop(DISK_FULL)

    def _on_refused(self, node: str) -> None:
        self._driver.feed(PeerRefused(node))

    def _on_rejected(self, node: str, reason: str) -> None:
        self._journal.say("rejected", f"by {node}: {reason}")

    def _on_coordination(self, event: CoordinatorEvent) -> None:
        if isinstance(event, ConfigurationSeen) and not self._belongs(event):
            return
        self._driver.on_coordination(event)

    def _belongs(self, seen: ConfigurationSeen) -> bool:
        """E1: the cluster id is on disk before anything is promised; another's is refused."""
        cluster_id = seen.configuration.cluster_id
        if cluster_id == self._cluster_id:
            return True
        try:
            self._store.bind_cluster(cluster_id)
        except StoreRefused as problem:
            self._journal.say("refused", str(problem))
            self._stop(1)
            return False
        except StoreFailed:
            return False  # the store has told the driver why: the replica is silent
        self._cluster_id = self._picture.cluster_id = cluster_id
        return True

    # -- stopping -------------------------------------------------------------------------------

    def _stop(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._stopping.set()

    async def _until_told(self, session: Session) -> None:
        told = asyncio.ensure_future(self._stopping.wait())
        standing = asyncio.ensure_future(session.wait())
        await asyncio.wait((told, standing), return_when=asyncio.FIRST_COMPLETED)
        if standing.done() and (problem := standing.exception()) is not None:
            self._journal.say("broken", f"the session with etcd ended: {problem!r}")
            self._exit_code = 1
        for waiting in (told, standing):
            waiting.cancel()

    async def _publish(self, session: Session) -> None:
        """Keep what etcd says of this node near the truth: for people, when nobody can be asked."""
        while True:
            await asyncio.sleep(PUBLISH_S)
            role = self._driver.replica.role
            health = "ready" if not isinstance(role, Silent) else f"silent: {role.reason}"
            session.publish(self._driver.replica.state.log.last_index, health)

    async def _take_apart(
        self, session: Session, servers: tuple[grpc.aio.Server, ...], endpoint: Endpoint
    ) -> None:
        for server in servers:
            with contextlib.suppress(Exception):
                await server.stop(0.2)
        await self._relay.close()
        self._driver.stop()
        await self._snapshots.stop()
        await self._links.stop()
        await session.stop()
        await endpoint.stop()
