"""Judges a drill again from its evidence folder alone, and finds files that are not as sealed.

Every checker is asked again, the figures are taken anew from the histories, and both are laid
beside what was sealed. What only the runner could see (who led, when the cluster was disturbed) is
taken from its record, which must not contradict itself.

The hashes show what happened to a folder since it was sealed. They cannot show that somebody wrote
the folder and its manifest anew: note the manifest's own hash down elsewhere for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from loadtest import evidence
from loadtest.checkers.finding import Finding, Verdict, ask_all, compose
from loadtest.checkers.panel import PANEL
from loadtest.drill import services
from loadtest.drill.admissions import LAG_MAX
from loadtest.drill.verdict import Course, DrillVerdict, Row, Ruling, judge
from loadtest.evidence import Event, EvidenceError
from loadtest.history_file import HistoryError
from loadtest.measure import Figures, NothingMeasured, measure, resumed
from loadtest.report import dossier
from loadtest.report.course import operator_steps
from loadtest.report.dossier import Document

_TOLERANCE_MS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Altered:
    """A file that is not as it was sealed; `how`: changed, missing or added."""

    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that comes out otherwise than it was sealed, in words."""

    what: str
    sealed: str
    now: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of judging again. `sealed` None: the sealed verdict cannot be read any more.

    `notes`: what could not be judged again, and why.
    """

    folder: str
    seal: str
    files: int
    altered: tuple[Altered, ...]
    sealed: Ruling | None
    now: Ruling | None
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Is every file as it was sealed, and the verdict the same, for the same reasons?"""
        same = self.sealed is not None and self.sealed is self.now
        return same and not self.altered and not self.differences


def verify(folder: Path) -> Verified:
    """Judge again. Raises `EvidenceError` where the folder holds no evidence that can be read."""
    manifest = dossier.read_manifest(folder)
    altered = tuple(
        Altered(name, _how(folder / name, name in manifest.files))
        for name in evidence.altered(folder)
    )
    try:
        sealed = dossier.read_document(folder)
        again, figures, notes = _judge(folder, sealed)
    except EvidenceError as problem:
        if not altered:
            raise
        return Verified(
            folder=str(folder),
            seal=dossier.seal_of(folder),
            files=len(manifest.files),
            altered=altered,
            sealed=None,
            now=None,
            findings=(),
            differences=(),
            notes=(str(problem),),
        )
    return Verified(
        folder=str(folder),
        seal=dossier.seal_of(folder),
        files=len(manifest.files),
        altered=altered,
        sealed=sealed.ruling,
        now=again.ruling,
        findings=again.findings,
        differences=tuple(_differences(sealed, again, figures)),
        notes=notes,
    )


def _how(path: Path, sealed: bool) -> str:
    if not path.exists():
        return "missing"
    return "changed" if sealed else "added"


# --- judging again --------------------------------------------------------------------------------


def _judge(folder: Path, sealed: Document) -> tuple[DrillVerdict, Figures | None, tuple[str, ...]]:
    """As `loadtest.drill.runner` does it. Raises `EvidenceError` for a drill that is not there."""
    drill = dossier.read_drill(folder)
    course = _on_record(sealed.course, dossier.read_events(folder))
    figures: Figures | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        told = evidence.read(folder)
        figures = measure(told.history, course.steady_ms, _disturbed(course))
        resumed_ms = resumed(told.history, course.healed_ms)
        course = replace(course, resumed_ms=resumed_ms, services=services.fewest(folder))
        findings = ask_all(PANEL, told)
    except (EvidenceError, HistoryError, NothingMeasured) as problem:
        course = replace(course, unplayed=course.unplayed or str(problem))
        notes = (str(problem),)
    return judge(drill.limits, figures, course, findings), figures, notes


def _disturbed(course: Course) -> tuple[float, float]:
    first_ms, last_ms = course.disturbed_from_ms, course.disturbed_to_ms
    return (
        math.inf if first_ms is None else first_ms,
        math.inf if last_ms is None else last_ms,
    )


def _on_record(course: Course, events: Sequence[Event]) -> Course:
    """The course, with what the events say against the cluster even if the course does not."""
    broken = [event.detail for event in events if event.what == "not as it must be"]
    broken += [event.detail for event in events if _admitted_late(event)]
    unplayed = [event.detail for event in events if event.what in ("could not go on", "no ledgers")]
    return replace(
        course,
        broken=course.broken or "; ".join(broken),
        unplayed=course.unplayed or "; ".join(unplayed),
        operator_steps=operator_steps(events),
    )


def _admitted_late(event: Event) -> bool:
    """Was a replica counted before it had caught up?"""
    words = event.detail.split(" is counted, ")
    if event.what != "newly in sync" or len(words) != 2:
        return False
    lag = words[1].partition(" ")[0]
    return lag.isdigit() and int(lag) > LAG_MAX


# --- beside what was sealed -----------------------------------------------------------------------


def _differences(
    sealed: Document, again: DrillVerdict, figures: Figures | None
) -> list[Difference]:
    found = []
    if sealed.ruling is not again.ruling:
        found.append(Difference("the verdict", sealed.ruling, again.ruling))
    found += _of_findings(sealed.findings, again.findings)
    if (sealed.figures is None) != (figures is None):
        words = ("none", "there are some")
        was, now = words[sealed.figures is not None], words[figures is not None]
        found.append(Difference("the figures", was, now))
    elif sealed.figures is not None and figures is not None:
        measured = asdict(figures)
        for name in sorted(sealed.figures.keys() & measured.keys()):  # versions may measure others
            before, after = sealed.figures[name], measured[name]
            if not _alike(before, after):
                found.append(Difference(name, f"{before}", f"{after}"))
    rows = {row.what: row for row in again.rows}
    for row in sealed.rows:
        other = rows.get(row.what)
        if row != other:
            found.append(Difference(row.what, _row(row), _row(other)))
    return found


def _of_findings(sealed: Sequence[Finding], now: Sequence[Finding]) -> list[Difference]:
    before, after = ({each.checker: each for each in findings} for findings in (sealed, now))
    found = []
    if compose(sealed) is not compose(now):
        found.append(Difference("all checkers together", compose(sealed), compose(now)))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            found.append(Difference(name, _finding(before.get(name)), _finding(after.get(name))))
    return found


def _finding(finding: Finding | None) -> str:
    if finding is None:
        return "was not asked"
    words = f"{finding.verdict}, {finding.looked_at:,} compared"
    if finding.verdict is not Verdict.PASS:
        words += f", {len(finding.problems)} problems: {'; '.join(finding.problems[:1])}"
    return words


def _row(row: Row | None) -> str:
    if row is None:
        return "is not there"
    return f"{row.value} (limit {row.limit})" if row.limit else row.value


def _alike(one: object, other: object) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=_TOLERANCE_MS)
    return one == other
