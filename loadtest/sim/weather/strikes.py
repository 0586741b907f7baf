"""What strikes at a moment: who is hit by what, how badly, and for how long."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from loadtest.sim.setup import Setup
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.openings import about
from loadtest.sim.weather.troubles import At, Cue, Part, Trouble, What, When

Strike = tuple[What, Part]

UNHEARD: Final[Strike] = (What.UNHEARD, Part.ETCD)

STRIKES: Final[tuple[Strike, ...]] = (
    (What.CRASH, Part.CUED),
    (What.CRASH, Part.PARTNER),
    (What.CRASH, Part.FOLLOWER),
    (What.PAUSE, Part.CUED),
    (What.PAUSE, Part.PARTNER),
    (What.STOP, Part.CUED),
    (What.POWER, Part.EVERYTHING),
    (What.LOSE_DISK, Part.CUED),
    (What.LOSE_DISK, Part.FOLLOWER),
    (What.LIE, Part.CUED),
    (What.DISK_ERROR, Part.CUED),
    (What.DISK_SLOW, Part.CUED),
    (What.DISK_FULL, Part.CUED),
    (What.UNREADABLE, Part.CUED),
    (What.DEAF, Part.CUED),
    (What.DUMB, Part.CUED),
    (What.CUT_OFF, Part.CUED),
    (What.CUT_PARTNER, Part.CUED),
    (What.CUT_ETCD, Part.CUED),
    (What.DEAF_TO_ETCD, Part.CUED),
    (What.CUT_TERMINALS, Part.CUED),
    (What.ETCD_AWAY, Part.ETCD),
    UNHEARD,
    (What.COMPACT, Part.ETCD),
    (What.LEASE_ENDS, Part.CUED),
    (What.CLOCK_JUMP, Part.CUED),
    (What.CLOCK_DRIFT, Part.CUED),
    (What.LAGGING, Part.EVERYTHING),
    (What.HANDOVER, Part.LEADER),
)
"""What may strike at any moment."""

AT_ONCE: Final[tuple[Strike, ...]] = (
    (What.CRASH, Part.CUED),
    (What.CRASH, Part.FOLLOWER),
    (What.PAUSE, Part.CUED),
    (What.CUT_OFF, Part.CUED),
    (What.LOSE_DISK, Part.CUED),
    (What.DISK_FULL, Part.CUED),
    (What.ETCD_AWAY, Part.ETCD),
    (What.LEASE_ENDS, Part.CUED),
    (What.CLOCK_JUMP, Part.CUED),
)
"""One of each kind, for moments that last a few milliseconds only."""

BETWEEN_SITES: Final[tuple[Strike, ...]] = (
    (What.CRASH, Part.STANDBY),
    (What.CUT_SITES, Part.ACTIVE_SITE),
    (What.ISOLATE, Part.ACTIVE_SITE),
    (What.POWER, Part.ACTIVE_SITE),
    (What.POWER, Part.STANDBY_SITE),
    (What.SWITCH, Part.STANDBY_SITE),
)
"""What may where there are two sites."""

_GUSTS: Final[tuple[Strike, ...]] = (
    (What.LOSSY, Part.EVERYTHING),
    (What.REPEATING, Part.EVERYTHING),
    (What.LAGGING, Part.LEADER),
    (What.CRASH, Part.COORDINATOR),
    (What.PAUSE, Part.COORDINATOR),
    (What.CUT_ETCD, Part.COORDINATOR),
    (What.SWITCH_OFF, Part.TERMINAL),
)
"""What is no matter of moments."""

_BRIEF: Final = frozenset(
    {
        What.COMPACT,
        What.LEASE_ENDS,
        What.HANDOVER,
        What.SWITCH,
        What.DISK_ERROR,
        What.UNREADABLE,
    }
)
_SEVERAL: Final = frozenset(
    {Part.FOLLOWER, Part.STANDBY, Part.PARTNER, Part.COORDINATOR, Part.TERMINAL}
)
_OFTEN: Final = {
    Moment.PLACED: 15,
    Moment.COMMITTED: 15,
    Moment.PRUNING: 5,
    Moment.VOWED: 4,
    Moment.FENCED: 2,
    Moment.FENCING: 3,
    Moment.RESTARTED: 2,
}


def cue(draw: random.Random, setup: Setup, moment: Moment, since_ms: float) -> Cue:
    """Just then; or a little later, when the fsync is done or the message has arrived; or when the
    first timers run out."""
    after = draw.choices(
        (
            0.0,
            draw.uniform(0.1, 3),
            draw.uniform(3, 30),
            draw.uniform(30, 300),
            about(draw, setup.timings.suspicion_ms),
        ),
        (35, 25, 20, 15, 5),
    )[0]
    return Cue(moment, draw.randint(1, _OFTEN.get(moment, 1)), round(after, 1), since_ms)


def strike(draw: random.Random, setup: Setup, kind: Strike, when: When) -> Trouble:
    """One strike of this kind, as long and as bad as may be telling."""
    what, part = kind
    pick = draw.randint(0, 2) if part in _SEVERAL else 0
    return Trouble(when, what, part, _lasting(draw, setup, what), pick, _much(draw, what))


def at_once(
    draw: random.Random, setup: Setup, kind: Strike, moment: Moment, since_ms: float
) -> Trouble:
    """This kind just when the moment passes, and not for long: there is more to come that day."""
    when = Cue(moment, 1, draw.choice((0.0, 0.0, 0.3)), since_ms)
    if (moment, kind) == (Moment.FENCED, UNHEARD):
        # When all have vowed, and what etcd holds was read once more: then the promotion is sent.
        when = Cue(moment, len(setup.nodes), round(draw.uniform(3, 9), 1), since_ms)
    struck = strike(draw, setup, kind, when)
    return replace(struck, for_ms=min(struck.for_ms, setup.timings.eviction_ms * 2.5))


def anything(draw: random.Random, setup: Setup, at_ms: float) -> Trouble:
    """Anything that may strike, at this time."""
    what, part = draw.choice(STRIKES + BETWEEN_SITES + _GUSTS)
    part = {Part.CUED: Part.LEADER, Part.PARTNER: Part.FOLLOWER}.get(part, part)
    return strike(draw, setup, (what, part), At(round(at_ms)))


def _lasting(draw: random.Random, setup: Setup, what: What) -> float:
    timings = setup.timings
    if what in _BRIEF:
        return 0.0
    if what is What.LIE:
        return float(draw.randint(20, 1_500))  # it forgets at its end
    if what in (What.CRASH, What.STOP, What.POWER, What.LOSE_DISK):
        return about(draw, draw.choice((60, 200, timings.eviction_ms, setup.lease_ms)))
    if what is What.UNHEARD:
        return about(draw, timings.eviction_ms * 2)
    if what in (What.ETCD_AWAY, What.CUT_ETCD, What.DEAF_TO_ETCD):
        return about(draw, draw.choice((timings.etcd_deadline_ms, setup.lease_ms)))
    return about(
        draw,
        draw.choice(
            (timings.handover_ms, timings.suspicion_ms, timings.eviction_ms, setup.lease_ms)
        ),
    )


def _much(draw: random.Random, what: What) -> float:
    match what:
        case What.DISK_SLOW:
            return draw.choice((20.0, 100.0, 400.0, 900.0))
        case What.LAGGING:
            return draw.choice((20.0, 80.0, 200.0))
        case What.LOSSY:
            return draw.choice((0.1, 0.3, 0.6))
        case What.REPEATING:
            return draw.choice((0.2, 0.6))
        case What.CLOCK_JUMP:
            return draw.choice((-3_600_000.0, -2_000.0, 2_000.0, 86_400_000.0))
        case What.CLOCK_DRIFT:
            return draw.choice((-0.2, -0.05, 0.05, 0.25))
        case What.POWER:
            return float(draw.choice((0, 50, 400)))
        case _:
            return 0.0
