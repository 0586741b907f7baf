"""Least, middle and greatest of some repeats as a short bar, on a scale that a table shares."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from loadtest.report.comparison import Spread
from loadtest.report.drawing.svg import element, picture
from loadtest.report.words import word

_WIDTH: Final = 150.0
_HEIGHT: Final = 14.0


def draw(spread: Spread, most: float) -> Markup:
    """`most`: the greatest value that any row shows."""
    scale = (_WIDTH - 4.0) / max(most, 1.0)
    middle = spread.middle * scale
    return picture(
        word("gap"),
        _HEIGHT,
        element("rect", x=0, y=6, width=_WIDTH, height=2, class_="grid"),
        element("rect", x=0, y=4, width=max(2.0, middle), height=6, rx=1, class_="settled"),
        element(
            "line",
            x1=spread.least * scale,
            x2=spread.most * scale,
            y1=7,
            y2=7,
            class_="moment",
        ),
        width=_WIDTH,
    )
