"""Drawing a day from a seed alone: its season, its cluster, and what goes wrong when.

Long random days mostly show a cluster that serves. So days are short, and made of *scenes*: an
opening that brings a certain moment about, and a strike that waits for it. Every season has a deck
of all pairs of its moments and strikes, which is dealt from day by day: a thousand seeds in a row
see every pair, and what surrounds a pair is drawn anew each time. The seasons of crossings strike
in the middle of what is over in a few milliseconds, with one of each kind of fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from loadtest.sim.setup import Setup
from loadtest.sim.weather import climate
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.openings import OPENINGS
from loadtest.sim.weather.strikes import (
    AT_ONCE,
    BETWEEN_SITES,
    STRIKES,
    UNHEARD,
    Strike,
    anything,
    at_once,
    cue,
    strike,
)
from loadtest.sim.weather.troubles import At, Part, Plan, Trouble, What, in_order
from loadtest.sim.weather.unanswered import UNANSWERED

_FIRST_MS: Final = 1_600.0
"""By then the cluster is initialised, and has a leader that serves."""

_LAST_MS: Final = 1_400.0
_QUICK: Final = 0.75
"""How likely a cluster's timers are short, but where they must be."""
_STRIDE: Final = 7_919  # a prime: each turn round a deck deals all of it, and mixes it well
_TWIN: Final = 0.35
"""How often a second strike meets the first."""


Pair = tuple[Moment, Strike]


@dataclass(frozen=True, slots=True)
class Season:
    """A kind of day: the moments its strikes wait for, and what is rougher than usual.

    `one_site`: the share of its days on which there is but one site, unless what is dealt needs
    two. `gusts`: how many troubles come at any time besides, at most. `scenes`: how many a day has.
    `brisk`: are coordinators in a hurry? `crossings`: what is dealt in the place of all pairs, and
    strikes at once.
    """

    name: str
    moments: tuple[Moment, ...] = ()
    rough: frozenset[str] = frozenset()
    one_site: float = 0.2
    gusts: int = 1
    scenes: int = 3
    brisk: bool = False
    crossings: tuple[Pair, ...] = ()

    @property
    def deck(self) -> list[Pair]:
        """Every pair of its moments and of what may strike."""
        if self.crossings:
            return list(self.crossings)
        return [(moment, each) for each in STRIKES + BETWEEN_SITES for moment in self.moments]


_TAKEOVER: Final = (
    Moment.CAMPAIGN,
    Moment.WON,
    Moment.VOWED,
    Moment.FETCHING,
    Moment.STARTING,
    Moment.STARTED,
    Moment.SERVING,
)
_SWITCHING: Final = (Moment.SWITCH_DRAINING, Moment.SWITCH_SENT, Moment.SWITCHED)
_PROMOTION: Final = (Moment.FENCING, Moment.FENCED, Moment.PROMOTED)
_APART: Final = (Moment.COVERING, Moment.OVERTAKEN, *_SWITCHING, *_PROMOTION)
"""Moments that need two sites."""

_LEADING: Final = (
    Moment.CAMPAIGN,
    Moment.WON,
    Moment.FETCHING,
    Moment.STARTING,
    Moment.COVERING,
    Moment.DRAINING,
    Moment.SWITCH_DRAINING,
    Moment.SWITCH_SENT,
)
_KEEPING: Final = (
    Moment.FETCHING,  # in both decks: these two come least often
    Moment.COVERING,
    Moment.SENT,
    Moment.SNAPSHOT_WANTED,
    Moment.SNAPSHOT_FETCHING,
    Moment.SNAPSHOT_INSTALLING,
)


def _crossings(moments: Iterable[Moment], asking: Iterable[Moment]) -> tuple[Pair, ...]:
    """Each of `moments` with one fault of each kind; those `asking` etcd without an answer, too."""
    struck = [(moment, kind) for kind in AT_ONCE for moment in moments]
    return (*struck, *((moment, UNHEARD) for moment in asking))


SEASONS: Final[tuple[Season, ...]] = (
    Season("calm", one_site=0.4, gusts=2),
    Season("takeover", _TAKEOVER, gusts=0, scenes=4),
    Season(
        "network", (Moment.COMMITTED, Moment.READING, Moment.REPLACING), frozenset({"links"}), 0.3
    ),
    Season(
        "disks",
        (Moment.PLACED, Moment.COMMITTED, Moment.DOWN, Moment.RESTARTED),
        frozenset({"disks"}),
        0.3,
    ),
    Season(
        "etcd",
        (Moment.CAMPAIGN, Moment.UNKNOWN, Moment.LEASE_GONE, Moment.ETCD_BACK),
        frozenset({"etcd"}),
        0.3,
    ),
    Season(
        "churn",
        (Moment.COVERING, Moment.SENT, Moment.UNKNOWN, Moment.CHANGED),
        frozenset({"load"}),
    ),
    Season("handovers", (Moment.DRAINING, Moment.HANDED, Moment.DEPOSED, Moment.WOKEN)),
    Season("sites", (*_SWITCHING, Moment.OVERTAKEN), frozenset({"load"}), brisk=True),
    Season(
        "snapshots",
        (
            Moment.SNAPSHOT_WANTED,
            Moment.SNAPSHOT_OFFERED,
            Moment.SNAPSHOT_FETCHING,
            Moment.SNAPSHOT_INSTALLING,
            Moment.SNAPSHOT_INSTALLED,
            Moment.PRUNING,
        ),
        frozenset({"log"}),
    ),
    Season("promotion", _PROMOTION, gusts=0, scenes=2),
    Season(
        "leading, crossed",
        rough=frozenset({"load"}),
        gusts=0,
        scenes=4,
        crossings=_crossings(
            _LEADING, (Moment.CAMPAIGN, Moment.STARTING, Moment.DRAINING, Moment.SWITCH_SENT)
        ),
    ),
    Season(
        "keeping, crossed",
        rough=frozenset({"load", "log"}),
        gusts=0,
        scenes=4,
        crossings=_crossings(
            _KEEPING, (Moment.SENT, Moment.SNAPSHOT_WANTED, Moment.HANDED, Moment.FENCED)
        ),
    ),
    Season("storm", tuple(OPENINGS), frozenset({"links", "disks", "etcd", "log"}), 0.1, 7),
)
"""In this order, one a seed, round and round."""

_ROUGH_MOST: Final = 2

_MILD: Final = (
    (What.HANDOVER, Part.LEADER),
    (What.STOP, Part.FOLLOWER),
    (What.STOP, Part.LEADER),
    (What.DISK_SLOW, Part.FOLLOWER),
    (What.CLOCK_JUMP, Part.LEADER),
    (What.SWITCH_OFF, Part.TERMINAL),
)


def season_of(seed: int) -> Season:
    """The season of this seed's day."""
    return SEASONS[seed % len(SEASONS)]


def draw(seed: int) -> Plan:
    """The day of this seed: the same one each time, and nothing but the seed decides it."""
    season = season_of(seed)
    scenes = deal(season, seed // len(SEASONS))
    chance = random.Random(f"{seed}/weather")
    setup = climate.setup(
        random.Random(f"{seed}/climate"),
        rough=_rough(seed, season),
        sizes=_sizes(chance, season, scenes),
        quick=1.0 if season.crossings else _QUICK,
        brisk=season.brisk,
    )
    troubles: list[Trouble] = []
    now = _FIRST_MS + chance.uniform(0, 800)
    for moment, kind in scenes:
        troubles += _scene(chance, setup, season, moment, kind, round(now))
        now += _slot(chance, setup, moment)
    end = now if scenes else now + 3_000
    troubles += _gusts(chance, setup, season, end)
    return Plan(
        seed,
        season.name,
        replace(setup, safety_ms=round(end + _LAST_MS)),
        tuple(in_order(troubles)),
    )


def _rough(seed: int, season: Season) -> frozenset[str]:
    """Two of what may be worse than usual, at most: with all of it at once nobody is ever served,
    and little is tried."""
    worse = sorted(season.rough)
    if len(worse) <= _ROUGH_MOST:
        return season.rough
    return frozenset(random.Random(f"{seed}/rough").sample(worse, _ROUGH_MOST))


def deal(season: Season, number: int) -> list[Pair]:
    """What the season's day of this number is about."""
    deck, first = season.deck, number * season.scenes
    if not deck:
        return []
    return [deck[(first + each) * _STRIDE % len(deck)] for each in range(season.scenes)]


def _sizes(chance: random.Random, season: Season, scenes: Iterable[Pair]) -> climate.Sizes:
    """What cluster the scenes may be played in."""
    moments = {moment for moment, _ in scenes}
    lone = chance.random() < season.one_site
    if season.crossings or Moment.OVERTAKEN in moments:
        return climate.WIDE  # the moment needs somebody who takes over and cannot do it alone
    if not moments.isdisjoint(_SWITCHING):
        return climate.EVEN
    apart = any(kind in BETWEEN_SITES or moment in _APART for moment, kind in scenes)
    return climate.ONE_SITE if lone and not apart else climate.TWO_SITES


def _scene(
    chance: random.Random,
    setup: Setup,
    season: Season,
    moment: Moment,
    kind: Strike,
    from_ms: float,
) -> Iterable[Trouble]:
    """An opening, the strike at its moment, and perhaps another one on top."""
    opening = chance.choice(OPENINGS[moment])
    if season.crossings:
        if kind == UNHEARD:
            opening = UNANSWERED.get(moment, opening)
        first = at_once(chance, setup, kind, moment, from_ms)
    else:
        first = strike(chance, setup, kind, cue(chance, setup, moment, from_ms))
    scene = [*opening(chance, setup, from_ms), first]
    if chance.random() < _TWIN:
        scene.append(_twin(chance, setup, moment, from_ms))
    if chance.random() < 0.1:
        off = Trouble(At(from_ms), What.SWITCH_OFF, Part.TERMINAL, 1_000.0, chance.randint(0, 7))
        scene.append(off)
    return scene


def _twin(chance: random.Random, setup: Setup, moment: Moment, from_ms: float) -> Trouble:
    """A second strike: at the same moment, or when the first one's victim is back, or when whoever
    takes over just begins to serve."""
    again = chance.choice((moment, Moment.RESTARTED, Moment.WON, Moment.SERVING, Moment.DEPOSED))
    kind = chance.choice(STRIKES)
    return strike(chance, setup, kind, cue(chance, setup, again, from_ms))


def _slot(chance: random.Random, setup: Setup, moment: Moment) -> float:
    """How long a scene gets: the time its opening takes, and some for what follows."""
    timings = setup.timings
    slow = moment in (*_PROMOTION, Moment.OVERTAKEN, Moment.LEASE_GONE)
    least = 1_200.0 + 1.5 * timings.eviction_ms + (3_000.0 if slow else 0.0)
    return chance.uniform(least, least + 800)


def _gusts(chance: random.Random, setup: Setup, season: Season, end_ms: float) -> Iterable[Trouble]:
    """What comes at any time: mild on a calm day."""
    for _ in range(chance.randint(season.gusts // 2, season.gusts)):
        at = chance.uniform(_FIRST_MS, end_ms)
        if season.moments:
            yield anything(chance, setup, at)
        else:
            yield strike(chance, setup, chance.choice(_MILD), At(round(at)))
