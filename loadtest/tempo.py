"""A schedule played faster or slower: when its moments come, while the tempo changes. Pure.

Terminals have their slots drawn beforehand at the plan's rate. A tempo of 2 lets the moments that
are still to come pass at twice that speed; what lies behind stays where it was.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `at_ms` on, where the schedule stood at `scheduled_ms`, it runs at `times` its speed."""

    at_ms: float
    scheduled_ms: float
    times: float


class Tempo:
    """All in milliseconds from the beginning; at first a schedule runs as it was drawn."""

    def __init__(self) -> None:
        self._stretches = [_Stretch(0.0, 0.0, 1.0)]

    def change(self, at_ms: float, times: float) -> None:
        """From this moment on, so many times as fast as drawn.

        Raises `ValueError` for a speed that is not above 0, or a moment before the latest change.
        """
        last = self._stretches[-1]
        if times <= 0 or at_ms < last.at_ms:
            raise ValueError(f"no tempo of {times} from {at_ms:.0f} ms on")
        there = last.scheduled_ms + (at_ms - last.at_ms) * last.times
        self._stretches.append(_Stretch(at_ms, there, times))

    def when(self, scheduled_ms: float) -> float:
        """When this moment of the schedule comes, or came."""
        found = next(
            each for each in reversed(self._stretches) if each.scheduled_ms <= scheduled_ms
        )
        return found.at_ms + (scheduled_ms - found.scheduled_ms) / found.times
