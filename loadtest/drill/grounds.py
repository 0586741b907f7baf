"""Where drills are played: on loopback, or with a network namespace for each host.

The players see the same few things either way: the topology with its addresses, how a program is
put on its host, and the links that can be cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from deploy.lab import etcd_binary
from deploy.lab.etcd_binary import EtcdRefused
from deploy.lab.netns.enter import GroundRefused, enter
from deploy.lab.netns.network import Network, NetworkError
from deploy.lab.netns.plan import TERMINALS, PlanError
from deploy.lab.parts import Launcher, here
from deploy.topology import Topology
from loadtest.drill.catalogue import Drill, Kind


class CannotBeDone(RuntimeError):
    """This ground does not allow it, or cannot be had; the message says why and what would help."""


class Ground(Protocol):
    """What a drill needs of the place where it is played."""

    @property
    def topology(self) -> Topology:
        """The cluster with the addresses that it has here."""

    @property
    def launcher(self) -> Launcher:
        """Puts a program, by its name, on its host; `terminals` is the load generator."""

    def cut_sites(self) -> None:
        """Let the link between the sites swallow everything. Raises `CannotBeDone`."""

    def isolate(self, site: str) -> None:
        """Cut a site from everything but itself. Raises `CannotBeDone`."""

    def restore(self) -> None:
        """Make every link whole again. Raises `CannotBeDone`."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """Every program on this machine's loopback: processes can be hurt, the network cannot."""

    topology: Topology
    launcher: Launcher = here

    def cut_sites(self) -> None:
        """Raises `CannotBeDone`."""
        raise CannotBeDone(_WHY)

    def isolate(self, site: str) -> None:
        """Raises `CannotBeDone`."""
        raise CannotBeDone(_WHY)

    def restore(self) -> None:
        """Nothing was cut."""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Every host in a network namespace of its own; we stand in the control room."""

    network: Network

    @property
    def topology(self) -> Topology:
        """With the network's addresses."""
        return self.network.topology

    @property
    def launcher(self) -> Launcher:
        """Into the host's namespace."""
        return self.network.launcher

    def cut_sites(self) -> None:
        """Cut the cable between the two sites' routers."""
        sites = [site.name for site in self.topology.sites]
        if len(sites) != 2:
            raise CannotBeDone(f"there is no link between {len(sites)} sites: expected two sites")
        with _told():
            self.network.cut("-".join(self.network.plan.router(site) for site in sites))

    def isolate(self, site: str) -> None:
        """Cut the site's router from all others; we still see into it."""
        with _told():
            self.network.isolate(site)

    def restore(self) -> None:
        """Undo every cut."""
        with _told():
            self.network.heal()


def go_to(drill: Drill, say: Callable[[str], None]) -> None:
    """Go where this drill can be played. This may begin the program anew elsewhere, so it is called
    before anything else is done; `say` is told what takes long. Raises `CannotBeDone`.
    """
    if drill.ground is Kind.NETNS:
        try:
            # Inside there is no way to where packages come from.
            etcd_binary.find(say=say)
            enter()
        except (EtcdRefused, GroundRefused) as problem:
            raise CannotBeDone(f"{drill.name} cannot be played here: {problem}") from problem


@contextmanager
def ground_of(drill: Drill, topology: Topology) -> Iterator[Ground]:
    """The ground of this drill, for as long as the block lasts. Raises `CannotBeDone`."""
    if drill.ground is Kind.PROCESSES:
        yield Loopback(topology)
        return
    with _told():
        network = Network(topology)
        network.__enter__()
    try:
        yield Namespaces(network)
    finally:
        network.__exit__(None, None, None)


def terminals_command(launcher: Launcher, command: list[str]) -> list[str]:
    """The load generator's command, put on the terminals' host."""
    return list(launcher(TERMINALS, command))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (NetworkError, PlanError) as problem:
        raise CannotBeDone(str(problem)) from problem


_WHY = 'on loopback nothing can be cut; a drill that needs it says ground = "netns"'
