"""Who plays which part at this moment: from "leader" to a name.

The parts: leader; follower (in the active site) and standby-node, which prefer one that this drill
has not touched yet; etcd-leader, etcd-member (one that does not lead, where that is known) and
all-etcd; active-site, standby-site and site:NAME for everything at a place: its nodes, its etcd
member, its coordinator; between-sites and terminals-link (of the active site); switch-1, switch-2
and all-switches of the active site, the same of the standby after "standby-". Links and switches
have names of their own, too: terminals-link:SITE and switch:SITE/NUMBER.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadtest.faults.parts import BETWEEN_SITES, SITE, SWITCH, TERMINALS_LINK

_SWITCHES: Final = re.compile(r"(standby-)?(?:switch-([1-9][0-9]*)|all-(switches))")
_NAMED: Final = re.compile(SWITCH + r"([a-z0-9-]+)/([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays what at this moment. `down`: whatever a fault not yet healed took away.

    `sites` has the nodes of each site, `active` is the one that settles; `places` are the sites and
    wherever else something stands (the witness). `etcd_leader` is empty where it is not known;
    `switches` has how many network switches each site has.
    """

    leader: str | None
    nodes: tuple[str, ...]
    etcd: tuple[str, ...]
    down: frozenset[str]
    touched: frozenset[str]
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    active: str = ""
    places: tuple[str, ...] = ()
    etcd_leader: str = ""
    switches: Mapping[str, int] = field(default_factory=dict)


class NobodyToHurt(RuntimeError):
    """The stage has nobody for the part; the message says which."""


def cast(target: str, stage: Stage) -> tuple[str, ...]:
    """The names behind a target. Raises `NobodyToHurt`."""
    if target in stage.nodes or target in stage.etcd or target == BETWEEN_SITES:
        return (target,)
    if target.removeprefix(TERMINALS_LINK) in stage.sites and target.startswith(TERMINALS_LINK):
        return (target,)
    if (found := _SWITCHES.fullmatch(target)) is not None:
        site = _standby(stage) if found.group(1) else _active(stage)
        return _switches(site, 0 if found.group(3) else int(found.group(2)), stage)
    if (found := _NAMED.fullmatch(target)) is not None:
        return _switches(found.group(1), int(found.group(2)), stage)
    if target.startswith(SITE) and target.removeprefix(SITE) in (*stage.sites, *stage.places):
        return (target,)
    match target:
        case "all-etcd":
            return stage.etcd
        case "leader":
            if stage.leader is None:
                raise NobodyToHurt("there is no leader at this moment")
            return (stage.leader,)
        case "follower":
            nodes = stage.sites.get(stage.active, stage.nodes)
            others = [each for each in nodes if each != stage.leader]
            return (_first(_standing(others, stage), target),)
        case "standby-node":
            nodes = stage.sites.get(_standby(stage), ())
            return (_first(_standing(list(nodes), stage), target),)
        case "etcd-leader":
            if not stage.etcd_leader:
                raise NobodyToHurt("no etcd member leads at this moment")
            return (stage.etcd_leader,)
        case "etcd-member":
            up = [each for each in stage.etcd if each not in stage.down]
            up.sort(key=lambda each: each == stage.etcd_leader)
            return (_first(up, target),)
        case "terminals-link":
            return (TERMINALS_LINK + _active(stage),)
        case "active-site":
            return (SITE + _active(stage),)
        case "standby-site":
            return (SITE + _standby(stage),)
    raise NobodyToHurt(f"no part is called {target!r}")


def _active(stage: Stage) -> str:
    if not stage.active:
        raise NobodyToHurt("nobody says which site is active")
    return stage.active


def _switches(site: str, number: int, stage: Stage) -> tuple[str, ...]:
    """The switch of that number, or all of them (0)."""
    count = stage.switches.get(site, 0)
    if not count or number > count:
        raise NobodyToHurt(f"site {site} has no switch {number or 1}: it has {count}")
    numbers = [number] if number else range(1, count + 1)
    return tuple(f"{SWITCH}{site}/{each}" for each in numbers)


def _standby(stage: Stage) -> str:
    others = [name for name in stage.sites if name != stage.active]
    if not stage.active or len(others) != 1:
        raise NobodyToHurt("there is no standby site at this moment")
    return others[0]


def _standing(names: list[str], stage: Stage) -> list[str]:
    """Those that are not down, and of them those that were left alone, if there are any."""
    up = [each for each in names if each not in stage.down]
    return [each for each in up if each not in stage.touched] or up


def _first(names: list[str], target: str) -> str:
    if not names:
        raise NobodyToHurt(f"no {target} is left")
    return names[0]
