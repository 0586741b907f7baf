"""Who is missing while a quorum is connected: liveness must not need everybody (6).

One node, or all of the standby site, is killed, stands still, or is cut off from everybody; those
that are left could settle without it, in theory, so they must.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from loadtest.sim.weather.prospects import disks, forlorn
from loadtest.sim.world import World

_OF_ALL_DAYS: Final = 0.3
"""The share of days on which somebody is missing."""

Leave = Callable[[], None]


def draw(world: World) -> Leave | None:
    """What takes somebody away, if this is such a day and anybody can be spared; `World.heal` ends
    it."""
    chance = world.dice.of("absence")
    if chance.random() >= _OF_ALL_DAYS:
        return None
    spared = list(_spared(world))
    return _leave(world, chance, chance.choice(spared)) if spared else None


def _spared(world: World) -> Iterator[tuple[str, ...]]:
    """Groups of nodes without which the others can settle."""
    configuration, _ = world.configuration()
    if configuration is None:
        return
    there = disks(world)
    groups: list[tuple[str, ...]] = [(name,) for name in world.nodes]
    standby = configuration.standby_site
    if standby is not None:
        groups.append(tuple(world.setup.sites[standby]))
    for group in groups:
        left = {replica for replica in there if replica.node not in group}
        if not forlorn(configuration, left):
            yield group


def _leave(world: World, chance: random.Random, group: tuple[str, ...]) -> Leave:
    return partial(chance.choice((_killed, _paused, _cut_off)), world, group)


def _killed(world: World, group: tuple[str, ...]) -> None:
    for name in group:
        world.nodes[name].crash()


def _paused(world: World, group: tuple[str, ...]) -> None:
    for name in group:
        world.nodes[name].pause()


def _cut_off(world: World, group: tuple[str, ...]) -> None:
    network = world.network
    others = [name for name in network.hosts if name not in group]
    links = network.between(group, others) | network.between(others, group)
    network.swallow(links, f"{', '.join(group)} cut off from everybody")
