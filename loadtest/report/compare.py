"""Drills beside each other: repeats in one cell, topologies in columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from loadtest.drill.verdict import Ruling
from loadtest.report.model import Cell, Comparison, DrillReport, Line, Spread

_WORST_FIRST = (Ruling.FAIL, Ruling.INCONCLUSIVE, Ruling.PASS)


def compare(reports: Sequence[DrillReport], columns: Sequence[str] = ()) -> Comparison:
    """Lines and columns in the order in which they first come, unless `columns` says otherwise.

    Without `columns` all stand in one, whatever they were played on.
    """
    if not columns:
        return Comparison(("",), tuple(_line(each, ("",)) for each in _by_name(reports)))
    return Comparison(tuple(columns), tuple(_line(each, columns) for each in _by_name(reports)))


def topology_of(report: DrillReport) -> str:
    """The topology that a drill was played on; empty where it is not known."""
    return report.grounds.topology if report.grounds else ""


def _by_name(reports: Iterable[DrillReport]) -> list[list[DrillReport]]:
    found: dict[str, list[DrillReport]] = {}
    for report in reports:
        found.setdefault(report.name, []).append(report)
    return list(found.values())


def _line(reports: Sequence[DrillReport], columns: Sequence[str]) -> Line:
    cells = [
        _cell([report for report in reports if column in ("", topology_of(report))])
        for column in columns
    ]
    return Line(reports[0].name, reports[0].title, tuple(cells))


def _cell(reports: Sequence[DrillReport]) -> Cell | None:
    if not reports:
        return None
    rulings = {report.ruling for report in reports}
    outcomes = [report.outcome for report in reports]
    return Cell(
        reports=tuple(reports),
        ruling=next(each for each in _WORST_FIRST if each in rulings),
        passed=sum(report.ruling is Ruling.PASS for report in reports),
        gap_ms=_spread([outcome.gap_ms for outcome in outcomes]),
        wait_ms=_spread([outcome.wait_ms for outcome in outcomes]),
        lost=_worst([outcome.lost for outcome in outcomes]),
        doubled=_worst([outcome.doubled for outcome in outcomes]),
        unknown=_worst([outcome.unknown for outcome in outcomes]),
    )


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(min(known), median(known), max(known)) if known else None


def _worst(values: Sequence[int | None]) -> int | None:
    """The most of any repeat; not known where it is not known of one."""
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
