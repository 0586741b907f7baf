"""The profiles that `kessai load` knows, as data: name, purpose, figures, and their curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from loadtest.profiles.curve import Curve, Knot, flat

_BY_THE_HOUR: Final = (
    (0, 0.06),
    (5, 0.03),
    (7, 0.40),
    (8, 0.75),  # commuters: e-money at gates and kiosks
    (9, 0.45),
    (11, 0.60),
    (12, 1.00),  # lunch
    (13, 0.75),
    (15, 0.45),
    (17, 0.65),
    (18, 0.95),  # shopping on the way home
    (19, 0.85),
    (21, 0.45),
    (24, 0.06),
)
"""Hour of the day and the share of the peak's rate. An assumption: no payment centre publishes its
own; three peaks of different height, a steep rise in the morning, and a night that does not stop.
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """A shape of load and its figures. `rate` and `peak` are slots a second of all terminals; a
    shape that has no use for one of them has 0 there.

    `until_broken`: stop at the first second that does not hold, rather than judge the whole.
    `node_down`: one follower is stopped for as long as the load runs.
    """

    name: str
    about: str
    rate: float
    peak: float
    duration_s: float
    terminals: int
    draw: Callable[[float, float, float], Curve]
    until_broken: bool = False
    node_down: bool = False

    @property
    def curve(self) -> Curve:
        """Rate over time. Raises `ValueError` where the figures make none."""
        return self.draw(self.rate, self.peak, self.duration_s)

    def changed(
        self,
        *,
        rate: float | None = None,
        peak: float | None = None,
        duration_s: float | None = None,
        terminals: int | None = None,
    ) -> Profile:
        """The same shape with other figures, where they are given. Raises `ValueError` for one that
        this shape has no use for."""
        if rate is not None and not self.rate:
            raise ValueError(f"the profile {self.name} has a peak, but no other rate")
        if peak is not None and not self.peak:
            raise ValueError(f"the profile {self.name} has a rate, but no peak")
        return replace(
            self,
            rate=self.rate if rate is None else rate,
            peak=self.peak if peak is None else peak,
            duration_s=self.duration_s if duration_s is None else duration_s,
            terminals=self.terminals if terminals is None else terminals,
        )


def _steady(rate: float, peak: float, duration_s: float) -> Curve:
    return flat(rate, duration_s)


def _burst(rate: float, peak: float, duration_s: float) -> Curve:
    """The middle third is the burst; it begins and ends at once."""
    begins, ends = duration_s / 3.0, duration_s * 2.0 / 3.0
    return Curve(
        (
            Knot(0.0, rate),
            Knot(begins, rate),
            Knot(begins, peak),
            Knot(ends, peak),
            Knot(ends, rate),
            Knot(duration_s, rate),
        )
    )


def _day(rate: float, peak: float, duration_s: float) -> Curve:
    return Curve(
        tuple(Knot(hour / 24.0 * duration_s, share * peak) for hour, share in _BY_THE_HOUR)
    )


def _ramp(rate: float, peak: float, duration_s: float) -> Curve:
    return Curve((Knot(0.0, rate), Knot(duration_s, peak)))


_PROFILES: Final = (
    Profile(
        name="steady",
        about="one rate all the time",
        rate=400,
        peak=0,
        duration_s=30,
        terminals=100,
        draw=_steady,
    ),
    Profile(
        name="burst",
        about="a steady base with a burst in its middle third",
        rate=400,
        peak=1500,
        duration_s=60,
        terminals=400,
        draw=_burst,
    ),
    Profile(
        name="day",
        about="24 hours in minutes: peaks in the morning, at noon and in the evening",
        rate=0,
        peak=1000,
        duration_s=240,
        terminals=300,
        draw=_day,
    ),
    Profile(
        name="ramp",
        about="rises until a second does not hold, and says at which rate",
        rate=100,
        peak=3000,
        duration_s=120,
        terminals=600,
        draw=_ramp,
        until_broken=True,
    ),
    Profile(
        name="n-minus-one",
        about="one rate all the time while one follower is stopped",
        rate=400,
        peak=0,
        duration_s=40,
        terminals=100,
        draw=_steady,
        node_down=True,
    ),
)

CATALOGUE: Final = {profile.name: profile for profile in _PROFILES}
"""By name, in the order in which they are shown."""
