"""Drills beside each other, as plain data: repeats in a cell, topologies in columns."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from loadtest.drill.verdict import Ruling
from loadtest.report.model import DrillReport, Ending
from loadtest.report.words import Words


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, middle and greatest of some repeats."""

    least: float
    middle: float
    most: float


@dataclass(frozen=True, slots=True)
class Cell:
    """The repeats of one drill on one topology."""

    reports: tuple[DrillReport, ...]
    ruling: Ruling
    passed: int
    gap_ms: Spread | None
    wait_ms: Spread | None
    lost: int | None
    doubled: int | None
    unknown: int | None
    services: int | None
    operator_steps: int
    gap_ended: Ending
    absent: str


class Beside(enum.StrEnum):
    """How the second topology does beside the first one, by their verdicts."""

    AS_WELL = "as_well"
    ONLY_AFTER = "only_after"
    ONLY_BEFORE = "only_before"
    NEITHER = "neither"
    NO_EQUIPMENT = "no_equipment"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class Line:
    """One drill on every topology of a comparison; None where it was not played there.

    `beside` is None unless there are two topologies.
    """

    name: str
    title: Words
    cells: tuple[Cell | None, ...]
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """What makes a comparison one of before and after. `command` plays the whole of it again.

    `unplayed`: the drills that were meant and were not played, each with why.
    """

    sentence: Words
    command: str
    seed: int
    unplayed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Drills by topologies: one column for an overview, two for before and after.

    `renewal` is None where the topologies merely stand beside each other.
    """

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    renewal: Renewal | None = None

    @property
    def reports(self) -> tuple[DrillReport, ...]:
        """Every report, line by line, column by column."""
        return tuple(
            report
            for line in self.lines
            for cell in line.cells
            if cell is not None
            for report in cell.reports
        )
