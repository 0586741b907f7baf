"""A block that ends in time, whatever it is waiting for: a drill must not hang on what it broke."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from loadtest.drill.lookout import DrillFailed

_AGAIN_S: Final = 5.0  # a library may have swallowed the first one


class OutOfTime(DrillFailed):
    """The block lasted longer than it may."""


@contextmanager
def at_most(within_s: float) -> Iterator[None]:
    """Raises `OutOfTime` in the block, wherever it is by then. In the main thread only."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"it was not over after {within_s:.0f} s, the longest that it may last")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, within_s, _AGAIN_S)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # the alarm may have gone off just before it was turned off
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
