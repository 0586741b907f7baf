"""A rate as a function of time: straight lines between knots, with an exact integral and inverse.

Slots of an open model come at a rate that changes. How many are due up to a moment is the integral
of the rate; when the n-th is due is the inverse of that. For straight lines both are formulas, so a
schedule needs neither small steps nor chance beyond its own draws.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, pairwise

import msgspec


class Knot(msgspec.Struct, frozen=True):
    """At `at_s` seconds from the beginning the rate is `rate` slots a second."""

    at_s: float
    rate: float


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Straight lines between knots. Two knots at one time are a jump; at it, the later one holds.

    The first knot is at 0 and the last one ends the curve. Raises `ValueError` on knots out of
    order, negative rates, or a curve without any slot.
    """

    knots: tuple[Knot, ...]

    def __post_init__(self) -> None:
        knots = self.knots
        if len(knots) < 2 or knots[0].at_s != 0:
            raise ValueError("a curve has two knots or more, the first at 0")
        if any(after.at_s < before.at_s for before, after in pairwise(knots)):
            raise ValueError("knots of a curve come in the order of time")
        if any(not (knot.rate >= 0 and math.isfinite(knot.rate)) for knot in knots):
            raise ValueError("no rate is negative")
        if self.slots <= 0:
            raise ValueError("a curve without any slot is no load")

    @property
    def ends_s(self) -> float:
        """How long it is, in seconds."""
        return self.knots[-1].at_s

    @property
    def slots(self) -> float:
        """How many slots are due in all: the whole integral."""
        return self._sums()[-1]

    @property
    def highest(self) -> float:
        """The highest rate, in slots a second."""
        return max(knot.rate for knot in self.knots)

    def rate_at(self, at_s: float) -> float:
        """Slots a second at a moment; 0 before the beginning and after the end."""
        if not 0 <= at_s <= self.ends_s:
            return 0.0
        place = bisect_right([knot.at_s for knot in self.knots], at_s)
        if place == len(self.knots):
            return self.knots[-1].rate
        before, after = self.knots[place - 1], self.knots[place]
        share = (at_s - before.at_s) / (after.at_s - before.at_s)
        return before.rate + share * (after.rate - before.rate)

    def due_by(self, at_s: float) -> float:
        """How many slots are due from the beginning up to a moment: the integral of the rate."""
        at_s = min(max(at_s, 0.0), self.ends_s)
        place = bisect_right([knot.at_s for knot in self.knots], at_s) - 1
        knot = self.knots[place]
        return self._sums()[place] + (at_s - knot.at_s) * (knot.rate + self.rate_at(at_s)) / 2.0

    def moments(self, due: Iterable[float]) -> Iterable[float]:
        """When so many slots are due, in seconds, for rising numbers; ends where the curve ends."""
        sums = self._sums()
        for count in due:
            if count > sums[-1]:
                return
            place = max(1, bisect_left(sums, count))
            before, after = self.knots[place - 1], self.knots[place]
            yield before.at_s + _reached(before, after, count - sums[place - 1])

    def _sums(self) -> list[float]:
        """The integral up to each knot."""
        pieces = (
            (after.at_s - before.at_s) * (before.rate + after.rate) / 2.0
            for before, after in pairwise(self.knots)
        )
        return list(accumulate(pieces, initial=0.0))


def flat(rate: float, for_s: float) -> Curve:
    """The same rate all the time."""
    return Curve((Knot(0.0, rate), Knot(for_s, rate)))


def _reached(before: Knot, after: Knot, slots: float) -> float:
    """How long after `before` the line towards `after` has brought so many slots.

    With the rate r and its slope g: r t + g t^2 / 2 = slots. The root is written with the square
    root in the denominator, which stays exact for a slope near 0 and needs no case for a flat line.
    """
    if slots <= 0:
        return 0.0
    slope = (after.rate - before.rate) / (after.at_s - before.at_s)
    root = math.sqrt(max(0.0, before.rate**2 + 2.0 * slope * slots))
    return min(2.0 * slots / (before.rate + root), after.at_s - before.at_s)
