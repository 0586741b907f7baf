"""Every host in a network namespace of its own; we stand in the control room, and see into each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from deploy.lab import etcd_binary, faketime
from deploy.lab.etcd_binary import EtcdRefused
from deploy.lab.faketime import FaketimeMissing
from deploy.lab.netns.enter import GroundRefused, enter
from deploy.lab.netns.network import Network, NetworkError
from deploy.lab.netns.plan import TERMINALS
from deploy.lab.parts import Launcher
from deploy.topology import Topology
from loadtest.drill.catalogue import CLOCK, DISK_FAULTS, NETWORK
from loadtest.drill.grounds.ports import CannotBeDone, Ground
from loadtest.faults import (
    BETWEEN_SITES,
    SITE,
    SWITCH,
    TERMINALS_LINK,
    Cut,
    CutOff,
    Isolate,
    Lossy,
    NetworkFault,
    PortDown,
    Slow,
    SwitchDown,
)

OFFERS: Final = frozenset({NETWORK, DISK_FAULTS, CLOCK})
"""What drills may need and find here."""


class Namespaces:
    """The ground on `network`. Each fault is mended for itself: what another one harms as well
    stays harmed until that one is over, too."""

    offers = OFFERS

    def __init__(self, network: Network) -> None:
        self._network = network
        self._done: list[NetworkFault] = []

    @property
    def topology(self) -> Topology:
        """With the network's addresses."""
        return self._network.topology

    @property
    def launcher(self) -> Launcher:
        """Into the host's namespace."""
        return self._network.launcher

    def harm(self, fault: NetworkFault) -> str:
        """Do it to the network. Of the same loss or delay there is only one at a time."""
        if any(_same(fault, each) for each in self._done):
            name = type(fault).__name__.lower()
            raise CannotBeDone(f"{fault.target} suffers from {name} already: heal that first")
        self._done.append(fault)  # before it is done: whoever interrupts must find it
        try:
            with told():
                return self._harm(fault)
        except CannotBeDone:
            self._done.remove(fault)
            raise

    def mend(self, fault: NetworkFault) -> None:
        """Undo it."""
        if fault in self._done:
            with told():
                self._mend(fault)
            self._done.remove(fault)

    def _harm(self, fault: NetworkFault) -> str:
        network, target = self._network, fault.target
        match fault:
            case Cut(way="both"):
                network.cut(self._link(target))
            case Cut(way="to"):
                network.one_way(self._link(target))
            case Cut():
                network.one_way(self._link(target, backwards=True))
            case Isolate():
                network.isolate(target.removeprefix(SITE))
            case CutOff():
                network.keep_apart(target, self._group(fault), fault.way)
            case SwitchDown():
                network.switch_down(*_switch(target))
            case PortDown():
                network.port_down(target, fault.switch)
            case Lossy() if target.startswith(SWITCH):
                network.lossy(*_switch(target), fault.share)
            case Lossy():
                network.lossy_link(self._link(target), fault.share)
            case Slow():
                return network.delay(self._link(target), fault.delay_ms)
        return ""

    def _mend(self, fault: NetworkFault) -> None:
        network, target = self._network, fault.target
        match fault:
            case Cut(way="both"):
                network.restore(self._link(target))
            case Cut(way="to"):
                network.both_ways(self._link(target))
            case Cut():
                network.both_ways(self._link(target, backwards=True))
            case Isolate():
                network.rejoin(target.removeprefix(SITE))
            case CutOff():
                network.reunite(target, self._group(fault), fault.way)
            case SwitchDown():
                network.switch_up(*_switch(target))
            case PortDown():
                network.port_up(target, fault.switch)
            case Lossy() if target.startswith(SWITCH):
                network.lossless(*_switch(target))
            case Lossy():
                network.lossless_link(self._link(target))
            case Slow():
                network.no_delay(self._link(target))

    def _link(self, target: str, *, backwards: bool = False) -> str:
        """The link of that name, from the site that looks at it to its other end."""
        if target == BETWEEN_SITES:
            own = self.topology.active_site
            others = [site.name for site in self.topology.sites if site.name != own]
            if len(others) != 1:
                raise CannotBeDone(f"a link between sites takes two sites, not {len(others) + 1}")
            ends = own, others[0]
        elif target.startswith(TERMINALS_LINK):
            ends = target.removeprefix(TERMINALS_LINK), TERMINALS
        else:
            raise CannotBeDone(f"{target} is no link: {BETWEEN_SITES} is one, or {TERMINALS_LINK}a")
        return self._network.between(*(reversed(ends) if backwards else ends))

    def _group(self, fault: CutOff) -> Sequence[str]:
        """The hosts that a node is cut off from."""
        match fault.others:
            case "peers":
                return [node.name for node in self.topology.nodes if node.name != fault.target]
            case "etcd":
                return [member.name for member in self.topology.etcd]
            case "terminals":
                return [TERMINALS]


def go_there(needs: Collection[str], say: Callable[[str], None]) -> None:
    """Begin this program anew on a private ground, unless it stands on one already. Raises
    `CannotBeDone`."""
    try:
        # Inside there is no way to where packages come from.
        etcd_binary.find(say=say)
        if CLOCK in needs:
            faketime.find(say=say)
        enter()
    except (EtcdRefused, FaketimeMissing, GroundRefused) as problem:
        raise CannotBeDone(str(problem)) from problem


@contextmanager
def standing(topology: Topology) -> Iterator[Ground]:
    """The network of this topology, for as long as the block lasts. Raises `CannotBeDone`."""
    with told():
        network = Network(topology)
        network.__enter__()
    try:
        yield Namespaces(network)
    finally:
        network.__exit__(None, None, None)


@contextmanager
def told() -> Iterator[None]:
    """What a network refuses, in the words of a ground."""
    try:
        yield
    except (NetworkError, ValueError) as problem:
        raise CannotBeDone(str(problem)) from problem


def _same(fault: NetworkFault, other: NetworkFault) -> bool:
    """Would the network take them for one? Of a loss or a delay it keeps only one amount."""
    if isinstance(fault, Lossy | Slow):
        return type(fault) is type(other) and fault.target == other.target
    return fault == other


def _switch(target: str) -> tuple[str, int]:
    """The site and the number in the name of a switch."""
    site, _, number = target.removeprefix(SWITCH).partition("/")
    if not target.startswith(SWITCH) or not number.isdecimal():
        raise CannotBeDone(f"{target} is no switch: the first one of site a is {SWITCH}a/1")
    return site, int(number)
