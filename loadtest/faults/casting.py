"""What a drill may do to a cluster, as data. Every fault carries its own healing.

A drill names its victims by their part in the play ("leader"); `cast` turns them into names when
the moment has come, and the healing then speaks of the same names, whoever leads by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

SITE: Final = "site:"
"""Before a place's name: everything that stands there, as in "site:a"."""

BETWEEN_SITES: Final = "between-sites"
"""The link between the two sites."""


class Fault(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Something done to a cluster. `target` is a part or a name:

    leader; follower (in the active site) and standby-node, which prefer one that this drill has not
    touched yet; etcd-member, all-etcd; active-site, standby-site and site:NAME for everything at a
    place: its nodes, its etcd member, its coordinator.
    """

    target: str


class Kill(Fault, frozen=True, tag="kill"):
    """SIGKILL: the process is gone, its connections are reset."""


class Pause(Fault, frozen=True, tag="pause"):
    """SIGSTOP: the process is there, holds its connections, and says nothing."""


class Stop(Fault, frozen=True, tag="stop"):
    """SIGTERM, as for maintenance: the process takes its leave."""


class LoseDisk(Fault, frozen=True, tag="lose-disk"):
    """SIGKILL to a node, and its data is gone: it returns with an empty disk."""


class Start(Fault, frozen=True, tag="start"):
    """Start a process that is not running: what heals a kill, a stop or a lost disk."""


class Resume(Fault, frozen=True, tag="resume"):
    """SIGCONT: what heals a pause."""


class HandOver(Fault, frozen=True, tag="handover"):
    """Ask the leader (the target) to pass the lead on; it heals by itself."""


class Switch(Fault, frozen=True, tag="switch"):
    """Ask the leader to switch to the site that is the target, as planned."""


class Cut(Fault, frozen=True, tag="cut"):
    """A link swallows everything, both ways. `target`: between-sites."""


class Isolate(Fault, frozen=True, tag="isolate"):
    """A site is cut from everything but itself: the other site, the witness, the terminals."""


class Restore(Fault, frozen=True, tag="restore"):
    """The links are whole again: what heals a cut or an isolation."""


AnyFault = (
    Kill | Pause | Stop | LoseDisk | Start | Resume | HandOver | Switch | Cut | Isolate | Restore
)
NEEDS_NETWORK: Final = (Cut, Isolate)
"""What can only be done where every host has a network of its own."""


def healing(fault: AnyFault) -> AnyFault | None:
    """What undoes a fault; None where nothing is left to undo."""
    match fault:
        case Kill() | Stop() | LoseDisk():
            return Start(fault.target)
        case Pause():
            return Resume(fault.target)
        case Cut() | Isolate():
            return Restore(fault.target)
        case Start() | Resume() | HandOver() | Switch() | Restore():
            return None


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays what at this moment. `down`: whatever a fault not yet healed took away.

    `sites` has the nodes of each site, `active` is the one that settles; `places` are the sites and
    wherever else something stands (the witness).
    """

    leader: str | None
    nodes: tuple[str, ...]
    etcd: tuple[str, ...]
    down: frozenset[str]
    touched: frozenset[str]
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    active: str = ""
    places: tuple[str, ...] = ()


class NobodyToHurt(RuntimeError):
    """The stage has nobody for the part; the message says which."""


def cast(target: str, stage: Stage) -> tuple[str, ...]:
    """The names behind a target. Raises `NobodyToHurt`."""
    if target in stage.nodes or target in stage.etcd or target == BETWEEN_SITES:
        return (target,)
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
        case "etcd-member":
            return (_first([each for each in stage.etcd if each not in stage.down], target),)
        case "active-site":
            if not stage.active:
                raise NobodyToHurt("nobody says which site is active")
            return (SITE + stage.active,)
        case "standby-site":
            return (SITE + _standby(stage),)
    raise NobodyToHurt(f"no part is called {target!r}")


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
