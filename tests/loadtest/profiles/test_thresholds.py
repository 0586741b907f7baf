"""Limits of a whole run, and the second at which a ramp breaks."""

from __future__ import annotations

import msgspec
import pytest

from loadtest.load_plan import Progress
from loadtest.measure import Figures
from loadtest.profiles.curve import Curve, Knot
from loadtest.profiles.thresholds import Breaking, Broke, Limits, judge, unsent

FIGURES = Figures(
    slots=1000,
    answered=980,
    approved=960,
    declined=15,
    mismatched=0,
    read=5,
    refused=4,
    refused_why={},
    repeats=0,
    retried=0,
    failed=7,
    unknown_resolved={},
    unknown_at_end=3,
    unserved=20,
    longest_gap_ms=900.0,
    longest_gap_at_ms=0.0,
    longest_wait_ms=1200.0,
    p50_ms=20.0,
    p95_ms=40.0,
    p99_ms=80.0,
    slow=25,
    generator_stall_ms=0.0,
    began_ms=0.0,
    stopped_ms=10_000.0,
)
RAMP = Curve((Knot(0, 100), Knot(100, 1100)))


def test_only_limits_that_were_set_are_judged() -> None:
    assert judge(Limits(), FIGURES) == ()
    assert unsent(FIGURES) == 17


@pytest.mark.parametrize(
    ("at", "below"),
    [
        (Limits(p99_ms=80), Limits(p99_ms=79)),
        (Limits(wait_ms=1200), Limits(wait_ms=1199)),
        (Limits(gap_ms=900), Limits(gap_ms=899)),
        (Limits(unknown=3), Limits(unknown=2)),
        (Limits(refused=4), Limits(refused=3)),
        (Limits(unsent=17), Limits(unsent=16)),
    ],
)
def test_a_value_at_its_limit_is_held_and_one_above_is_not(at: Limits, below: Limits) -> None:
    assert [check.met for check in judge(at, FIGURES)] == [True]
    assert [check.met for check in judge(below, FIGURES)] == [False]


GOOD = Progress(
    at_s=10, rate=200, p50_ms=10, p99_ms=50, heard=2000, declined=0, refused=0, unknown=0, waiting=5
)
LIMITS = Limits(p99_ms=500, unknown=0, refused=0)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"p99_ms": 501.0}, "p99 501 ms, limit 500 ms"),
        ({"unknown": 1}, "1 results unknown, limit 0"),
        ({"refused": 2}, "2 refused, limit 0"),
        ({"rate": 0.0}, "no answer at all in this second, 5 terminals waiting"),
    ],
)
def test_a_ramp_breaks_at_the_first_second_that_does_not_hold(
    second: dict[str, float], why: str
) -> None:
    breaking = Breaking(LIMITS, RAMP)
    breaking.hear(GOOD)
    assert breaking.found is None
    breaking.hear(_at(20.0, second))
    breaking.hear(_at(30.0, {"p99_ms": 9999.0}))
    assert breaking.found == Broke(20.0, 300.0, why)


def test_a_ramp_does_not_break_while_connections_are_made_or_nobody_waits() -> None:
    breaking = Breaking(LIMITS, RAMP)
    breaking.hear(_at(2.0, {"p99_ms": 9999.0}))
    breaking.hear(_at(10.0, {"rate": 0.0, "waiting": 0}))
    assert breaking.found is None


def _at(at_s: float, second: dict[str, float]) -> Progress:
    return msgspec.structs.replace(GOOD, at_s=at_s, **second)
