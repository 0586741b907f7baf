"""What a running load can be told: one order a line, on its standard input or on Locust's wire."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """The day is over: no new slots, what is under way is drained."""


@dataclass(frozen=True, slots=True)
class ChangeRate:
    """From now on so many times the plan's rate of slots."""

    times: float


@dataclass(frozen=True, slots=True)
class RollOver:
    """The business date ends: every terminal closes its day and goes on with the next one."""


Order = Stop | ChangeRate | RollOver


def spoken(order: Order) -> str:
    """The order as a line, without its end."""
    match order:
        case Stop():
            return "stop"
        case ChangeRate(times):
            return f"rate {times}"
        case RollOver():
            return "roll-over"


def understood(line: str) -> Order:
    """The order that a line gives. Raises `ValueError` for any other words."""
    match line.split():
        case ["stop"]:
            return Stop()
        case ["roll-over"]:
            return RollOver()
        case ["rate", number]:
            with contextlib.suppress(ValueError):
                if float(number) > 0:
                    return ChangeRate(float(number))
    raise ValueError(f"no order to a load: {line!r}")
