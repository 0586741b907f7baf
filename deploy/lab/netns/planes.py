"""The ways of hosts that are on no switch to and from the addresses bound to switches.

Such a host (a witness, the terminals) has an address for each switch number, too: whoever speaks to
one over the second switches is answered over the second switches. Else only what is sent would
avoid a switch that loses packets, and what comes back would not. The room has its own cables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deploy.lab.netns.ways import Route, Wiring, pinned_net

_ALL: Final = "198.18.0"
_ALL_LENGTH: Final = 18


def elsewhere(wiring: Wiring) -> Iterator[Route]:
    """The routes of these hosts, of the routers to them, and of the room to every host."""
    for link in wiring.links:
        if wiring.room in link.ends:
            for own in wiring.hosts[link.far(wiring.room)].pinned:
                yield Route(wiring.room, own, 32, link)
    for place, names in wiring.places.items():
        if wiring.switches.get(place):
            continue
        router = wiring.routers[place]
        for name in names:
            link = wiring.link(name, router)
            for number, own in enumerate(wiring.hosts[name].pinned, 1):
                everywhere = f"{pinned_net(_ALL, number)}.0", _ALL_LENGTH
                yield Route(name, *everywhere, link, source=own)
                yield Route(router, own, 32, link)
                yield from _from_routers(wiring, router, own)


def _from_routers(wiring: Wiring, router: str, to: str) -> Iterator[Route]:
    for other in wiring.routers.values():
        for link in wiring.links:
            if set(link.ends) == {router, other}:
                yield Route(other, to, 32, link)
