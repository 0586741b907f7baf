"""Which hosts and links the network of a topology is made of, and their addresses. Nothing is done
here; which way packets take over the links is in ways.py.

Every place has a /24 of its own: its hosts count from 1, its router is 254, a site's switches 253
and 252. A site's hosts have another address for each switch, in a /24 that is 64 higher; those that
are on no switch have one for each number of a switch (planes.py). All addresses are /32 on the
host's loopback interface, so a host keeps them when a link of it is taken away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from deploy.addresses import split
from deploy.lab.netns.planes import elsewhere
from deploy.lab.netns.ways import Host, Link, Route, Wiring, pinned_net, routes
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
class Plan:
    """The whole network. `topology` is the one that was asked for, with the network's addresses;
    `routers` has the router of each place, `switches` those of each site."""

    topology: Topology
    hosts: Mapping[str, Host]
    routers: Mapping[str, str]
    switches: Mapping[str, tuple[str, ...]]
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

    def switch(self, site: str, number: int) -> str:
        """The name of a site's switch; they count from 1. Raises `PlanError`."""
        if site not in self.switches:
            known = ", ".join(self.switches)
            raise PlanError(f"no switches at {site!r} in this network; expected one of {known}")
        own = self.switches[site]
        if not 1 <= number <= len(own):
            raise PlanError(
                f"no switch {number} at site {site!r}; expected one of 1 to {len(own)}: "
                f"{', '.join(own)}"
            )
        return own[number - 1]

    def port(self, host: str, number: int) -> Link:
        """The link between a host and its site's switch of that number. Raises `PlanError`."""
        self.host(host)
        site = next((each for each in self.switches if host in self.topology.at(each)), None)
        if site is None:
            raise PlanError(f"{host!r} is on no switch: only the hosts of a site are")
        return self.link(f"{host}-{self.switch(site, number)}")

    def at(self, host: str) -> tuple[Link, ...]:
        """All links of a host."""
        return tuple(link for link in self.links if host in link.ends)

    def outward(self, place: str) -> tuple[Link, ...]:
        """The links of a place's router to other places' routers: not those within."""
        routers = set(self.routers.values())
        own = self.router(place)
        return tuple(link for link in self.at(own) if link.far(own) in routers)


def plan(topology: Topology) -> Plan:
    """The network for `topology`. Raises `PlanError` if two hosts would have one name, or if a
    place has more hosts than addresses."""
    places = {place: topology.at(place) for place in topology.places()}
    if TERMINALS in places:
        raise PlanError(f"a place cannot be called {TERMINALS!r}: that is where the terminals are")
    places[TERMINALS] = (TERMINALS,)
    routers = {place: f"r{_SHORT.get(place, place)}" for place in places}
    switches = {
        site.name: tuple(f"s{site.name}{number + 1}" for number in range(site.switches))
        for site in topology.sites
    }
    nets = {place: f"198.18.{number}" for number, place in enumerate(places, 1)}

    hosts: dict[str, Host] = {}
    room = Host(ROOM, f"198.18.{len(places) + 1}.1")
    for place, names in places.items():
        if len(names) > _HOSTS_MAX:
            raise PlanError(f"{len(names)} hosts at {place}; at most {_HOSTS_MAX} have addresses")
    for host in (room, *_hosts(places, routers, switches, nets)):
        if host.name in hosts:
            raise PlanError(f"two hosts of the network would be called {host.name!r}; rename one")
        hosts[host.name] = host

    pairs = (
        *_within(places, routers, switches),
        *_between(topology, routers),
        *((ROOM, name) for names in places.values() for name in names),
    )
    links = tuple(Link(number, pair) for number, pair in enumerate(pairs, _FIRST_LINK))
    wiring = Wiring(hosts, links, places, routers, switches, nets, ROOM)
    return Plan(
        topology=_readdressed(topology, hosts),
        hosts=hosts,
        routers=routers,
        switches=switches,
        links=links,
        routes=(*routes(wiring), *elsewhere(wiring)),
    )


def _hosts(
    places: Mapping[str, tuple[str, ...]],
    routers: Mapping[str, str],
    switches: Mapping[str, tuple[str, ...]],
    nets: Mapping[str, str],
) -> Iterator[Host]:
    most = max(map(len, switches.values()), default=0)
    for place, names in places.items():
        own_switches = switches.get(place, ())
        for number, name in enumerate((routers[place], *own_switches)):
            yield Host(name, f"{nets[place]}.{254 - number}", forwards=True)
        planes = len(own_switches) or most
        pinned = [pinned_net(nets[place], each + 1) for each in range(planes)]
        for number, name in enumerate(names, 1):
            own = tuple(f"{net}.{number}" for net in pinned)
            yield Host(name, f"{nets[place]}.{number}", pinned=own)


def _within(
    places: Mapping[str, tuple[str, ...]],
    routers: Mapping[str, str],
    switches: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[str, str]]:
    """The pairs that have a link within a place: each host and every switch (or the router, where
    there is no switch), the switches among themselves, and each of them and the router."""
    for place, names in places.items():
        own = switches.get(place, ())
        yield from itertools.product(names, own or (routers[place],))
        yield from itertools.combinations(own, 2)
        yield from ((each, routers[place]) for each in own)


def _between(topology: Topology, routers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of routers that have a link: any two places; each site and the terminals."""
    for one, other in itertools.combinations(topology.places(), 2):
        yield routers[one], routers[other]
    for site in topology.sites:
        yield routers[site.name], routers[TERMINALS]


def _readdressed(topology: Topology, hosts: Mapping[str, Host]) -> Topology:
    """The same topology and ports, at the network's addresses."""

    def moved(name: str, address: str) -> str:
        return f"{hosts[name].address}:{split(address)[1]}"

    def paths(name: str) -> tuple[str, ...]:
        pinned = hosts[name].pinned
        return pinned if len(pinned) > 1 else ()  # one switch: the main address is as good

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
                        paths=paths(node.name),
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
                paths=paths(member.name),
            )
            for member in topology.etcd
        ),
    )
