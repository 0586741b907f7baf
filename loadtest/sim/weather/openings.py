"""What brings the moments about: a strike in the middle of a takeover needs a takeover.

Each opening is a handful of troubles from `from_ms` on after which the wanted moment most likely
comes. How long something lasts is drawn around the times at which the cluster decides something: a
leader that is silent for just not long enough, or comes back just as it is evicted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from loadtest.sim.setup import Setup
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.troubles import At, Cue, Part, Trouble, What

Opening = Callable[[random.Random, Setup, float], list[Trouble]]

_AROUND: Final = (0.4, 0.9, 1.0, 1.1, 1.6, 2.5)


def about(draw: random.Random, ms: float) -> float:
    """Well below, just below, just above or well above a time that matters; whole milliseconds."""
    return float(max(5, round(ms * draw.choice(_AROUND) + draw.uniform(-20, 20))))


def quiet(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Nothing: payments are enough."""
    return []


def slow_leader(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The others have on disk, and commit, what the leader has not (D4)."""
    much = draw.choice((60.0, 250.0, 700.0))
    return [Trouble(At(from_ms), What.DISK_SLOW, Part.LEADER, 3_000.0, much=much)]


def leader_gone(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The leader is gone, or seems to be, for some and for a while."""
    timings = setup.timings
    what, ms = draw.choice(
        (
            (What.CRASH, timings.eviction_ms),
            (What.CRASH, setup.lease_ms),
            (What.PAUSE, timings.suspicion_ms * 2),
            (What.PAUSE, setup.lease_ms),
            (What.STOP, timings.eviction_ms),
            (What.CUT_OFF, timings.suspicion_ms * 3),
            (What.DUMB, timings.suspicion_ms * 3),
            (What.CUT_ETCD, setup.lease_ms * 2),
            (What.LEASE_ENDS, 0),
        )
    )
    return [Trouble(At(from_ms), what, Part.LEADER, about(draw, ms) if ms else 0.0)]


def leader_killed(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """It dies and comes back."""
    ms = about(draw, draw.choice((100, setup.timings.eviction_ms)))
    return [Trouble(At(from_ms), What.CRASH, Part.LEADER, ms)]


def leader_paused(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """It wakes up in a world that has gone on without it, or has just not."""
    ms = about(draw, draw.choice((setup.timings.suspicion_ms * 2, setup.lease_ms)))
    return [Trouble(At(from_ms), What.PAUSE, Part.LEADER, ms)]


def lagging_heir(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Whoever takes over lacks what others have: it heard nothing just before the leader died, and
    those who heard cannot campaign (T5)."""
    deaf = round(setup.timings.eviction_ms * 0.7)
    heir = draw.randint(0, 1)
    crash = Trouble(At(from_ms + round(deaf * 0.8)), What.CRASH, Part.LEADER, setup.lease_ms)
    return [
        Trouble(At(from_ms), What.DEAF, Part.FOLLOWER, deaf, pick=heir),
        Trouble(At(from_ms + 1), What.CUT_ETCD, Part.FOLLOWER, deaf + 1_500.0, pick=heir + 1),
        crash,
    ]


def forked(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A leader that nobody hears writes on, is followed by another, and is overruled (M2)."""
    timings = setup.timings
    ms = timings.eviction_ms + timings.suspicion_ms * draw.uniform(1.5, 4)
    what = draw.choice((What.CUT_OFF, What.CUT_OFF, What.DUMB))
    return [Trouble(At(from_ms), what, Part.LEADER, round(ms))]


def member_gone(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Somebody who counts is silent until it is evicted, and comes back; meanwhile a slow disk may
    hold up what the new quorum must cover (S2)."""
    what = draw.choice((What.CRASH, What.PAUSE, What.CUT_OFF, What.DUMB, What.LOSE_DISK))
    part = draw.choice((Part.FOLLOWER, Part.STANDBY))
    ms = setup.timings.eviction_ms * draw.uniform(1.1, 2.5)
    troubles = [Trouble(At(from_ms), what, part, round(ms), pick=draw.randint(0, 2))]
    if draw.random() < 0.5:
        slow = draw.choice((Part.LEADER, Part.FOLLOWER, Part.STANDBY))
        much = draw.choice((100.0, 400.0))
        troubles.append(Trouble(At(from_ms), What.DISK_SLOW, slow, 2_500.0, much=much))
    return troubles


def slow_cover(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A standby that was dropped is taken back over a long way: whoever is admitted has to be
    waited for (S2). An eviction waits for nobody: those left have made every commit."""
    timings = setup.timings
    away = round(timings.eviction_ms * draw.uniform(1.2, 1.6))
    much = round(timings.retransmit_ms * draw.uniform(0.2, 0.4))
    back = At(from_ms + away)
    return [
        Trouble(At(from_ms), What.CUT_SITES, Part.ACTIVE_SITE, away),
        Trouble(back, What.LAGGING, Part.STANDBY_SITE, timings.eviction_ms * 3.5, much=much),
    ]


def unheard_change(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A set change whose leader does not hear what etcd said of it (S4)."""
    ms = about(draw, setup.timings.etcd_deadline_ms * 2)
    what = draw.choice((What.DEAF_TO_ETCD, What.DEAF_TO_ETCD, What.CUT_ETCD))
    cue = Cue(Moment.SENT, 1, draw.choice((0.0, 2.0, 6.0)), from_ms)
    return [*member_gone(draw, setup, from_ms), Trouble(cue, what, Part.CUED, ms)]


def asked_to_hand_over(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A planned handover (H1); a slow disk may make it drain for long."""
    troubles = [Trouble(At(from_ms), What.HANDOVER, Part.LEADER)]
    if draw.random() < 0.5:
        much = draw.choice((40.0, 90.0, 250.0))
        early = At(from_ms - 100)
        troubles.append(Trouble(early, What.DISK_SLOW, Part.FOLLOWER, 900.0, much=much))
    return troubles


def asked_to_switch(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A planned switch of the site (H2)."""
    return [Trouble(At(from_ms), What.SWITCH, Part.STANDBY_SITE)]


def slow_switch(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """One that drains for long, since the other site is far away."""
    much = draw.choice((40.0, 80.0, 150.0))
    return [
        Trouble(At(from_ms - 100), What.LAGGING, Part.STANDBY_SITE, 900.0, much=much),
        *asked_to_switch(draw, setup, from_ms),
    ]


def overtaken(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A winner whom no peer hears is overtaken by a switch of the site that it hears nothing of.
    When it is heard again, its own site has not met the new leader and knows the new configuration
    (W2)."""
    alone = round(draw.uniform(2_600, 3_200))
    return [
        Trouble(At(from_ms), What.CRASH, Part.LEADER, alone + 500.0),
        Trouble(Cue(Moment.CAMPAIGN, 1, 0.0, from_ms), What.DUMB, Part.CUED, alone),
        Trouble(Cue(Moment.CAMPAIGN, 1, 0.0, from_ms), What.SWITCH, Part.STANDBY_SITE),
        Trouble(Cue(Moment.WON, 1, 0.0, from_ms), What.DEAF_TO_ETCD, Part.CUED, alone + 300.0),
        Trouble(Cue(Moment.WON, 1, 0.0, from_ms), What.CUT_SITES, Part.ACTIVE_SITE, alone + 300.0),
    ]


def site_gone(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The active site is gone, or is cut from all the world: the coordinators act (E5)."""
    what = draw.choice((What.POWER, What.ISOLATE))
    ms = round(setup.switching.agree_ms * draw.uniform(1.5, 4) + setup.timings.eviction_ms)
    much = draw.choice((0.0, 300.0))
    return [Trouble(At(from_ms), what, Part.ACTIVE_SITE, ms, much=much)]


def long_absence(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Somebody is away until what it needs is pruned, or comes back with nothing (M4)."""
    what = draw.choice((What.LOSE_DISK, What.LOSE_DISK, What.CRASH, What.CUT_OFF))
    part = draw.choice((Part.FOLLOWER, Part.STANDBY))
    away = setup.timings.eviction_ms * 1.2
    if what is not What.LOSE_DISK:
        away += draw.uniform(600, 1_500)
    return [Trouble(At(from_ms), what, part, round(away), pick=draw.randint(0, 2))]


def bare_return(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Somebody is back at once, with nothing (M4)."""
    part = draw.choice((Part.FOLLOWER, Part.STANDBY))
    away = round(draw.uniform(60, 300))
    return [Trouble(At(from_ms), What.LOSE_DISK, part, away, pick=draw.randint(0, 2))]


def degraded(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The sites are cut, the leader drops the standby, and a person promotes it (X2, X4): after the
    active site was lost as well, or in spite of it."""
    dropped = Cue(Moment.CHANGED, 1, round(draw.uniform(100, 700)), from_ms)
    asked = Cue(Moment.CHANGED, 1, round(dropped.after_ms + draw.uniform(50, 900)), from_ms)
    cut_ms = setup.timings.eviction_ms * 1.5 + draw.uniform(1_500, 4_000)
    troubles = [
        Trouble(At(from_ms), What.CUT_SITES, Part.ACTIVE_SITE, round(cut_ms)),
        Trouble(asked, What.PROMOTE, Part.STANDBY_SITE),
    ]
    then = draw.choice((None, None, What.POWER, What.ISOLATE, What.CRASH, What.CUT_ETCD))
    if then is not None:
        part = Part.LEADER if then is What.CRASH else Part.ACTIVE_SITE
        troubles.append(Trouble(dropped, then, part, about(draw, 2_000)))
    return troubles


def etcd_gone(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """etcd answers nobody (W1), for less than a lease or for more."""
    ms = about(draw, draw.choice((setup.timings.etcd_deadline_ms, setup.lease_ms)))
    return [Trouble(At(from_ms), What.ETCD_AWAY, Part.ETCD, ms)]


def lease_lost(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The leader's key is gone while it is well."""
    if draw.random() < 0.5:
        return [Trouble(At(from_ms), What.LEASE_ENDS, Part.LEADER)]
    ms = setup.lease_ms * draw.uniform(1.3, 2)
    return [Trouble(At(from_ms), What.CUT_ETCD, Part.LEADER, round(ms))]


_TAKEOVER: Final = (leader_gone, leader_gone, leader_gone, lagging_heir, asked_to_hand_over)
_CHANGE: Final = (member_gone,)
_ABSENCE: Final = (long_absence, bare_return)
_SERVICE: Final = (quiet, slow_leader)

OPENINGS: Final[Mapping[Moment, tuple[Opening, ...]]] = {
    Moment.CAMPAIGN: _TAKEOVER,
    Moment.WON: _TAKEOVER,
    Moment.VOWED: _TAKEOVER,
    Moment.FETCHING: (lagging_heir,),
    Moment.STARTING: _TAKEOVER,
    Moment.STARTED: _TAKEOVER,
    Moment.SERVING: _TAKEOVER,
    Moment.DEPOSED: (leader_paused, forked, lease_lost, asked_to_hand_over),
    Moment.OVERTAKEN: (overtaken,),
    Moment.PLACED: _SERVICE,
    Moment.COMMITTED: _SERVICE,
    Moment.REPLACING: (forked, forked, lagging_heir),
    Moment.READING: (quiet,),
    Moment.COVERING: (slow_cover,),
    Moment.SENT: _CHANGE,
    Moment.UNKNOWN: (unheard_change,),
    Moment.CHANGED: _CHANGE,
    Moment.DRAINING: (asked_to_hand_over,),
    Moment.HANDED: (asked_to_hand_over,),
    Moment.SWITCH_DRAINING: (slow_switch,),
    Moment.SWITCH_SENT: (asked_to_switch, slow_switch),
    Moment.SWITCHED: (asked_to_switch, site_gone),
    Moment.SNAPSHOT_WANTED: _ABSENCE,
    Moment.SNAPSHOT_OFFERED: _ABSENCE,
    Moment.SNAPSHOT_FETCHING: _ABSENCE,
    Moment.SNAPSHOT_INSTALLING: _ABSENCE,
    Moment.SNAPSHOT_INSTALLED: _ABSENCE,
    Moment.PRUNING: (quiet, long_absence),
    Moment.FENCING: (degraded,),
    Moment.FENCED: (degraded,),
    Moment.PROMOTED: (degraded,),
    Moment.DOWN: (leader_killed, member_gone),
    Moment.RESTARTED: (leader_killed, long_absence),
    Moment.WOKEN: (leader_paused,),
    Moment.ETCD_BACK: (etcd_gone,),
    Moment.LEASE_GONE: (lease_lost,),
}
"""What may bring a moment about."""
