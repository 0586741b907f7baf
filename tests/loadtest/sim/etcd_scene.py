"""An etcd in virtual time, and hosts with processes that use it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from coordinator.configuration import Configuration, ReplicaId
from loadtest.sim.coordination.etcd import SimEtcd
from loadtest.sim.coordination.registry import SimRegistry
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.network import Manners, Network
from loadtest.sim.setup import EtcdManners
from loadtest.sim.timeline import Dice, Timeline

T = TypeVar("T")

DEADLINE_MS: Final = 600
HONEST: Final = EtcdManners(answer_lost=0.0, late=0.0)
QUICK: Final = Manners(late=0.0)


@dataclass
class Computer:
    """A host with one process after another."""

    name: str
    site: str = "a"
    loop: VirtualLoop | None = None


@dataclass
class Scene:
    """An etcd, hosts, and all that was told of them."""

    manners: EtcdManners = HONEST
    seed: int = 1
    told: list[Happened] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timeline = Timeline()
        self.dice = Dice(self.seed)
        self.network = Network(self.timeline, self.dice, self.hear, QUICK)
        self.etcd = SimEtcd(self.timeline, self.dice, self.hear, self.manners)
        self.network.attach(self.etcd)
        self.loops: list[VirtualLoop] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def over(self) -> None:
        """End every process, so that nothing of it is missed."""
        for loop in self.loops:
            loop.kill()

    def hear(self, told: Told) -> None:
        """Remember what happened."""
        assert isinstance(told, Happened)
        self.told.append(told)

    def kinds(self) -> list[Kind]:
        """What has happened, in order."""
        return [told.kind for told in self.told]

    def host(self, name: str = "a1") -> Computer:
        """A host whose process runs, in a new life if it had one."""
        host = self.network.hosts.get(name)
        if not isinstance(host, Computer):
            host = Computer(name)
            self.network.attach(host)
        host.loop = VirtualLoop(name, self.timeline, self.dice.of(name))
        self.loops.append(host.loop)
        return host

    def registry(self, host: Computer) -> SimRegistry:
        """The host's way to etcd."""
        assert host.loop is not None
        return SimRegistry(self.etcd, self.network, host.name, host.loop, DEADLINE_MS)

    def begin(self, host: Computer, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something in the host's process."""
        assert host.loop is not None
        begun: list[asyncio.Task[T]] = []
        loop = host.loop
        loop.enter(lambda: begun.append(loop.create_task(work)))
        # Somebody must remember it: a loop itself does not.
        self.tasks += begun
        return begun[0]

    def do(self, host: Computer, work: Coroutine[Any, Any, T], within_ms: float = 10_000) -> T:
        """What comes of it."""
        task = self.begin(host, work)
        until = self.timeline.now + within_ms
        while not task.done():
            assert self.timeline.now < until
            self.run(1)
        return task.result()

    def run(self, ms: float) -> None:
        """Let time pass."""
        self.timeline.run(self.timeline.now + ms)


def configured(scene: Scene, *nodes: str) -> tuple[Configuration, int]:
    """Write a configuration with these nodes; its value and revision."""
    members = frozenset(ReplicaId(node, f"disk-{node}") for node in nodes)
    configuration = Configuration("cluster-id", "a", {"a": members, "b": frozenset()}, 1)
    return configuration, scene.etcd.put(scene.etcd.keys.configuration, configuration.to_json())
