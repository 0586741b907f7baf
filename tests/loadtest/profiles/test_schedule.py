"""Intended starts under a changing rate: as many as the curve says, and the same from a seed."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from loadtest.arrivals import Pattern
from loadtest.profiles.catalogue import CATALOGUE
from loadtest.profiles.curve import Curve, Knot
from loadtest.profiles.schedule import schedule

TERMINALS = 20


def starts_s(pattern: Pattern, curve: Curve, seed: int = 1) -> list[float]:
    """Of all terminals together, in seconds, in order."""
    return sorted(
        at / 1000
        for terminal in range(TERMINALS)
        for at in schedule(pattern, curve, seed=seed, terminal=terminal, terminals=TERMINALS)
    )


@pytest.mark.parametrize("name", list(CATALOGUE))
@pytest.mark.parametrize("pattern", list(Pattern))
def test_counts_follow_the_integral_in_every_part_of_every_profile(
    name: str, pattern: Pattern
) -> None:
    curve = CATALOGUE[name].changed(duration_s=30).curve
    starts = starts_s(pattern, curve)
    for part in range(10):
        begins, ends = curve.ends_s * part / 10, curve.ends_s * (part + 1) / 10
        wanted = curve.due_by(ends) - curve.due_by(begins)
        came = sum(begins <= at < ends for at in starts)
        # Poisson: five standard deviations; an even beat is off by its ends only.
        assert abs(came - wanted) <= (5 * math.sqrt(wanted) if pattern is Pattern.POISSON else 2)


def test_the_same_seed_gives_the_same_starts_and_another_one_others() -> None:
    curve = CATALOGUE["day"].changed(duration_s=10).curve
    once = starts_s(Pattern.POISSON, curve)
    assert starts_s(Pattern.POISSON, curve) == once
    assert starts_s(Pattern.POISSON, curve, seed=2) != once


def test_starts_of_one_terminal_rise_and_end_with_the_curve() -> None:
    curve = Curve((Knot(0, 0), Knot(5, 400), Knot(10, 0)))
    starts = list(schedule(Pattern.POISSON, curve, seed=3, terminal=4, terminals=TERMINALS))
    assert all(before < after for before, after in pairwise(starts))
    assert starts[0] > 0
    assert starts[-1] <= 10_000


def test_an_even_beat_takes_turns() -> None:
    curve = Curve((Knot(0, 100), Knot(1, 100)))
    starts = starts_s(Pattern.CONSTANT, curve)
    gaps = [after - before for before, after in pairwise(starts)]
    assert gaps == pytest.approx([0.01] * len(gaps))


def test_a_terminal_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="terminal 20 of 20"):
        next(
            schedule(Pattern.POISSON, CATALOGUE["steady"].curve, seed=1, terminal=20, terminals=20)
        )


def test_profiles_are_what_they_say() -> None:
    assert CATALOGUE["steady"].curve.rate_at(10) == 400
    burst = CATALOGUE["burst"].curve
    assert [burst.rate_at(at) for at in (10, 30, 50)] == [400, 1500, 400]
    day = CATALOGUE["day"].curve
    hour = day.ends_s / 24
    assert day.highest == day.rate_at(12 * hour) == 1000
    peaks = [at for at in range(1, 24) if _is_peak(day, at * hour, hour)]
    assert peaks == [8, 12, 18]
    ramp = CATALOGUE["ramp"].curve
    assert [ramp.rate_at(at) for at in (0, 60, 120)] == [100, 1550, 3000]


def _is_peak(curve: Curve, at_s: float, hour_s: float) -> bool:
    around = (curve.rate_at(at_s - hour_s / 2), curve.rate_at(at_s + hour_s / 2))
    return curve.rate_at(at_s) > max(around)
