"""One life of a node's process: the programs of node/process.py, joined on a virtual loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.configuration import ReplicaId
from coordinator.events import ConfigurationSeen, CoordinatorEvent
from coordinator.session import Session
from loadtest.sim.calls import result
from loadtest.sim.coordination.registry import SimRegistry
from loadtest.sim.eyewitness import see
from loadtest.sim.ground import CLUSTER, Ground
from loadtest.sim.happening import Glance, Kind, Step
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.observed import Observed, observing
from loadtest.sim.storage.store import SimStore
from node.core.inputs import Input, PeerRefused, Received
from node.core.messages import Message, Offer
from node.core.outputs import Event, Output
from node.driver.snapshots import FetchFailed, Progress
from node.process import RECORDED
from node.store import FULL, Recovered, SnapshotFile, StoreFailed, StoreRefused
from node.works import hand_over, make_replica, make_works

if TYPE_CHECKING:
    from loadtest.sim.node import SimNode

_FETCH_S: Final = 2.0
_TRANSFER_S: Final = (0.005, 0.4)
_GIVEN_UP: Final = "this disk was given up"
_ON_DISK: Final = ("OSError", FULL)
"""What a reason for silence has in it if the disk brought it about."""


class Life:
    """Made inside its own loop (`VirtualLoop.enter`); it ends when that is killed."""

    def __init__(
        self, node: SimNode, ground: Ground, loop: VirtualLoop, store: SimStore, disk: Recovered
    ) -> None:
        self._node = node
        self._ground = ground
        self._loop = loop
        self._draw = ground.dice.of(f"replica {node.name}")
        self.store = store
        self.me = ReplicaId(node.name, disk.disk_id)
        self._cluster_id = disk.cluster_id
        settings = ground.settings(node.name)
        self.replica = make_replica(
            settings,
            disk,
            loop.time() * 1000,
            pruned=store.prune_index,
            life=f"{node.name}.{node.life}",
            random=self._draw.random,
            build=observing(self._on_step, lambda words: ground.broken("replica", words)),
        )
        works = make_works(
            settings,
            self.replica,
            store,
            disk,
            loop=loop,
            readers=loop.threads,
            send=self._send,
            journal=self._on_event,
            say=lambda kind, words: None,
            fetch_file=self._fetch_file,
            connected=dict,
            clock_ms=node.wall_ms,
        )
        self.driver, self.engine = works.driver, works.engine
        self.session = Session(
            SimRegistry(
                ground.etcd,
                ground.network,
                node.name,
                loop,
                settings.timings.etcd_deadline_ms,
            ),
            CLUSTER,
            self.me,
            node.site,
            settings.terminals,
            settings.peers,
            settings.timings.lease_ms,
            settings.timings.etcd_deadline_ms,
            self._on_coordination,
            life=f"{node.name}.{node.life}",
            clock_ms=node.wall_ms,
        )
        self.driver.elections = self.session
        store.start(self.driver)
        self.driver.start()
        last = disk.entries[-1].index if disk.entries else disk.base_index
        loop.create_task(self._stand(last)).add_done_callback(result)

    async def _stand(self, last_index: int) -> None:
        """Until it leaves; raises what its session, or the driver below it, died of."""
        await self.session.start()
        self.session.publish(last_index, "ready")
        await self.session.wait()

    # -- peers -----------------------------------------------------------------------------------

    def receive(self, sender: ReplicaId, message: Message) -> None:
        """A peer's message has arrived."""
        self.driver.feed(Received(sender, message))

    def _send(self, target: str, message: Message) -> None:
        node, me = self._ground.nodes[target], self.me

        def receive() -> None:
            if node.running is not None:
                node.running.receive(me, message)

        self._ground.network.send(
            self._node.name,
            target,
            receive,
            type(message).__name__,
            refused=lambda: self.driver.feed(PeerRefused(target)),
        )

    async def _fetch_file(self, source: str, offer: Offer, part: Path, progress: Progress) -> None:
        """As node/rpc/fetching does: ask for the file, have it cut short by whatever happens."""
        network, me = self._ground.network, self._node.name
        wanted: asyncio.Future[SnapshotFile | None] = self._loop.create_future()

        def give() -> None:
            there = self._ground.nodes[source].running
            file = there.store.snapshot_file(offer.index, offer.hash) if there else None
            network.send(source, me, lambda: take(file), "snapshot", stream=True)

        def take(file: SnapshotFile | None) -> None:
            if not wanted.done():
                wanted.set_result(file)

        def again() -> None:
            network.send(me, source, give, "snapshot wanted", stream=True)

        again()
        try:
            async with asyncio.timeout(_FETCH_S):
                file = await wanted
                await asyncio.sleep(self._draw.uniform(*_TRANSFER_S))
        except TimeoutError:
            raise FetchFailed("the peer does not answer") from None
        there = self._ground.nodes[source].running
        if file is None or there is None or (source, me) in network.cut:
            raise FetchFailed("cut short")
        self.store.keep_part(part, file)
        progress(1, 1)

    # -- etcd ------------------------------------------------------------------------------------

    def _on_coordination(self, event: CoordinatorEvent) -> None:
        """As node/process.py: the cluster id is on disk before anything is promised (E1)."""
        if isinstance(event, ConfigurationSeen):
            cluster_id = event.configuration.cluster_id
            if cluster_id != self._cluster_id:
                try:
                    self.store.bind_cluster(cluster_id)
                except StoreFailed:
                    return  # the store has told the driver
                except StoreRefused as problem:
                    self._ground.broken("E1", f"{self.me}: {problem}")
                    return
                self._cluster_id = cluster_id
        self.driver.on_coordination(event)

    # -- whoever watches -------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if event.kind in RECORDED:
            state = self.replica.state
            self.session.record(event.kind, event.detail, state.promised, state.commit)
        if event.kind == "silent":
            if not self._is_foreseen(event.detail):
                self._ground.broken("M2" if "breach" in event.detail else "defect", event.detail)
            self._ground.happened(Kind.SILENT, self._node.name, event.detail)
            if FULL in event.detail:
                self._node.wait_for_room()
        elif event.kind == "rolled-back":
            accused = ReplicaId.parse(event.detail.partition(" ")[0])
            if not self._ground.nodes[accused.node].has_lied(accused.disk):
                self._ground.broken("D5", f"{self._node.name} of a good disk: {event.detail}")

    def _is_foreseen(self, why: str) -> bool:
        """Is a replica silent for what befell its disk? Else it is a breach, or a fault in the
        program; but one that a promotion with loss has given up without having heard of it may
        meet a leader that has other entries than it has (X4)."""
        if why.startswith("storage failed"):
            return any(words in why for words in _ON_DISK)
        configuration, _ = self._ground.etcd.configuration()
        if why.startswith(_GIVEN_UP):
            return configuration is not None and self.me in configuration.given_up
        counts = configuration is not None and self.me in configuration.members
        return self._node.disk.began_ms < self._ground.promoted_ms and not counts

    def _on_step(
        self, replica: Observed, input: Input, before: Glance, after: Glance, output: Output
    ) -> None:
        ground, node = self._ground, self._node
        if node.loop is not self._loop:
            ground.broken("fault in the simulator", f"{self.me} goes on after its end")
        see(ground, node, self.me, replica, input, output)
        ground.timeline.note(
            f"{after.role} {after.promised} {after.commit} {after.applied} {after.last} "
            f"{len(output.send)} {len(output.persist)} {replica.state.log.last_hash.hex()}"
        )
        step = Step(ground.timeline.now, node.name, node.life, input, before, after, output)
        for listener in ground.listeners:
            listener(step)

    # -- leaving ---------------------------------------------------------------------------------

    async def leave(self) -> None:
        """A planned stop: hand over first, as node/process.py does (H1)."""
        await hand_over(self.driver)
        self.driver.stop()
        await self.session.stop()
        self.store.close()
