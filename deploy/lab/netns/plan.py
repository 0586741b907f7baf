"""Which hosts, links and routes the network of a topology is made of. Nothing is done here.

Every place has a /24 of its own: its hosts count from 1, its router is 254. All addresses are /32
on the host's loopback interface, so a host keeps its address when a link of it is taken away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from deploy.addresses import split
from deploy.topology import Topology

ROOM: Final = "room"
"""The host of whoever made the network: the drill's runner, the operators."""

TERMINALS: Final = "terminals"
"""The host of the terminals: the load generator's."""

_SHORT: Final = {"witness": "w", TERMINALS: "t"}
_HOSTS_MAX: Final = 250
_FIRST_LINK: Final = 101  # some kernels give every namespace a few interfaces, counted from 1


class PlanError(ValueError):
    """A topology that cannot be given a network; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace with one address; a router forwards what is not for itself."""

    name: str
    address: str
    forwards: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two hosts; `number` is unique in the network, also as an
    interface's."""

    number: int
    ends: tuple[str, str]

    @property
    def name(self) -> str:
        """Both hosts' names, such as `ra-rb`."""
        return "-".join(self.ends)

    def far(self, host: str) -> str:
        """The host at the other end. Raises `KeyError` for a host that is at neither."""
        if host not in self.ends:
            raise KeyError(host)
        return self.ends[1] if self.ends[0] == host else self.ends[0]


@dataclass(frozen=True, slots=True)
class Route:
    """What `host` sends to addresses that begin like `to` (`length` bits) goes over `link`."""

    host: str
    to: str
    length: int
    link: Link


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole network. `topology` is the one that was asked for, with the network's addresses;
    `routers` has the router of each place."""

    topology: Topology
    hosts: Mapping[str, Host]
    routers: Mapping[str, str]
    links: tuple[Link, ...]
    routes: tuple[Route, ...]

    def link(self, name: str) -> Link:
        """The link of that name, its two hosts in either order. Raises `PlanError`."""
        for link in self.links:
            if name in (link.name, "-".join(reversed(link.ends))):
                return link
        known = ", ".join(link.name for link in self.links)
        raise PlanError(f"no link {name!r} in this network; expected one of {known}")

    def host(self, name: str) -> Host:
        """The host of that name. Raises `PlanError`."""
        if name not in self.hosts:
            raise PlanError(
                f"no host {name!r} in this network; expected one of {', '.join(self.hosts)}"
            )
        return self.hosts[name]

    def router(self, place: str) -> str:
        """The name of a place's router. Raises `PlanError`."""
        if place not in self.routers:
            known = ", ".join(self.routers)
            raise PlanError(f"no place {place!r} in this network; expected one of {known}")
        return self.routers[place]

    def outward(self, place: str) -> tuple[Link, ...]:
        """The links of a place's router to other places' routers: not its hosts, not the room."""
        routers = set(self.routers.values())
        own = self.router(place)
        return tuple(link for link in self.links if own in link.ends and link.far(own) in routers)


def plan(topology: Topology) -> Plan:
    """The network for `topology`. Raises `PlanError` if two hosts would have one name, or if a
    place has more hosts than addresses."""
    places = {place: topology.at(place) for place in topology.places()}
    if TERMINALS in places:
        raise PlanError(f"a place cannot be called {TERMINALS!r}: that is where the terminals are")
    places[TERMINALS] = (TERMINALS,)
    routers = {place: f"r{_SHORT.get(place, place)}" for place in places}
    nets = {place: f"198.18.{number}" for number, place in enumerate(places, 1)}
    room = Host(ROOM, f"198.18.{len(places) + 1}.1")

    hosts: dict[str, Host] = {}
    for host in (room, *_hosts(places, routers, nets)):
        if host.name in hosts:
            raise PlanError(f"two hosts of the network would be called {host.name!r}; rename one")
        hosts[host.name] = host

    pairs = [(name, routers[place]) for place, names in places.items() for name in names]
    pairs += list(_between(topology, routers))
    pairs += [(ROOM, router) for router in routers.values()]
    links = tuple(Link(number, pair) for number, pair in enumerate(pairs, _FIRST_LINK))
    return Plan(
        topology=_readdressed(topology, hosts),
        hosts=hosts,
        routers=routers,
        links=links,
        routes=tuple(_routes(links, hosts, {routers[place]: net for place, net in nets.items()})),
    )


def _hosts(
    places: Mapping[str, tuple[str, ...]], routers: Mapping[str, str], nets: Mapping[str, str]
) -> Iterator[Host]:
    for place, names in places.items():
        if len(names) > _HOSTS_MAX:
            raise PlanError(f"{len(names)} hosts at {place}; at most {_HOSTS_MAX} have addresses")
        yield Host(routers[place], f"{nets[place]}.254", forwards=True)
        for number, name in enumerate(names, 1):
            yield Host(name, f"{nets[place]}.{number}")


def _between(topology: Topology, routers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of routers that have a link: any two places; each site and the terminals."""
    for one, other in itertools.combinations(topology.places(), 2):
        yield routers[one], routers[other]
    for site in topology.sites:
        yield routers[site.name], routers[TERMINALS]


def _routes(
    links: tuple[Link, ...], hosts: Mapping[str, Host], nets: Mapping[str, str]
) -> Iterator[Route]:
    """Each end's way over each link; `nets` has the first three numbers by router."""
    for link in links:
        for here, there in (link.ends, reversed(link.ends)):
            if there in nets and here not in nets and here != ROOM:
                yield Route(here, "0.0.0.0", 0, link)  # a host knows its router, and no more
            elif there in nets:
                yield Route(here, f"{nets[there]}.0", 24, link)
            else:
                yield Route(here, hosts[there].address, 32, link)


def _readdressed(topology: Topology, hosts: Mapping[str, Host]) -> Topology:
    """The same topology and ports, at the network's addresses."""

    def moved(name: str, address: str) -> str:
        return f"{hosts[name].address}:{split(address)[1]}"

    replace = msgspec.structs.replace
    return replace(
        topology,
        sites=tuple(
            replace(
                site,
                nodes=tuple(
                    replace(
                        node,
                        terminals=moved(node.name, node.terminals),
                        peers=moved(node.name, node.peers),
                        metrics=moved(node.name, node.metrics),
                    )
                    for node in site.nodes
                ),
            )
            for site in topology.sites
        ),
        etcd=tuple(
            replace(
                member,
                client=moved(member.name, member.client),
                peers=moved(member.name, member.peers),
            )
            for member in topology.etcd
        ),
    )
