"""What a drill may do to a cluster, as data. Every fault carries its own healing.

A drill names its victims by their part in the play ("leader"); `cast` turns them into names when
the moment has come, and the healing then speaks of the same names, whoever leads by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Fault(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Something done to processes. `target`: leader, follower, etcd-member, all-etcd, or a name.

    "follower" prefers one that this drill has not touched yet.
    """

    target: str


class Kill(Fault, frozen=True, tag="kill"):
    """SIGKILL: the process is gone, its connections are reset."""


class Pause(Fault, frozen=True, tag="pause"):
    """SIGSTOP: the process is there, holds its connections, and says nothing."""


class Stop(Fault, frozen=True, tag="stop"):
    """SIGTERM, as for maintenance: the process takes its leave."""


class Start(Fault, frozen=True, tag="start"):
    """Start a process that is not running: what heals a kill or a stop."""


class Resume(Fault, frozen=True, tag="resume"):
    """SIGCONT: what heals a pause."""


class HandOver(Fault, frozen=True, tag="handover"):
    """Ask the leader (the target) to pass the lead on; it heals by itself."""


AnyFault = Kill | Pause | Stop | Start | Resume | HandOver


def healing(fault: AnyFault) -> AnyFault | None:
    """What undoes a fault; None where nothing is left to undo."""
    match fault:
        case Kill() | Stop():
            return Start(fault.target)
        case Pause():
            return Resume(fault.target)
        case Start() | Resume() | HandOver():
            return None


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays what at this moment. `down`: killed, stopped or paused and not yet healed."""

    leader: str | None
    nodes: tuple[str, ...]
    etcd: tuple[str, ...]
    down: frozenset[str]
    touched: frozenset[str]


class NobodyToHurt(RuntimeError):
    """The stage has nobody for the part; the message says which."""


def cast(target: str, stage: Stage) -> tuple[str, ...]:
    """The names behind a target. Raises `NobodyToHurt`."""
    if target in stage.nodes or target in stage.etcd:
        return (target,)
    if target == "all-etcd":
        return stage.etcd
    if target == "leader":
        if stage.leader is None:
            raise NobodyToHurt("there is no leader at this moment")
        return (stage.leader,)
    if target == "follower":
        others = [each for each in stage.nodes if each != stage.leader and each not in stage.down]
        fresh = [each for each in others if each not in stage.touched]
        return (_first(fresh or others, target),)
    if target == "etcd-member":
        return (_first([each for each in stage.etcd if each not in stage.down], target),)
    raise NobodyToHurt(f"no part is called {target!r}")


def _first(names: list[str], target: str) -> str:
    if not names:
        raise NobodyToHurt(f"no {target} is left")
    return names[0]
