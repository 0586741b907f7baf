"""What came of the planted faults: who was convicted, by whom, for what, and who was acquitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.checkers.finding import Verdict
from loadtest.drill.planted.fault import Trial
from loadtest.drill.verdict import DrillVerdict, Ruling
from loadtest.tables import Markers, aligned
from loadtest.tables import markdown as in_markdown

MARKERS: Final = Markers(
    "<!-- planted faults: made by `kessai drill run --planted --write` -->",
    "<!-- planted faults: end -->",
)

_HEADS: Final = ("planted fault", "drill", "verdict", "convicted by", "seconds", "")
_DOCUMENT_HEADS: Final = (
    "planted fault",
    "rule",
    "what is wrong",
    "drill",
    "verdict",
    "convicted by",
    "in its words",
    "seconds",
)
_WORDS: Final = 160


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one trial.

    `convicted_by`: the checkers that found a breach, in the panel's order. `words`: what the one
    that had to find it says first (of a control: any), or why the drill could not be judged.
    """

    trial: Trial
    ruling: Ruling
    convicted_by: tuple[str, ...]
    words: str
    seconds: float

    @property
    def just(self) -> bool:
        """Is the guilty convicted, for what it is guilty of, or the innocent acquitted?"""
        fault = self.trial.fault
        if fault is None:
            return self.ruling is Ruling.PASS
        return self.ruling is Ruling.FAIL and fault.checker in self.convicted_by


def judged(trial: Trial, verdict: DrillVerdict, seconds: float) -> Row:
    """The row of a trial that was played."""
    failed = {each.checker: each for each in verdict.findings if each.verdict is Verdict.FAIL}
    wanted = trial.fault.checker if trial.fault is not None else next(iter(failed), "")
    problems = failed[wanted].problems if wanted in failed else (verdict.broken, verdict.unplayed)
    words = next(filter(None, problems), "")
    return Row(trial, verdict.ruling, tuple(failed), words, seconds)


def table(rows: Sequence[Row]) -> list[str]:
    """For the terminal: aligned columns."""
    return aligned([_HEADS, *(_cells(row) for row in rows)])


def markdown(rows: Sequence[Row]) -> list[str]:
    """For the documents: the same, what is wrong with each, and the judge's own words."""
    return in_markdown(_DOCUMENT_HEADS, [_document_cells(row) for row in rows])


def _cells(row: Row) -> tuple[str, ...]:
    convicted_by = ", ".join(row.convicted_by) or "nobody"
    mark = "" if row.just else "NOT JUST"
    return row.trial.name, row.trial.drill, row.ruling, convicted_by, f"{row.seconds:.0f}", mark


def _document_cells(row: Row) -> tuple[str, ...]:
    name, drill, ruling, convicted_by, seconds, mark = _cells(row)
    fault = row.trial.fault
    rule, wrong = (fault.plant.rule, fault.wrong) if fault is not None else ("", "nothing")
    return (
        f"`{name}`",
        rule,
        wrong,
        drill,
        f"{ruling} {mark}".strip(),
        convicted_by,
        row.words[:_WORDS],
        seconds,
    )
