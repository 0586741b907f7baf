"""What may go wrong on a day, as data: what, to whom, and when. `striking` does it.

A victim is named by its part in the play, and found when the moment has come: the leader of then,
the node whose moment it is, the other one it deals with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadtest.sim.setup import Setup
from loadtest.sim.weather.moments import Moment


class What(StrEnum):
    """Kinds of trouble. The words follow the victim's."""

    # processes
    CRASH = "is killed"
    STOP = "is stopped as for maintenance"
    PAUSE = "stands still"
    POWER = "loses power"  # every process of the victim's at once
    # disks
    LOSE_DISK = "is killed, and its disk is lost"
    LIE = "is killed, and its disk forgets what it had synced"
    DISK_ERROR = "cannot write to its disk"
    DISK_FULL = "has no room on its disk"
    DISK_SLOW = "has a slow disk"
    UNREADABLE = "cannot read its log"
    # links
    DEAF = "hears no peer"
    DUMB = "is heard by no peer"
    CUT_OFF = "is cut off from its peers"
    CUT_PARTNER = "is not heard by the other one"
    CUT_SITES = "is cut off from the other site"
    CUT_ETCD = "is cut off from etcd"
    DEAF_TO_ETCD = "hears no answer of etcd"
    CUT_TERMINALS = "is cut off from the terminals"
    ISOLATE = "is cut off from everybody"
    LOSSY = "has links that lose"
    LAGGING = "has links that are slow"
    REPEATING = "has links that repeat"
    # etcd
    ETCD_AWAY = "is away"
    UNHEARD = "does what it is asked and answers nobody"
    COMPACT = "forgets its history"
    LEASE_ENDS = "loses its lease"
    # clocks
    CLOCK_JUMP = "has its wall clock set wrong"
    CLOCK_DRIFT = "begins again with a clock that runs wrong"
    # people
    HANDOVER = "is asked to hand over"
    SWITCH = "is to become the active site"
    PROMOTE = "is promoted with whatever that loses"
    SWITCH_OFF = "is switched off with its questions open"


class Part(StrEnum):
    """Whom it befalls. Those that may be several are told apart by `Trouble.pick`."""

    LEADER = "the leader"
    CUED = "the one whose moment it is"
    PARTNER = "the other one in it"
    FOLLOWER = "a follower"  # of the active site, and neither of the two before
    STANDBY = "a standby node"
    ACTIVE_SITE = "the active site"
    STANDBY_SITE = "the standby site"
    EVERYTHING = "everything"
    ETCD = "etcd"
    COORDINATOR = "a coordinator"
    TERMINAL = "a terminal"


@dataclass(frozen=True, slots=True)
class At:
    """At a time of the day, in milliseconds."""

    ms: float


@dataclass(frozen=True, slots=True)
class Cue:
    """`after_ms` after the `nth` such moment that passes from `since_ms` of the day on.

    After 0 ms is: what the step has sent has left, and what it has written is on no disk.
    """

    moment: Moment
    nth: int = 1
    after_ms: float = 0.0
    since_ms: float = 0.0


When = At | Cue


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble. It ends after `for_ms`: the process begins again, the link carries again.

    `pick` chooses among those who have the part, in order of their names. `much` is how bad it is:
    milliseconds for slow disks, slow links and wall clocks, a share for links that lose or repeat
    and for clocks that drift.
    """

    when: When
    what: What
    victim: Part
    for_ms: float = 0.0
    pick: int = 0
    much: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole day, from one seed: `season` says what kind of day it is."""

    seed: int
    season: str
    setup: Setup
    troubles: tuple[Trouble, ...]


_NTH: Final = {2: "second", 3: "third"}


def tell_when(when: When) -> str:
    """In words."""
    if isinstance(when, At):
        return f"at {when.ms / 1000:.3f} s"
    nth = "" if when.nth == 1 else f", for the {_NTH.get(when.nth, f'{when.nth}th')} time"
    after = f"{when.after_ms:g} ms after" if when.after_ms else "when"
    return f"{after} {when.moment}{nth} (from {when.since_ms / 1000:.3f} s on)"


def tell_trouble(trouble: Trouble) -> str:
    """In words: when, who, what, how bad, for how long."""
    which = f" (no. {trouble.pick})" if trouble.pick else ""
    much = f" by {trouble.much:g}" if trouble.much else ""
    lasting = f", for {trouble.for_ms:.0f} ms" if trouble.for_ms else ""
    return f"{tell_when(trouble.when)}: {trouble.victim}{which} {trouble.what}{much}{lasting}"


def tell_setup(setup: Setup) -> str:
    """In words: the cluster, its timers, and who asks what of it."""
    sites = " + ".join(" ".join(nodes) for nodes in setup.sites.values())
    timings = setup.timings
    return (
        f"{sites}; copies_min {setup.copies_min}; suspicion {timings.suspicion_ms} ms, eviction "
        f"{timings.eviction_ms} ms, lease {setup.lease_ms} ms; {timings.log_keep_entries} entries "
        f"kept; coordinators {setup.switching.mode}; {setup.terminals} terminals, {setup.rate:g} "
        f"payments a second; {setup.safety_ms / 1000:g} s of trouble"
    )


def tell_plan(plan: Plan) -> list[str]:
    """The day in words, one line for its setup and one for each trouble."""
    return [
        f"seed {plan.seed}, a day of {plan.season}: {tell_setup(plan.setup)}",
        *(tell_trouble(trouble) for trouble in in_order(plan.troubles)),
    ]


def in_order(troubles: Iterable[Trouble]) -> list[Trouble]:
    """By the time from which each may come."""
    return sorted(troubles, key=lambda trouble: earliest(trouble.when))


def earliest(when: When) -> float:
    """The first time of the day at which it may come."""
    return when.ms if isinstance(when, At) else when.since_ms
