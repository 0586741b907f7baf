"""What a cell of a comparison says in words. Pure."""

from __future__ import annotations

from typing import Final

from loadtest.report.comparison import Cell, Spread
from loadtest.report.model import Ending
from loadtest.report.words import Words, filled, word

OUTAGE_MS: Final = 1_000.0
"""What ended a shorter time without settlement is not worth a word."""


def gap_ended(cell: Cell) -> Words | None:
    """By what the longest time without settlement ended, where that was not the cluster itself."""
    if cell.gap_ms is None or cell.gap_ms.most < OUTAGE_MS or cell.gap_ended is Ending.ITSELF:
        return None
    return word(f"ended_{cell.gap_ended}")


def verdict(cell: Cell) -> str:
    """In English; of repeats, how many passed."""
    several = f" {cell.passed} of {len(cell.reports)}" if len(cell.reports) > 1 else ""
    return word(cell.ruling.value).en + several


def gap(cell: Cell) -> str:
    """The longest time without settlement, and by what it ended, in English."""
    ended = gap_ended(cell)
    return seconds(cell.gap_ms) + (f", {ended.en}" if ended else "")


def services(cell: Cell) -> str:
    """How many of the seven were offered; a dash where nobody asked."""
    return "–" if cell.services is None else filled("of_seven", cell.services).en


def seconds(value: float | Spread | None) -> str:
    """Milliseconds as seconds; a spread of repeats as least / median / greatest."""
    if value is None:
        return "–"
    if isinstance(value, Spread):
        if value.least == value.most:
            return seconds(value.middle)
        least, middle, most = (each / 1000.0 for each in (value.least, value.middle, value.most))
        return f"{least:,.2f} / {middle:,.2f} / {most:,.2f} s"
    return f"{value / 1000.0:,.2f} s"


def count(value: int | None) -> str:
    """A number; a dash where it is not known."""
    return "–" if value is None else f"{value:,}"
