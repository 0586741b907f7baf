"""What is told of a day as it passes: for the story, the coverage, and the sums at its end."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from node.core import Replica
from node.core.inputs import Input
from node.core.leader import Leader
from node.core.outputs import Output
from node.core.switching import Switching
from node.core.takeover import Takeover


class Kind(enum.StrEnum):
    """What may happen, beside the steps of replicas. The words are those of the sums."""

    # processes
    CRASH = "crash"
    RESTART = "restart"
    PAUSE = "pause"
    WAKE = "wake"
    CLOCK = "clock"
    # disks
    TORN = "torn write"  # unsynced, and only a part of it came back
    VANISHED = "vanished write"  # unsynced, and nothing of it came back
    DISK_LOST = "disk lost"
    DISK_REFUSED = "disk refused"  # rolled back: found at the start, put aside (D5, D6)
    DISK_FAILED = "disk error"
    DISK_FULL = "disk full"
    DISK_SLOW = "disk slow"
    INSTALLED = "snapshot installed"
    # the network
    LOST = "message lost"
    REPEATED = "message repeated"
    CUT = "link cut"
    MENDED = "link mended"
    # etcd
    ETCD_AWAY = "etcd away"
    ETCD_BACK = "etcd back"
    ANSWER_LOST = "etcd answer lost"  # after it took effect
    LATE = "etcd request late"  # took effect after its sender had given it up
    LEASE_EXPIRED = "lease expired"
    SITE_SWITCHED = "site switch"
    PROMOTED = "promotion with loss"
    # people and places
    ASKED = "asked by an operator"
    REFUSED = "refused to an operator"
    SILENT = "silent replica"
    # payments
    ANSWERED = "answer heard"
    UNKNOWN = "slip printed"
    PHASE = "phase"  # the safety phase ends, the liveness phase begins
    SAID = "said by a coordinator"  # a line of its log


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to `who`; `detail` in words."""

    at_ms: float
    kind: Kind
    who: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Glance:
    """A replica before or after a step: its role and what it is in the middle of.

    `phase` is "" or one of: fencing, fetching (a takeover's log), starting (EpochStart is not
    committed and applied), serving; `change` is a set change's phase, `move` is "", handover or
    switch with its phase.
    """

    role: str
    epoch: int
    phase: str
    change: str
    move: str
    promised: int
    commit: int
    applied: int
    last: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one life of a node's replica."""

    at_ms: float
    node: str
    life: int
    input: Input
    before: Glance
    after: Glance
    output: Output


Told = Happened | Step
Listener = Callable[[Told], None]


def glance(replica: Replica) -> Glance:
    """The replica now."""
    role, state = replica.role, replica.state
    phase = change = move = ""
    epoch = 0
    if isinstance(role, Takeover):
        epoch = role.epoch
        phase = "fencing" if role.donor is None else "fetching"
    elif isinstance(role, Leader):
        epoch = role.epoch
        phase = "serving" if role.serving else "starting"
        if role.change is not None:
            change = str(role.change.phase)
        if isinstance(role.move, Switching):
            move = f"switch {role.move.phase}"
        elif role.move is not None:
            move = "handover"
    return Glance(
        role.role,
        epoch,
        phase,
        change,
        move,
        state.promised,
        state.commit,
        state.applied,
        state.log.last_index,
    )
