"""A run second by second, from the terminals' histories alone. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict

from loadtest.history import SETTLED, Heard, History, Result
from loadtest.load_plan import quantile
from loadtest.measure import Figures
from loadtest.report.model import Second


def by_second(history: History, figures: Figures) -> tuple[Second, ...]:
    """Every whole second of load; what is left of the last one would only look like a fall."""
    count = max(1, int((figures.stopped_ms - figures.began_ms) / 1000.0))

    def at(moment_ms: float) -> int:
        return int((moment_ms - figures.began_ms) // 1000.0)

    settled = Counter(at(line.heard_ms) for line in history.heard if line.result in SETTLED)
    waits: dict[int, list[float]] = defaultdict(list)
    refused: Counter[int] = Counter()
    unknown: Counter[int] = Counter()
    first: dict[str, Heard] = {}
    for line in history.heard:
        first.setdefault(line.ask, line)
    final = history.final()
    for intent in history.intents:
        second = at(intent.intended_ms)
        if intent.ask in final:
            waits[second].append(final[intent.ask].heard_ms - intent.intended_ms)
            refused[second] += final[intent.ask].result is Result.REFUSED
        heard = first.get(intent.ask)
        unknown[second] += heard is None or heard.result is Result.UNKNOWN
    return tuple(
        Second(
            at_s=second,
            settled=settled[second],
            p50_ms=quantile(waits[second], 0.50) if waits[second] else None,
            p99_ms=quantile(waits[second], 0.99) if waits[second] else None,
            refused=refused[second],
            unknown=unknown[second],
        )
        for second in range(count)
    )
