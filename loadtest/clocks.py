"""Histories of several machines, whose clocks do not agree, put on the clock of the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec

from loadtest.history import History, Line, gathered

_SAME_CLOCK_MS: Final = 1_000.0
"""Processes of one machine read its date some microseconds apart; machines that were started at
different times are further apart than this, and then only as well together as their dates are."""

_MOMENTS: Final = (
    "intended_ms",
    "written_ms",
    "sent_ms",
    "heard_ms",
    "first_intended_ms",
    "at_ms",
)


def on_one_clock(histories: Sequence[History]) -> History:
    """All of them as one. Waits stay as they were: each was measured on one machine."""
    begun = [history for history in histories if history.headers]
    lines: list[Line] = []
    for history in begun:
        by_ms = _zero_ms(history) - _zero_ms(begun[0])
        moved = abs(by_ms) >= _SAME_CLOCK_MS
        lines += (_later(line, by_ms) if moved else line for line in _lines(history))
    return gathered(lines, torn=sum(history.torn for history in histories))


def _zero_ms(history: History) -> float:
    return history.headers[0].unix_at_zero_ms


def _lines(history: History) -> Iterator[Line]:
    return chain(
        history.headers,
        history.intents,
        history.heard,
        history.unsent,
        history.marks,
        history.stalls,
    )


def _later(line: Line, by_ms: float) -> Line:
    moments = {
        name: getattr(line, name) + by_ms for name in line.__struct_fields__ if name in _MOMENTS
    }
    return msgspec.structs.replace(line, **moments)
