"""A world of puppets: it remembers what was done to it, and time, wires and etcd's record are real
enough for troubles to find their victims."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from coordinator.configuration import Configuration, ReplicaId
from loadtest.sim.happening import Listener, Told
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.network import Host, Manners, Network
from loadtest.sim.setup import Setup
from loadtest.sim.timeline import Dice, Timeline
from loadtest.sim.world import World
from node.core import Timings

SETUP = Setup({"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")}, 2, Timings())


def configuration(active: str = "a", setup: Setup = SETUP, **sets: str) -> Configuration:
    """Every node on its first disk, but for the sites whose members are named."""
    names = {site: list(nodes) for site, nodes in setup.sites.items()}
    names |= {site: members.split() for site, members in sets.items()}
    in_sync = {
        site: frozenset(ReplicaId(name, "disk1") for name in members)
        for site, members in names.items()
    }
    return Configuration("test", active, in_sync, setup.copies_min)


@dataclass
class PuppetDisk:
    """A disk that notes what befalls it."""

    log: list[str]
    name: str
    disk_id: str = "disk1"
    lied: bool = False

    def lie(self) -> None:
        self.lied = True
        self.log.append(f"{self.name} lies")

    def slow(self, ms: float) -> None:
        self.log.append(f"{self.name} slow {ms:g}")

    def fill(self, full: bool) -> None:
        self.log.append(f"{self.name} full {full}")

    def fail(self) -> None:
        self.log.append(f"{self.name} fails")


@dataclass
class Puppet:
    """A process that notes what befalls it."""

    log: list[str]
    name: str
    site: str
    up: bool = True
    life: int = 1
    clock_error_ms: float = 0.0
    clock_rate: float = 1.0
    loop: VirtualLoop | None = None
    disk: PuppetDisk = field(init=False)

    def __post_init__(self) -> None:
        self.disk = PuppetDisk(self.log, self.name)

    def _note(self, what: str) -> None:
        self.log.append(f"{self.name} {what}")

    def crash(self, why: str = "killed") -> None:
        self.up = False
        self._note("crash")

    def start(self) -> None:
        if not self.up:
            self.up = True
            self.life += 1
            self._note("start")

    def stop(self) -> None:
        self._note("stop")

    def pause(self) -> None:
        self._note("pause")

    def wake(self) -> None:
        self._note("wake")

    def lose_disk(self) -> None:
        self.crash()
        self.disk = PuppetDisk(self.log, self.name, "disk2")


class Stage:
    """The parts of a `World` that troubles touch."""

    def __init__(self, setup: Setup = SETUP) -> None:
        self.setup = setup
        self.log: list[str] = []
        self.told: list[Told] = []
        self.timeline = Timeline()
        self.ground = SimpleNamespace(listeners=(self.told.append,))
        self.network = Network(self.timeline, Dice(1), self.tell, Manners())
        self.nodes = {name: Puppet(self.log, name, site) for name, site in setup.nodes.items()}
        self.watches = {place: Puppet(self.log, f"watch-{place}", place) for place in setup.places}
        self.terminals = [
            SimpleNamespace(
                name=f"t{number:04d}",
                site="",
                loop=None,
                switch_off=lambda: self.log.append("off"),
                switch_on=lambda: self.log.append("on"),
            )
            for number in range(2)
        ]
        hosts = (*self.nodes.values(), *self.watches.values(), Puppet(self.log, "etcd", ""))
        for host in (*hosts, *self.terminals):
            self.network.attach(cast(Host, host))
        self.etcd = SimpleNamespace(
            away=lambda: self.log.append("etcd away"),
            back=lambda: self.log.append("etcd back"),
            expire=lambda name: self.log.append(f"expire {name}"),
            compact=lambda: self.log.append("compact"),
            manners=setup.etcd,
        )
        self.desk = SimpleNamespace(
            handover=lambda: self.log.append("handover"),
            switch=lambda site: self.log.append(f"switch {site}"),
            promote=lambda site: self.log.append(f"promote {site}"),
        )
        self.key = "a1"
        self.record: Configuration | None = configuration(setup=setup)

    def tell(self, told: Told) -> None:
        listeners: tuple[Listener, ...] = self.ground.listeners
        for listener in listeners:
            listener(told)

    def configuration(self) -> tuple[Configuration | None, int]:
        return self.record, 1

    def leader(self) -> str:
        return self.key

    @property
    def world(self) -> World:
        """This, for those who want a world."""
        return cast(World, self)
