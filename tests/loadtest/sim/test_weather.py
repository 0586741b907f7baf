"""Days are drawn from their seeds alone, differ from each other, and leave nothing out."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from coordinator.configuration import majority
from loadtest.sim.weather.days import SEASONS, deal, draw, season_of
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.openings import OPENINGS
from loadtest.sim.weather.strikes import BETWEEN_SITES, STRIKES
from loadtest.sim.weather.troubles import (
    At,
    Cue,
    Part,
    Plan,
    Trouble,
    What,
    earliest,
    tell_plan,
    tell_trouble,
)

SEEDS = 1_000


@pytest.fixture(scope="module")
def days() -> list[Plan]:
    return [draw(seed) for seed in range(SEEDS)]


def test_the_same_seed_makes_the_same_day_whatever_else_was_drawn() -> None:
    first = draw(77)
    random.random()
    draw(78)
    assert draw(77) == first


def test_days_differ(days: list[Plan]) -> None:
    assert len({tuple(tell_plan(day)[1:]) for day in days if day.troubles}) > 0.95 * SEEDS


def test_every_season_comes_as_often_as_any_other(days: list[Plan]) -> None:
    count = {season.name: 0 for season in SEASONS}
    for day in days:
        assert day.season == season_of(day.seed).name
        count[day.season] += 1
    assert max(count.values()) - min(count.values()) <= 1


def test_a_thousand_days_have_every_strike_at_every_moment(days: list[Plan]) -> None:
    had = {
        (trouble.when.moment, trouble.what, trouble.victim)
        for day in days
        for trouble in day.troubles
        if isinstance(trouble.when, Cue)
    }
    wanted = {(moment, *strike) for moment in Moment for strike in STRIKES + BETWEEN_SITES}
    assert not wanted - had


def test_every_crossing_is_dealt_several_times_in_a_thousand_days() -> None:
    for season in SEASONS:
        numbers = [seed // len(SEASONS) for seed in range(SEEDS) if season_of(seed) is season]
        dealt = Counter(pair for number in numbers for pair in deal(season, number))
        assert all(dealt[pair] >= 3 for pair in season.crossings)


def test_crossings_strike_at_the_moment_itself(days: list[Plan]) -> None:
    """What is over in a few milliseconds, and lets whatever else was dealt come too."""
    crossed = [day for day in days if season_of(day.seed).crossings]
    assert crossed
    for day in crossed:
        season = season_of(day.seed)
        for moment, kind in deal(season, day.seed // len(SEASONS)):
            struck = [
                trouble
                for trouble in day.troubles
                if isinstance(trouble.when, Cue)
                and (trouble.when.moment, trouble.what, trouble.victim) == (moment, *kind)
            ]
            delays = [trouble.when.after_ms for trouble in struck if isinstance(trouble.when, Cue)]
            assert min(delays) <= (9.0 if moment is Moment.FENCED else 0.3)
            assert min(each.for_ms for each in struck) <= 2.5 * day.setup.timings.eviction_ms


def test_coordinators_are_in_a_hurry_only_where_sites_are_the_matter(days: list[Plan]) -> None:
    for day in days:
        assert day.setup.switching.probe_ms >= (100 if day.season == "sites" else 250)


def test_every_kind_of_trouble_and_every_victim_comes(days: list[Plan]) -> None:
    troubles = [trouble for day in days for trouble in day.troubles]
    assert {trouble.what for trouble in troubles} == set(What)
    assert {trouble.victim for trouble in troubles} == set(Part)


def test_every_moment_has_an_opening_and_a_season() -> None:
    assert set(OPENINGS) == set(Moment)
    in_a_season = {moment for season in SEASONS for moment in season.moments}
    assert in_a_season == set(Moment)


def test_nothing_comes_before_the_cluster_serves_or_after_the_calm_begins(
    days: list[Plan],
) -> None:
    for day in days:
        for trouble in day.troubles:
            assert 1_400 <= earliest(trouble.when) < day.setup.safety_ms


def test_days_are_short(days: list[Plan]) -> None:
    assert max(day.setup.safety_ms for day in days) <= 30_000
    assert sum(day.setup.safety_ms for day in days) / SEEDS < 12_000
    assert max(len(day.troubles) for day in days) <= 24


def test_clusters_are_of_all_sizes_and_can_live(days: list[Plan]) -> None:
    sizes = set()
    for day in days:
        sizes.add(tuple(len(nodes) for nodes in day.setup.sites.values()))
        assert sum(majority(len(nodes)) for nodes in day.setup.sites.values()) >= (
            day.setup.copies_min
        )
    assert sizes == {(3,), (3, 3), (2, 2), (3, 1), (2, 1)}


def test_where_there_is_one_site_nothing_is_asked_of_another(days: list[Plan]) -> None:
    switching = {Moment.SWITCHED, Moment.SWITCH_SENT, Moment.SWITCH_DRAINING}
    for day in days:
        for trouble in day.troubles:
            if isinstance(trouble.when, Cue) and trouble.when.moment in switching:
                assert len(day.setup.sites) == 2


def test_whatever_lasts_has_an_end(days: list[Plan]) -> None:
    for day in days:
        for trouble in day.troubles:
            if trouble.what in (What.CRASH, What.PAUSE, What.CUT_OFF, What.ETCD_AWAY, What.LIE):
                assert trouble.for_ms >= 5


def test_a_plan_can_be_told_in_words(days: list[Plan]) -> None:
    told = tell_plan(days[1])
    assert told[0].startswith("seed 1, a day of takeover: ")
    assert len(told) == 1 + len(days[1].troubles)


def test_a_trouble_can_be_told_in_words() -> None:
    cue = Cue(Moment.VOWED, 2, 0.5, 2_000)
    assert tell_trouble(Trouble(cue, What.CRASH, Part.CUED, 300)) == (
        "0.5 ms after a promise to a winner leaves, for the second time (from 2.000 s on): "
        "the one whose moment it is is killed, for 300 ms"
    )
    slow = Trouble(At(1_500), What.DISK_SLOW, Part.FOLLOWER, 0, 1, 40.0)
    assert tell_trouble(slow) == "at 1.500 s: a follower (no. 1) has a slow disk by 40"
