"""One second of load as a process saw it, and several processes' seconds as one. Pure data."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from loadtest.load_plan import Progress, quantile


class Totals(msgspec.Struct, frozen=True):
    """What one process has counted since its load began. `waiting` asks are under way."""

    at_s: float = 0.0
    heard: int = 0
    declined: int = 0
    refused: int = 0
    unknown: int = 0
    waiting: int = 0


class Second(msgspec.Struct, frozen=True):
    """What one process heard since its last report. `waits_ms` are from the intended start, those
    of results that stayed unknown too; `answers` counts the others."""

    totals: Totals
    answers: int
    waits_ms: list[float]


def together(totals: Collection[Totals], seconds: Collection[Second], for_s: float) -> Progress:
    """What all processes' last totals and their seconds, `for_s` seconds long, make."""
    waits = [wait for second in seconds for wait in second.waits_ms]
    answers = sum(second.answers for second in seconds)
    return Progress(
        at_s=round(max((each.at_s for each in totals), default=0.0), 1),
        rate=round(answers / max(for_s, 0.001), 1),
        p50_ms=round(quantile(waits, 0.50), 1),
        p99_ms=round(quantile(waits, 0.99), 1),
        heard=sum(each.heard for each in totals),
        declined=sum(each.declined for each in totals),
        refused=sum(each.refused for each in totals),
        unknown=sum(each.unknown for each in totals),
        waiting=sum(each.waiting for each in totals),
    )
