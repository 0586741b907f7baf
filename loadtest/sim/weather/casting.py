"""Who has a part when its moment has come: the same world gives the same names.

Those who run come before those who do not, so that a trouble befalls somebody who feels it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.sim.weather.troubles import Part

if TYPE_CHECKING:
    from loadtest.sim.world import World


@dataclass(frozen=True, slots=True)
class Cast:
    """The names of whoever is meant, and their site where a whole site is meant."""

    names: tuple[str, ...]
    site: str = ""


NOBODY = Cast(())


def cast(world: World, part: Part, pick: int, cued: str = "", partner: str = "") -> Cast:
    """Who plays `part` now: `pick` chooses among several, `cued` and `partner` are the moment's
    own. `NOBODY` where nobody plays it."""
    active, standby = sites(world)
    leader = world.leader()
    match part:
        case Part.EVERYTHING:
            return Cast(tuple(sorted(world.nodes)))
        case Part.ETCD:
            return Cast(("etcd",))
        case Part.ACTIVE_SITE:
            return Cast(_standing_in(world, active), active)
        case Part.STANDBY_SITE:
            return Cast(_standing_in(world, standby), standby) if standby else NOBODY
        case Part.COORDINATOR:
            return _one((watch.name for watch in world.watches.values()), pick)
        case Part.TERMINAL:
            return _one((terminal.name for terminal in world.terminals), pick)
        case Part.LEADER:
            return _one(_known(world, leader), 0, or_else=_running(world, active))
        case Part.CUED:
            return _one(_known(world, cued, leader), 0, or_else=_running(world, active))
        case Part.PARTNER:
            others = _running(world, active, leader, cued)
            return _one(_known(world, partner), pick, or_else=others)
        case Part.FOLLOWER:
            return _one(_running(world, active, leader, cued, partner), pick)
        case Part.STANDBY:
            first = _running(world, standby, cued, partner)
            return _one(first, pick, or_else=_running(world, standby))


def sites(world: World) -> tuple[str, str]:
    """The active and the standby site, "" for none, as etcd has it; at first as the setup has."""
    configuration, _ = world.configuration()
    every = list(world.setup.sites)
    active = configuration.active_site if configuration is not None else every[0]
    return active, next((site for site in every if site != active), "")


def _standing_in(world: World, site: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, node in world.nodes.items() if node.site == site))


def _known(world: World, *names: str) -> list[str]:
    """The first of these that is a node: a moment may be etcd's, a key may be an operator's."""
    return [name for name in names if name in world.nodes][:1]


def _running(world: World, site: str, *but: str) -> list[str]:
    """The site's nodes but these: those that run, else all."""
    others = [name for name in _standing_in(world, site) if name not in but]
    return [name for name in others if world.nodes[name].up] or others


def _one(names: Iterable[str], pick: int, or_else: Iterable[str] = ()) -> Cast:
    found = sorted(names) or sorted(or_else)
    return Cast((found[pick % len(found)],)) if found else NOBODY
