"""Drills beside each other: repeats in one cell, topologies in columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from loadtest.drill.verdict import Ruling, worst
from loadtest.report.comparison import Beside, Cell, Comparison, Line, Renewal, Spread
from loadtest.report.model import DrillReport, Ending
from loadtest.report.words import Words

_HARDEST_FIRST: Final = (Ending.NEVER, Ending.REPAIR, Ending.OPERATORS, Ending.ITSELF)


def compare(reports: Sequence[DrillReport], columns: Sequence[str] = ()) -> Comparison:
    """Lines and columns in the order in which they first come, unless `columns` says otherwise.

    Without `columns` all stand in one, whatever they were played on.
    """
    if not columns:
        return Comparison(("",), tuple(_line(each, ("",)) for each in _by_name(reports)))
    return Comparison(tuple(columns), tuple(_line(each, columns) for each in _by_name(reports)))


def before_after(
    reports: Sequence[DrillReport],
    columns: tuple[str, str],
    *,
    command: str,
    seed: int,
    unplayed: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """The comparison of a topology with the one that replaces it, with its verdict in one line."""
    found = compare(reports, columns)
    before, after = ([line.cells[number] for line in found.lines] for number in (0, 1))
    renewal = Renewal(_verdict(before, after), command, seed, tuple(unplayed))
    return replace(found, renewal=renewal)


def topology_of(report: DrillReport) -> str:
    """The topology that a drill was played on; empty where it is not known."""
    return report.grounds.topology if report.grounds else ""


def _by_name(reports: Iterable[DrillReport]) -> list[list[DrillReport]]:
    found: dict[str, list[DrillReport]] = {}
    for report in reports:
        found.setdefault(report.name, []).append(report)
    return list(found.values())


def _line(reports: Sequence[DrillReport], columns: Sequence[str]) -> Line:
    cells = tuple(
        _cell([report for report in reports if column in ("", topology_of(report))])
        for column in columns
    )
    beside = _beside(*cells) if len(cells) == 2 else None
    return Line(reports[0].name, reports[0].title, cells, beside)


def _cell(reports: Sequence[DrillReport]) -> Cell | None:
    if not reports:
        return None
    outcomes = [report.outcome for report in reports]
    services = [outcome.services for outcome in outcomes if outcome.services is not None]
    endings = {outcome.gap_ended for outcome in outcomes}
    return Cell(
        reports=tuple(reports),
        ruling=worst(report.ruling for report in reports),
        passed=sum(report.ruling is Ruling.PASS for report in reports),
        gap_ms=_spread([outcome.gap_ms for outcome in outcomes]),
        wait_ms=_spread([outcome.wait_ms for outcome in outcomes]),
        lost=_worst([outcome.lost for outcome in outcomes]),
        doubled=_worst([outcome.doubled for outcome in outcomes]),
        unknown=_worst([outcome.unknown for outcome in outcomes]),
        services=min(services, default=None),
        operator_steps=max(outcome.operator_steps for outcome in outcomes),
        gap_ended=next(each for each in _HARDEST_FIRST if each in endings),
        absent=next((outcome.absent for outcome in outcomes if outcome.absent), ""),
    )


def _beside(before: Cell | None, after: Cell | None) -> Beside:
    if before is None or after is None:
        return Beside.NOT_KNOWN
    if before.absent or after.absent:
        return Beside.NO_EQUIPMENT
    if Ruling.INCONCLUSIVE in (before.ruling, after.ruling):
        return Beside.NOT_KNOWN
    passed = (before.ruling is Ruling.PASS, after.ruling is Ruling.PASS)
    return {
        (True, True): Beside.AS_WELL,
        (False, True): Beside.ONLY_AFTER,
        (True, False): Beside.ONLY_BEFORE,
        (False, False): Beside.NEITHER,
    }[passed]


def _verdict(before: Sequence[Cell | None], after: Sequence[Cell | None]) -> Words:
    """Both columns in one line. A drill that a topology has no equipment for is not counted."""
    new, old = _told(after), _told(before)
    return Words(
        f"After the renewal {new.en}; before: {old.en}.", f"更改後は{new.ja}。更改前は{old.ja}。"
    )


def _told(column: Sequence[Cell | None]) -> Words:
    meant = [cell for cell in column if cell is None or not cell.absent]
    cells = [cell for cell in meant if cell is not None]
    passed = sum(cell.ruling is Ruling.PASS for cell in cells)
    counts = [(cell.lost, cell.doubled) for cell in cells]
    lost = sum(count for count, _ in counts if count is not None)
    doubled = sum(count for _, count in counts if count is not None)
    unclear = sum(None in count for count in counts) + len(meant) - len(cells)
    en, ja = f"{passed} of {len(meant)} drills passed", f" {len(meant)} 件中 {passed} 件合格"
    if lost or doubled:
        en += f", {lost:,} settlements lost, {doubled:,} doubled"
        ja += f"、消失 {lost:,} 件、二重計上 {doubled:,} 件"
    elif cells and not unclear:
        en, ja = en + ", nothing lost", ja + "、消失・二重計上なし"
    if unclear:
        en += f" ({unclear} without an answer)"
        ja += f"（{unclear} 件は判定不能）"
    return Words(en, ja)


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(min(known), median(known), max(known)) if known else None


def _worst(values: Sequence[int | None]) -> int | None:
    """The most of any repeat; not known where it is not known of one."""
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
