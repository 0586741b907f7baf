"""Shrinking finds the smallest day that still fails, and never asks more often than it may."""

from __future__ import annotations

from dataclasses import replace

from loadtest.sim.weather.days import draw
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.shrink import shrink
from loadtest.sim.weather.troubles import At, Cue, Part, Plan, Trouble, What

CULPRIT = Trouble(Cue(Moment.WON, 2, 31.5, 4_000), What.CRASH, Part.CUED, 900)
OTHER = Trouble(At(5_250), What.ETCD_AWAY, Part.ETCD, 400)


def _plan(*troubles: Trouble) -> Plan:
    day = draw(10)
    assert len(day.troubles) > 4
    return replace(day, troubles=(*day.troubles[:3], *troubles, *day.troubles[3:]))


def _has(plan: Plan, what: What, moment: Moment | None = None) -> bool:
    return any(
        trouble.what is what
        and (moment is None or (isinstance(trouble.when, Cue) and trouble.when.moment is moment))
        for trouble in plan.troubles
    )


def test_only_what_is_needed_stays() -> None:
    small = shrink(_plan(CULPRIT), lambda plan: _has(plan, What.CRASH, Moment.WON), 2_000)
    (left,) = small.troubles
    assert left == Trouble(Cue(Moment.WON), What.CRASH, Part.CUED, left.for_ms)
    assert left.for_ms <= 20
    assert sum(len(nodes) for nodes in small.setup.sites.values()) == 1
    assert small.setup.terminals == 1


def test_two_that_are_needed_together_stay_together() -> None:
    def fails(plan: Plan) -> bool:
        return _has(plan, What.CRASH, Moment.WON) and _has(plan, What.ETCD_AWAY)

    small = shrink(_plan(CULPRIT, OTHER), fails, 2_000)
    assert len(small.troubles) == 2
    assert fails(small)


def test_what_it_needs_of_the_cluster_stays() -> None:
    def fails(plan: Plan) -> bool:
        return len(plan.setup.sites.get("b", ())) >= 1 and plan.setup.manners.loss > 0

    day = _plan(CULPRIT)
    lossy = replace(day, setup=replace(day.setup, manners=replace(day.setup.manners, loss=0.1)))
    small = shrink(lossy, fails, 2_000)
    assert small.troubles == ()
    assert {site: len(nodes) for site, nodes in small.setup.sites.items()} == {"a": 1, "b": 1}
    assert small.setup.manners.loss == 0.1


def test_it_never_asks_more_often_than_it_may() -> None:
    asked = []

    def fails(plan: Plan) -> bool:
        asked.append(plan)
        return len(asked) % 3 == 0

    small = shrink(_plan(CULPRIT, OTHER), fails, 17)
    assert len(asked) == 17
    assert small in asked


def test_a_day_that_fails_only_as_it_is_stays_as_it_is() -> None:
    day = _plan(CULPRIT)
    assert shrink(day, lambda plan: False, 2_000) == day


def test_with_nothing_to_spend_nothing_changes() -> None:
    day = _plan(CULPRIT)
    assert shrink(day, lambda plan: True, 0) == day


def test_a_cluster_never_gets_too_small_to_settle_anything() -> None:
    day = _plan()
    cautious = replace(day, setup=replace(day.setup, copies_min=2))
    small = shrink(cautious, lambda plan: True, 2_000)
    assert {site: len(nodes) for site, nodes in small.setup.sites.items()} == {"a": 2}
