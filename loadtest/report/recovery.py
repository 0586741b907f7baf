"""The stages by which the lead came back after something was done to the cluster. Pure.

All moments are in milliseconds on the histories' clock. Journals are kept to the millisecond by the
hosts' own wall clocks, so a stage can seem to come a millisecond before the one that caused it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from loadtest.history import SETTLED, History
from loadtest.measure import acknowledgements
from loadtest.report.dossier import Entry
from loadtest.report.model import Phase, Recovery, Span, Stage

_SILENT: Final = re.compile(r"silent \d+ ms")
_WATCHED: Final = {"unserved": "agree_ms", "leader-unreached": "move_leader_ms"}
"""What coordinators see, and the timing that each waits for."""
_PLANNED: Final = ("switch", "handover")
_BEGUN: Final = ("is to be active", "is asked to lead")
_CLOCK_MS: Final = 2.0
"""By so much may a journal's stamp, cut to the millisecond, be early."""


@dataclass(frozen=True, slots=True)
class _Noticed:
    entry: Entry
    floor_ms: float | None
    floor_why: str


def recoveries(
    done: Sequence[Span], journal: Sequence[Entry], history: History, timings: Mapping[str, float]
) -> tuple[Recovery, ...]:
    """One for each thing done after which another epoch was won, before the next was done.

    `timings`: the configured ones by name, nodes' and coordinators'; none where they are not known.
    """
    found = []
    moments = sorted({span.from_s for span in done})
    for at_ms, until_ms in pairwise([*moments, math.inf]):
        spans = [span for span in done if span.from_s == at_ms]
        phases = _phases(at_ms, _between(journal, at_ms, until_ms), history, timings)
        if phases:
            names = ", ".join(span.who for span in spans)
            found.append(Recovery(at_ms, spans[0].kind, names, phases))
    return tuple(found)


def _between(journal: Sequence[Entry], from_ms: float, until_ms: float) -> list[Entry]:
    return [entry for entry in journal if from_ms - _CLOCK_MS <= entry.at_ms < until_ms]


def _phases(
    at_ms: float, journal: Sequence[Entry], history: History, timings: Mapping[str, float]
) -> tuple[Phase, ...]:
    serving = next((entry for entry in journal if entry.event == "serving"), None)
    if serving is None:
        return ()
    upto = [entry for entry in journal if entry.at_ms <= serving.at_ms]
    won = next((e for e in reversed(upto) if e.event == "takeover" and e.who == serving.who), None)
    campaign = next((e for e in upto if e.event == "campaign" and e.who == serving.who), None)
    if won is None:
        return ()
    noticed = _noticed(upto, campaign, timings)
    decided = next(
        (entry for entry in upto if _planned(entry) or entry.event == "site-switch"), None
    )
    evicted = next(
        (
            e
            for e in upto
            if e.event == "set-change" and e.at_ms >= won.at_ms and "evict" in e.detail
        ),
        None,
    )
    floor_ms, why = noticed.floor_ms if noticed else None, noticed.floor_why if noticed else ""
    phases = []
    if noticed is not None and noticed.entry is not decided:
        phases.append(_phase(Stage.NOTICED, noticed.entry, at_ms, floor_ms, why))
    if decided is not None:
        phases.append(_phase(Stage.DECIDED, decided, at_ms, floor_ms, why))
    phases.append(_phase(Stage.WON, won, at_ms, floor_ms, why))
    if evicted is not None and floor_ms is not None and "eviction_ms" in timings:
        eviction_ms = timings["eviction_ms"]
        floor_ms, why = floor_ms + eviction_ms, _and(why, f"eviction_ms {eviction_ms:g}")
    phases.append(_phase(Stage.RECOVERED, serving, at_ms, floor_ms, why))
    phases += _of_terminals(at_ms, serving.at_ms - _CLOCK_MS, history, floor_ms, why)
    return tuple(phases)


def _noticed(
    journal: Sequence[Entry], campaign: Entry | None, timings: Mapping[str, float]
) -> _Noticed | None:
    """Who was the first to act, and the timing that this kind of notice waits for."""
    first = next((e for e in journal if e is campaign or e.event in _WATCHED or _planned(e)), None)
    if first is None:
        return None
    refused = first is campaign and "refuses connections" in first.detail
    if refused or _planned(first):  # tells at once
        return _Noticed(first, 0.0, "")
    silent = first is campaign and _SILENT.search(first.detail)
    name = "suspicion_ms" if silent else _WATCHED.get(first.event, "")
    if name not in timings:  # or nothing bounds it: an absent leader key may be of any age
        return _Noticed(first, None, "")
    return _Noticed(first, timings[name], f"{name} {timings[name]:g}")


def _planned(entry: Entry) -> bool:
    """Does a leader begin a move of its own accord? (It also tells of those it declines.)"""
    return entry.event in _PLANNED and entry.detail.partition(", ")[0].endswith(_BEGUN)


def _of_terminals(
    at_ms: float, from_ms: float, history: History, floor_ms: float | None, why: str
) -> list[Phase]:
    """The first answer under the new leader, and the last of those that were due before it."""
    first_ms = next((heard for heard in acknowledgements(history) if heard >= from_ms), None)
    if first_ms is None:
        return []
    waiting = [
        line.heard_ms
        for line in history.final().values()
        if line.result in SETTLED and at_ms <= line.intended_ms <= first_ms
    ]
    back_ms = max([first_ms, *waiting])
    return [
        Phase(Stage.SETTLED, first_ms - at_ms, "", floor_ms, why),
        Phase(Stage.BACK, back_ms - at_ms, f"{len(waiting):,}", floor_ms, why),
    ]


def _phase(stage: Stage, entry: Entry, at_ms: float, floor_ms: float | None, why: str) -> Phase:
    words = f"{entry.who}: {entry.event}" + (f", {entry.detail}" if entry.detail else "")
    return Phase(stage, max(0.0, entry.at_ms - at_ms), words, floor_ms, why)


def _and(one: str, other: str) -> str:
    return f"{one} + {other}" if one else other
