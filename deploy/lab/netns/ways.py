"""Which way packets take through a network: the routes of its hosts, switches and routers.

All of them are fixed. Where there are two ways, the one with the lower metric is taken for as long
as its cable has somebody at its other end; nothing is learned and nobody is asked, so traffic moves
as soon as a link is down, and stays on a link that is up, however much it loses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_OTHER_END: Final = 10_000
_FIRST, _DETOUR, _NONE = 1, 2, 3
_PINNED_APART, _PINNED_LENGTH = 64, 18


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace with one address; a router or a switch forwards what is not for it.

    `pinned` has an address more for each switch of its site, to which nothing comes but over the
    switches of that number.
    """

    name: str
    address: str
    forwards: bool = False
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two hosts; `number` is unique in the network."""

    number: int
    ends: tuple[str, str]

    @property
    def name(self) -> str:
        """Both hosts' names, such as `ra-rb`."""
        return "-".join(self.ends)

    @property
    def label(self) -> str:
        """The name of the interface at either end."""
        return f"l{self.number}"

    def far(self, host: str) -> str:
        """The host at the other end. Raises `KeyError` for a host that is at neither."""
        if host not in self.ends:
            raise KeyError(host)
        return self.ends[1] if self.ends[0] == host else self.ends[0]

    def interface(self, host: str) -> int:
        """The number of the interface at this end. Two ends differ: where they are of one number,
        the kernel may take up to a second to notice that the other end is gone."""
        return self.number + (_OTHER_END if self.far(host) == self.ends[0] else 0)


@dataclass(frozen=True, slots=True)
class Route:
    """What `host` sends to addresses that begin like `to` (`length` bits) goes over `link`; if that
    is None, there is no way. Of several equally long ones the lowest `metric` counts that is up.

    `crossed`: only for what came over the cable between two switches. `source` is the address that
    our own packets bear: by default the host's own.
    """

    host: str
    to: str
    length: int
    link: Link | None
    metric: int = _FIRST
    crossed: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the routes follow from. `places` has the hosts at each place, `nets` the first three
    numbers of their addresses; `room` is the host that is wired to all of them directly."""

    hosts: Mapping[str, Host]
    links: tuple[Link, ...]
    places: Mapping[str, tuple[str, ...]]
    routers: Mapping[str, str]
    switches: Mapping[str, tuple[str, ...]]
    nets: Mapping[str, str]
    room: str

    def link(self, one: str, other: str) -> Link:
        """The link between two hosts. Raises `KeyError` if there is none."""
        for link in self.links:
            if set(link.ends) == {one, other}:
                return link
        raise KeyError(one, other)


def routes(wiring: Wiring) -> Iterator[Route]:
    """All routes of the network."""
    at = {router: place for place, router in wiring.routers.items()}
    number = {
        switch: (site, number)
        for site, own in wiring.switches.items()
        for number, switch in enumerate(own, 1)
    }
    for link in wiring.links:
        for here, there in (link.ends, reversed(link.ends)):
            if here in number:
                yield from _of_switch(wiring, link, number[here][0], here, there)
            elif there in number:
                site, metric = number[there]
                net = (f"{wiring.nets[site]}.0", 24)
                yield Route(here, *(net if here in at else _ANYWHERE), link, metric)
            elif there in at and here in at:
                yield Route(here, f"{wiring.nets[at[there]]}.0", 24, link)
            elif there in at:
                yield Route(here, *_ANYWHERE, link)  # a host knows its router, and no more
            else:
                yield Route(here, wiring.hosts[there].address, 32, link)
    for switch, (site, _) in number.items():
        # A host that is on no switch any more is not looked for outside.
        for crossed in _both(wiring, site):
            yield Route(switch, f"{wiring.nets[site]}.0", 24, None, _NONE, crossed)
    for site, own in wiring.switches.items():
        for each, switch in enumerate(own, 1):
            yield from _pinned(wiring, site, each, switch)


_ANYWHERE: Final = ("0.0.0.0", 0)


def _of_switch(wiring: Wiring, link: Link, site: str, here: str, there: str) -> Iterator[Route]:
    """A switch sends to each host directly, and out by the router; where its own cable is down, by
    the other switch. That one must not send it back: what crossed goes on directly or not at all.
    """
    hosts = [(wiring.hosts[name].address, 32) for name in wiring.places[site]]
    if there in wiring.switches[site]:
        for to in (*hosts, _ANYWHERE):
            yield Route(here, *to, link, _DETOUR)
        return
    to = _ANYWHERE if there == wiring.routers[site] else (wiring.hosts[there].address, 32)
    for crossed in _both(wiring, site):
        yield Route(here, *to, link, _FIRST, crossed)


def _both(wiring: Wiring, site: str) -> tuple[bool, ...]:
    return (False, True) if len(wiring.switches[site]) > 1 else (False,)


def pinned_net(net: str, number: int) -> str:
    """The first three numbers of the addresses that are reached over a place's switch `number`."""
    first, second, third = net.split(".")
    return f"{first}.{second}.{int(third) + _PINNED_APART * number}"


def _pinned(wiring: Wiring, site: str, number: int, switch: str) -> Iterator[Route]:
    """The ways to the addresses that are bound to the switches of one number. There is no second
    way: whoever has a connection over each switch finds out by itself which one is well."""
    everywhere = f"{pinned_net('198.18.0', number)}.0", _PINNED_LENGTH
    for name in wiring.places[site]:
        link, own = wiring.link(name, switch), wiring.hosts[name].pinned[number - 1]
        yield Route(switch, own, 32, link)
        yield Route(name, *everywhere, link, source=own)
        yield Route(name, *everywhere, None, _NONE)
    net, router = (f"{pinned_net(wiring.nets[site], number)}.0", 24), wiring.routers[site]
    yield Route(switch, *net, None, _NONE)
    yield Route(router, *net, wiring.link(router, switch))
    for other in wiring.routers.values():
        for link in wiring.links:
            if set(link.ends) == {router, other}:
                yield Route(other, *net, link)
