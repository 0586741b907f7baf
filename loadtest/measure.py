"""What terminals lived through, in figures, from their histories alone.

Everything counts from the intended start of a slot. An acknowledgement is a stored answer:
approved, declined, or a close that differs.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from loadtest.history import SETTLED, Heard, History, Result
from loadtest.load_plan import quantile

SLOW_MS: Final = 1_000.0
"""A customer at a till notices a longer wait than this."""


class NothingMeasured(ValueError):
    """The histories hold no load to measure."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All of a run. `longest_gap_at_ms` is where the gap began, on the histories' clock;
    `longest_wait_ms` is of the slots that came while the cluster was disturbed.

    `failed`: asks without a final answer by their deadline; `unknown_resolved` says how each of
    those was heard after all; `unknown_at_end` never were. `unserved`: slots never served.
    `slow` slots were not served within `SLOW_MS` of their intended start, or never.
    `generator_stall_ms`: how long the load generator itself stood still at the longest, in which it
    could neither send nor hear: no gap shorter than that says anything about the cluster.
    """

    slots: int
    answered: int
    approved: int
    declined: int
    mismatched: int
    read: int
    refused: int
    refused_why: dict[str, int]
    repeats: int
    retried: int
    failed: int
    unknown_resolved: dict[str, int]
    unknown_at_end: int
    unserved: int
    longest_gap_ms: float
    longest_gap_at_ms: float
    longest_wait_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slow: int
    generator_stall_ms: float
    began_ms: float
    stopped_ms: float


def measure(
    history: History,
    steady_ms: float | None = None,
    disturbed: tuple[float, float] = (-math.inf, math.inf),
) -> Figures:
    """The figures of a run. Raises `NothingMeasured` where no load began.

    Gaps and waits are looked for from `steady_ms` on (the first steady state), where it is given,
    and the longest wait among the slots meant to start while the cluster was `disturbed`;
    everything else counts from the first slot.
    """
    began_ms, stopped_ms = _window(history)
    from_ms = began_ms if steady_ms is None else steady_ms
    first_ms, last_ms = disturbed
    first: dict[str, Heard] = {}
    for line in history.heard:
        first.setdefault(line.ask, line)
    final = history.final()
    asked = [intent for intent in history.intents if intent.intended_ms >= began_ms]
    results = Counter(final[i.ask].result if i.ask in final else Result.UNKNOWN for i in asked)
    waits = [
        (intent.intended_ms, final[intent.ask].heard_ms - intent.intended_ms)
        for intent in asked
        if intent.ask in final and intent.intended_ms >= from_ms
    ]
    lengths = [wait for _, wait in waits]
    known = [
        line.heard_ms - line.intended_ms
        for line in final.values()
        if line.result is not Result.UNKNOWN
    ]
    resolved = Counter(line.resolved for line in final.values() if line.resolved)
    unsent = sum(line.slots for line in history.unsent)
    unknown = results[Result.UNKNOWN]
    gap_ms, gap_at_ms = longest_gap(acknowledgements(history), from_ms, stopped_ms)
    refused = [line for line in final.values() if line.result is Result.REFUSED]
    return Figures(
        slots=len(asked) + unsent,
        answered=len(asked) - unknown,
        approved=results[Result.OK],
        declined=results[Result.DECLINED],
        mismatched=results[Result.MISMATCH],
        read=results[Result.READ],
        refused=results[Result.REFUSED],
        refused_why=dict(Counter(f"{line.code}: {line.detail}" for line in refused)),
        repeats=sum(intent.again for intent in asked),
        retried=sum(line.attempts > 1 for line in first.values()),
        failed=sum(
            intent.ask not in first or first[intent.ask].result is Result.UNKNOWN
            for intent in asked
        ),
        unknown_resolved=dict(resolved),
        unknown_at_end=unknown,
        unserved=unsent + unknown,
        longest_gap_ms=gap_ms,
        longest_gap_at_ms=gap_at_ms,
        longest_wait_ms=max((wait for at, wait in waits if first_ms <= at <= last_ms), default=0.0),
        p50_ms=quantile(lengths, 0.50),
        p95_ms=quantile(lengths, 0.95),
        p99_ms=quantile(lengths, 0.99),
        slow=unsent + unknown + sum(length > SLOW_MS for length in known),
        generator_stall_ms=max(
            (stall.for_ms for stall in history.stalls if from_ms <= stall.at_ms), default=0.0
        ),
        began_ms=began_ms,
        stopped_ms=stopped_ms,
    )


def acknowledgements(history: History) -> list[float]:
    """When each stored answer was heard, in order."""
    return sorted(line.heard_ms for line in history.heard if line.result in SETTLED)


def resumed(history: History, healed_ms: float | None) -> float | None:
    """From the first healing to the next stored answer, in milliseconds; None if there was none."""
    if healed_ms is None:
        return None
    return next((at - healed_ms for at in acknowledgements(history) if at >= healed_ms), None)


def longest_gap(heard_ms: list[float], began_ms: float, stopped_ms: float) -> tuple[float, float]:
    """The longest time without an acknowledgement while slots were due, and when it began.

    The time before the first answer and, if none came any more, that until the end count too.
    """
    moments = [began_ms, *(at for at in heard_ms if began_ms <= at <= stopped_ms), stopped_ms]
    return max((after - before, before) for before, after in pairwise(moments))


def _window(history: History) -> tuple[float, float]:
    """From when load began to when arrivals stopped; with several processes, of all of them."""
    began = [mark.at_ms for mark in history.marks if mark.name == "load began"]
    if not began:
        raise NothingMeasured("no load began")
    stopped = [mark.at_ms for mark in history.marks if mark.name == "arrivals stopped"]
    return min(began), max(stopped or [line.heard_ms for line in history.heard] or began)
