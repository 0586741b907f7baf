"""A rate as a function of time: its integral and its inverse."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.profiles.curve import Curve, Knot, flat

_RATES = st.one_of(st.just(0.0), st.floats(0.1, 3000.0))


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Rises, falls, jumps and silent stretches; at least one slot in all."""
    count = draw(st.integers(2, 8))
    spans = draw(
        st.lists(
            st.one_of(st.just(0.0), st.floats(0.1, 60.0)), min_size=count - 1, max_size=count - 1
        )
    )
    at, knots = 0.0, [Knot(0.0, draw(_RATES))]
    for span in spans:
        at += span
        knots.append(Knot(at, draw(_RATES)))
    knots.append(Knot(at + 1.0, 5.0))
    return Curve(tuple(knots))


def test_between_knots_the_rate_is_a_straight_line() -> None:
    curve = Curve((Knot(0, 100), Knot(10, 300), Knot(10, 50), Knot(20, 50)))
    assert [curve.rate_at(at) for at in (0, 5, 10, 15, 20)] == [100, 200, 50, 50, 50]
    assert curve.rate_at(-1) == curve.rate_at(20.1) == 0
    assert [curve.due_by(at) for at in (0, 5, 10, 20, 99)] == [0, 750, 2000, 2500, 2500]
    assert (curve.slots, curve.highest, curve.ends_s) == (2500, 300, 20)


@given(curves())
def test_the_inverse_undoes_the_integral(curve: Curve) -> None:
    due = [curve.slots * share / 50 for share in range(51)]
    moments = list(curve.moments(due))
    assert len(moments) >= 50  # the very last may fall off by rounding
    assert all(before <= after for before, after in pairwise(moments))
    for count, at in zip(due, moments, strict=False):
        assert curve.due_by(at) == pytest.approx(count, rel=1e-6, abs=1e-6)


@given(curves(), st.floats(0.0, 1.0))
def test_the_integral_is_the_sum_of_the_rates(curve: Curve, share: float) -> None:
    at, steps = curve.ends_s * share, 2_000
    sum_ = sum(curve.rate_at((step + 0.5) * at / steps) for step in range(steps)) * at / steps
    assert curve.due_by(at) == pytest.approx(sum_, rel=1e-2, abs=0.5)


def test_nothing_is_due_after_the_end() -> None:
    assert list(flat(10, 1).moments([1, 10, 10.5, 11])) == [0.1, 1.0]


@pytest.mark.parametrize(
    "knots",
    [
        (),
        (Knot(0, 1),),
        (Knot(1, 1), Knot(2, 1)),
        (Knot(0, 1), Knot(2, 1), Knot(1, 1)),
        (Knot(0, -1), Knot(1, 5)),
        (Knot(0, float("nan")), Knot(1, 5)),
        (Knot(0, 0), Knot(1, 0)),
        (Knot(0, 5), Knot(0, 5)),
    ],
)
def test_what_is_no_curve_is_refused(knots: tuple[Knot, ...]) -> None:
    with pytest.raises(ValueError, match=r"curve|knots|rate"):
        Curve(knots)
