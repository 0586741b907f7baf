"""What struck in the middle of what: manoeuvres of replicas against faults.

A manoeuvre is what some replica is in the middle of; a fault counts for it if it strikes at that
moment. A fault with a victim counts for what its victim is in the middle of, a crash also for what
every other replica is, and one without a victim (a cut, etcd away) for all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from loadtest.sim.happening import Glance, Happened, Kind, Step
from node.core.inputs import (
    CampaignLost,
    FenceAsked,
    Persisted,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
    Won,
)
from node.core.outputs import Campaign, Install


class Manoeuvre(StrEnum):
    """What a replica may be in the middle of."""

    CAMPAIGN = "takeover: campaigning"
    FENCING = "takeover: fencing"
    FETCHING = "takeover: fetching a log"
    STARTING = "takeover: EpochStart to commit"
    COVERING = "set change: covering"
    SENT = "set change: sent"
    HANDOVER = "handover"
    DRAINING = "site switch: draining"
    SWITCHING = "site switch: sent"
    MAKING = "snapshot: making"
    GETTING = "snapshot: fetching"
    INSTALLING = "snapshot: installing"
    PRUNING = "pruning"
    PROMOTION = "promotion: fenced for it"
    SERVING = "normal service"


class Fault(StrEnum):
    """What may strike."""

    CRASH = "crash"
    OTHER = "other crashes"
    PAUSE = "pause"
    CUT = "cut"
    DISK_LOST = "disk lost"
    DISK_ERROR = "disk error"
    ETCD = "etcd away"
    ANSWER = "answer lost"
    LEASE = "lease gone"
    CLOCK = "clock"


Pair = tuple[Manoeuvre, Fault]

PRUNING_MS: Final = 20.0
"""A replica is pruning for so long after it was asked to; nothing tells when its disk has done."""

_HOLDS_THE_KEY: Final = (
    "it asks etcd for nothing then, and nothing it asked before can still be done: all of that "
    "compares the leader key, which is at its epoch now, or a revision that is over (E2, E4)"
)
_COUNTS_FOR_NOTHING: Final = (
    "what every member needs is kept (M5), so whoever needs a snapshot is none: it neither "
    "campaigns (T1) nor leads, and has nothing decided by etcd"
)

UNREACHABLE: Final[Mapping[Pair, str]] = {
    **{
        (manoeuvre, Fault.ANSWER): _HOLDS_THE_KEY
        for manoeuvre in (
            Manoeuvre.FENCING,
            Manoeuvre.FETCHING,
            Manoeuvre.COVERING,
            Manoeuvre.DRAINING,
            Manoeuvre.SERVING,
        )
    },
    **{
        (manoeuvre, Fault.ANSWER): _COUNTS_FOR_NOTHING
        for manoeuvre in (Manoeuvre.GETTING, Manoeuvre.INSTALLING)
    },
}
"""Pairs that cannot be, and why."""

_FAULTS: Final = {
    Kind.CRASH: Fault.CRASH,
    Kind.PAUSE: Fault.PAUSE,
    Kind.CUT: Fault.CUT,
    Kind.DISK_LOST: Fault.DISK_LOST,
    Kind.DISK_FAILED: Fault.DISK_ERROR,
    Kind.DISK_FULL: Fault.DISK_ERROR,
    Kind.ETCD_AWAY: Fault.ETCD,
    Kind.ANSWER_LOST: Fault.ANSWER,
    Kind.LEASE_EXPIRED: Fault.LEASE,
    Kind.CLOCK: Fault.CLOCK,
}
_OF_ALL: Final = frozenset({Fault.CUT, Fault.ETCD})
_CONSENSUS: Final = ("leader", "configuration")
"""What etcd decides; the other things that are written there are services and records."""

_PHASES: Final = {
    "fencing": Manoeuvre.FENCING,
    "fetching": Manoeuvre.FETCHING,
    "starting": Manoeuvre.STARTING,
}
_CHANGES: Final = {"covering": Manoeuvre.COVERING, "sent": Manoeuvre.SENT}
_MOVES: Final = {
    "handover": Manoeuvre.HANDOVER,
    "switch draining": Manoeuvre.DRAINING,
    "switch asking etcd": Manoeuvre.SWITCHING,
}


@dataclass(slots=True)
class _Node:
    """One life of a node: its replica after the last step, and what that does not show."""

    now: Glance | None = None
    campaigning: str = ""
    down: bool = False
    making: bool = False
    getting: int = 0  # the epoch of the offer
    installing: int = 0
    pruned_at: float = -PRUNING_MS
    fenced_at: int = 0

    def manoeuvres(self, at_ms: float) -> Iterator[Manoeuvre]:
        """What it is in the middle of."""
        now = self.now
        if now is None:
            return
        if self.campaigning:
            yield Manoeuvre.CAMPAIGN
        for table, word in ((_PHASES, now.phase), (_CHANGES, now.change), (_MOVES, now.move)):
            if word in table:
                yield table[word]
        if now.phase == "serving" and not (now.change or now.move):
            yield Manoeuvre.SERVING
        if self.making:
            yield Manoeuvre.MAKING
        if now.promised == self.getting > 0:  # a file of an epoch that is over comes in vain
            yield Manoeuvre.GETTING
        if self.installing:
            yield Manoeuvre.INSTALLING
        if at_ms - self.pruned_at < PRUNING_MS:
            yield Manoeuvre.PRUNING
        if now.promised == self.fenced_at > 0:
            yield Manoeuvre.PROMOTION


class Pairs:
    """Counts, for every manoeuvre and every fault, how often one struck in the middle of the
    other."""

    def __init__(self, counts: Counter[Pair]) -> None:
        self._counts = counts
        self._nodes: defaultdict[str, _Node] = defaultdict(_Node)
        self._ends: dict[type, Callable[[_Node, Any], None]] = {
            Persisted: _persisted,
            Won: _answered,
            CampaignLost: _answered,
            SnapshotMade: _made,
            SnapshotFetched: _got,
            SnapshotMissed: _got,
        }

    def step(self, step: Step) -> None:
        """A step was taken: what is its replica in the middle of now?"""
        node = self._nodes[step.node]
        node.now = step.after
        given, output = step.input, step.output
        end = self._ends.get(type(given))
        if end is not None:
            end(node, given)
        elif isinstance(given, FenceAsked) and step.after.promised == given.epoch:
            node.fenced_at = given.epoch
        if output.prune:
            node.pruned_at = step.at_ms
        if output.make_snapshot:
            node.making = True
        if output.fetch_snapshot:
            node.getting = output.fetch_snapshot[0][1].epoch
        for ask in output.ask_registry:
            if isinstance(ask, Campaign):
                node.campaigning = ask.attempt
        for write in output.persist:
            if isinstance(write, Install):
                node.installing = write.number

    def happened(self, told: Happened) -> None:
        """Something beside the steps of replicas: perhaps a fault."""
        fault = _FAULTS.get(told.kind)
        if fault is Fault.ANSWER and not any(word in told.detail for word in _CONSENSUS):
            return
        if fault is not None:
            self._strike(fault, told)
        if told.who in self._nodes:
            if told.kind is Kind.CRASH:
                self._nodes[told.who].down = True
            elif told.kind is Kind.RESTART:
                self._nodes[told.who] = _Node()

    def _strike(self, fault: Fault, told: Happened) -> None:
        who, at_ms = told.who, told.at_ms
        struck: set[Pair] = set()
        for name, node in self._nodes.items():
            # A disk that is lost while its process is down is lost in the middle of what was
            # broken off there.
            own = name == who and (fault is Fault.DISK_LOST or not node.down)
            if own or (fault in _OF_ALL and not node.down):
                struck.update((manoeuvre, fault) for manoeuvre in node.manoeuvres(at_ms))
            elif fault is Fault.CRASH and who in self._nodes and not node.down:
                struck.update((manoeuvre, Fault.OTHER) for manoeuvre in node.manoeuvres(at_ms))
            elif fault is Fault.ANSWER and who not in self._nodes:
                # An operator's, or a coordinator's: a promotion's, as far as replicas are in it.
                struck.update(
                    (m, fault) for m in node.manoeuvres(at_ms) if m is Manoeuvre.PROMOTION
                )
        self._counts.update(sorted(struck))


def _persisted(node: _Node, persisted: Persisted) -> None:
    if persisted.write >= node.installing:
        node.installing = 0


def _answered(node: _Node, answer: Won | CampaignLost) -> None:
    if answer.attempt == node.campaigning:
        node.campaigning = ""


def _made(node: _Node, _: SnapshotMade) -> None:
    node.making = False


def _got(node: _Node, _: SnapshotFetched | SnapshotMissed) -> None:
    node.getting = 0
