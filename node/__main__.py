"""One settlement node as a process: `python -m node SETTINGS.json [--new-disk]`.

Wiring only: opens the disk, makes the replica, joins store, peers, etcd and gRPC to it, and takes
them apart in the other order on SIGTERM or SIGINT, handing the leadership over first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc.aio

from coordinator.configuration import ReplicaId
from coordinator.events import ConfigurationSeen, CoordinatorEvent
from coordinator.keyvalue import UnsupportedVersion
from coordinator.session import Session
from node.assembly import last_stamp_ms, make_replica, make_servers
from node.core.inputs import HandoverAsked, PeerRefused, Received
from node.core.leader import Leader
from node.core.messages import Message
from node.driver.driver import Driver
from node.driver.engine import QuorumLog
from node.driver.intake import Intake
from node.journal import Journal
from node.metrics import Endpoint, Metrics
from node.rpc.replication import Links, PeerLink, ReplicationService
from node.rpc.server import ListenError
from node.rpc.wire_replication import Hello
from node.settings import Settings, SettingsError, load
from node.store import Recovered, Store, StoreRefused

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter: the store must not wait 5 ms for the event loop."""

GARBAGE_THRESHOLD = 20_000
"""Objects made before cycles are searched for; Python's own 700 is a search every few requests."""


def main() -> int:
    """The process: 0 after a clean stop, 2 when it may not start, 1 when it had to stop."""
    parser = argparse.ArgumentParser(prog="python -m node", description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument(
        "--new-disk",
        action="store_true",
        help="put a refused disk's files aside and begin with an empty one (another replica)",
    )
    arguments = parser.parse_args()
    try:
        settings = load(arguments.settings)
        if arguments.new_disk:
            print(f"kept aside: {Store.set_aside(Path(settings.folder))}", file=sys.stderr)
        store, recovered = Store.open(
            Path(settings.folder),
            node=settings.node,
            entries_in_memory=settings.limits.entries_in_memory,
            fault_file=Path(settings.disk_fault_file) if settings.disk_fault_file else None,
        )
    except (SettingsError, StoreRefused) as problem:
        print(f"refused to start: {problem}", file=sys.stderr)
        return 2
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What is there now stays; later garbage has few cycles, and each search for them is a stall.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
    try:
        return _run(settings, store, recovered)
    finally:
        store.close()


def _run(settings: Settings, store: Store, recovered: Recovered) -> int:
    node = Node(settings, store, recovered)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(node.run())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(node.run())


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
                peer.node: PeerLink(peer.node, peer.peers, self._hello, self._on_refused)
                for peer in settings.others
            }
        )
        self._driver = Driver(
            make_replica(settings, self._recovered, loop.time() * 1000),
            self._store,
            send=self._links.send,
            journal=self._journal,
            loop=loop,
            readers=readers,
            append_bytes=settings.limits.append_bytes,
        )
        terminals = {peer.node: peer.terminals for peer in settings.others}
        intake = Intake(
            loop=loop,
            admit=self._store.admit,
            propose=self._driver.propose,
            may_propose=lambda: self._driver.replica.accepting,
            prove=lambda: self._engine.prove(),
            leader_endpoint=lambda: self._engine.leader_endpoint(),
            clock_ms=lambda: time.time_ns() // 1_000_000,
            waiting_commands=settings.limits.waiting_commands,
            batch_commands=settings.limits.batch_commands,
            batches_under_way=settings.limits.batches_under_way,
            batch_interval_ms=settings.limits.batch_interval_ms,
        )
        intake.last_stamp_ms = last_stamp_ms(self._recovered)
        self._engine = QuorumLog(
            self._driver,
            intake,
            self._store,
            readers,
            terminals={**terminals, settings.node: settings.terminals},
            connected=self._links.connected,
            cluster_id=self._cluster_id,
        )
        self._driver.waiters = self._engine
        metrics = Metrics(
            self._engine.status, lambda: (self._store.fsyncs, self._store.fsync_seconds)
        )
        intake.on_batch = metrics.batch
        self._engine.on_serving = metrics.takeover

        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stopping.set)
        session = Session(
            settings.etcd,
            settings.cluster,
            self._me,
            settings.site,
            settings.terminals,
            settings.peers,
            settings.timings.lease_ms,
            settings.timings.etcd_deadline_ms,
            self._on_coordination,
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
            await self._until_told(session)
            await self._hand_over()
        except (ListenError, OSError, UnsupportedVersion) as problem:
            print(f"refused to start: {problem}", file=sys.stderr)
            return 2
        finally:
            await self._take_apart(session, servers, endpoint)
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
        return make_servers(self._settings, self._engine, metrics, replication)

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

    def _on_refused(self, node: str) -> None:
        self._driver.feed(PeerRefused(node))

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
        self._cluster_id = self._engine.cluster_id = cluster_id
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

    async def _hand_over(self) -> None:
        """A planned stop of the leader is a planned change of leader (H1): nobody is refused."""
        tries = 3
        while isinstance(self._driver.replica.role, Leader) and tries > 0:
            tries -= 1
            self._driver.feed(HandoverAsked(""))
            for _ in range(50):
                role = self._driver.replica.role
                if not isinstance(role, Leader) or role.handing_over is None:
                    break
                await asyncio.sleep(0.01)
        # Let those who waited here be told where the new leader is.
        await asyncio.sleep(0.05)

    async def _take_apart(
        self, session: Session, servers: tuple[grpc.aio.Server, ...], endpoint: Endpoint
    ) -> None:
        for server in servers:
            with contextlib.suppress(Exception):
                await server.stop(0.2)
        self._driver.stop()
        await self._links.stop()
        await session.stop()
        await endpoint.stop()


if __name__ == "__main__":
    sys.exit(main())
