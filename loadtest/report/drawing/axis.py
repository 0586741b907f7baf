"""The seconds of a run along the width of a picture."""

from __future__ import annotations

import math
from typing import Final

from loadtest.report.drawing.svg import WIDTH

LEFT: Final = 132.0
"""Left of it stand the names of what is drawn."""
RIGHT: Final = WIDTH - 16.0
_STEPS: Final = (1, 2, 5, 10, 20)


class Axis:
    """Seconds to the picture's units."""

    def __init__(self, length_s: float) -> None:
        self.length_s = max(length_s, 1.0)

    def at(self, moment_s: float) -> float:
        """Where a moment is; one outside is at the edge."""
        share = min(max(moment_s / self.length_s, 0.0), 1.0)
        return LEFT + (RIGHT - LEFT) * share

    def until(self, moment_s: float | None) -> float:
        """The same for an end, which None leaves open."""
        return RIGHT if moment_s is None else self.at(moment_s)


def round_step(rough: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is not below `rough`."""
    scale = 10.0 ** math.floor(math.log10(max(rough, 0.1)))
    return next(scale * each for each in _STEPS if scale * each >= rough)
