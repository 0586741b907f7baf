"""What a run of load must hold, and whether it did: the whole of it, or a single second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.load_plan import Progress
from loadtest.measure import Figures
from loadtest.profiles.curve import Curve

_WARM_UP_S: Final = 3.0
"""In the first seconds connections are made and leaders found: no ramp breaks there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be; None: anything. Times count from the intended start.

    `wait_ms` is the longest of all waits, `gap_ms` the longest time without any settlement.
    """

    p99_ms: float | None = None
    wait_ms: float | None = None
    gap_ms: float | None = None
    unknown: int | None = None
    refused: int | None = None
    unsent: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One limit beside what was measured."""

    what: str
    value: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Is it held? A value at the limit is."""
        return self.value <= self.limit


def judge(limits: Limits, figures: Figures) -> tuple[Check, ...]:
    """Every limit that was set, against the figures of a whole run."""
    checks = (
        ("p99 from the intended start", figures.p99_ms, limits.p99_ms, "ms"),
        ("longest wait", figures.longest_wait_ms, limits.wait_ms, "ms"),
        ("longest time without a settlement", figures.longest_gap_ms, limits.gap_ms, "ms"),
        ("results unknown at the end", figures.unknown_at_end, limits.unknown, ""),
        ("refused", figures.refused, limits.refused, ""),
        ("slots never sent", unsent(figures), limits.unsent, ""),
    )
    return tuple(
        Check(what, value, limit, unit) for what, value, limit, unit in checks if limit is not None
    )


def unsent(figures: Figures) -> int:
    """Slots whose intended start came, but which were never sent."""
    return figures.unserved - figures.unknown_at_end


@dataclass(frozen=True, slots=True)
class Broke:
    """The first second of a ramp that did not hold. `rate` was meant then, in slots a second."""

    at_s: float
    rate: float
    why: str


class Breaking:
    """Watches a ramp second by second for the first that does not hold."""

    def __init__(self, limits: Limits, curve: Curve) -> None:
        self._limits = limits
        self._curve = curve
        self.found: Broke | None = None

    def hear(self, second: Progress) -> None:
        """The next second."""
        if self.found is None and second.at_s >= _WARM_UP_S:
            why = self._wrong(second)
            if why:
                at_s = min(second.at_s, self._curve.ends_s)
                self.found = Broke(at_s, self._curve.rate_at(at_s), why)

    def _wrong(self, second: Progress) -> str:
        limits = self._limits
        if second.waiting and not second.rate:
            return f"no answer at all in this second, {second.waiting:,} terminals waiting"
        if limits.p99_ms is not None and second.p99_ms > limits.p99_ms:
            return f"p99 {second.p99_ms:,.0f} ms, limit {limits.p99_ms:,.0f} ms"
        if limits.unknown is not None and second.unknown > limits.unknown:
            return f"{second.unknown:,} results unknown, limit {limits.unknown:,}"
        if limits.refused is not None and second.refused > limits.refused:
            return f"{second.refused:,} refused, limit {limits.refused:,}"
        return ""
