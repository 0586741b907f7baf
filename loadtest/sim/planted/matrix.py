"""How many seeds each planted bug takes to be found, and by what: the proof of the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from loadtest.sim import campaign
from loadtest.sim.planted import catalogue
from loadtest.sim.planted.plant import Plant, planted
from loadtest.sim.weather.days import season_of
from loadtest.tables import Markers, aligned
from loadtest.tables import markdown as in_markdown

MARKERS: Final = Markers(
    "<!-- planted bugs: made by `kessai sim --planted --write` -->",
    "<!-- planted bugs: end -->",
)

_HEADS: Final = ("planted bug", "rule", "days", "found by", "in seed", "after")
_DOCUMENT_HEADS: Final = (
    "planted bug",
    "rule",
    "what is wrong",
    "days needed",
    "found by",
    "in seed",
    "after",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One bug: found on the last of `days`, the one of `seed`, by `invariant` at `at_ms`; or not
    found, and then `invariant` is ""."""

    name: str
    rule: str
    wrong: str
    days: int
    seed: int = 0
    invariant: str = ""
    words: str = ""
    at_ms: float = 0.0

    @property
    def cells(self) -> tuple[str, ...]:
        """As in the tables."""
        if not self.invariant:
            return self.name, self.rule, f"more than {self.days}", "NOBODY", "", ""
        return (
            self.name,
            self.rule,
            str(self.days),
            self.invariant,
            str(self.seed),
            f"{self.at_ms / 1000:.1f} s",
        )


def seek(name: str, first: int, budget: int) -> Row:
    """Play days with this bug planted until it is found, `budget` at most: those of the seeds from
    `first` on, but for those of other seasons than the plant's.

    A day that also goes wrong without the bug does not count as finding it.
    """
    plant = catalogue.find(name)
    for days, seed in enumerate(_seeds(plant, first, budget), 1):
        with planted(plant):
            violation = campaign.live(seed).violation
        if violation is not None and campaign.live(seed).violation is None:
            return Row(
                name,
                plant.rule,
                plant.wrong,
                days,
                seed,
                violation.invariant,
                violation.words,
                violation.at_ms,
            )
    return Row(name, plant.rule, plant.wrong, budget)


def _seeds(plant: Plant, first: int, budget: int) -> Iterable[int]:
    fitting = (
        seed for seed in count(first) if season_of(seed).name in plant.seasons or not plant.seasons
    )
    return islice(fitting, budget)


def matrix(
    names: Iterable[str],
    *,
    first: int,
    budget: int,
    jobs: int,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """One row for each bug named, in that order; `budget` seeds at most for each."""
    names = list(names)
    found: dict[str, Row] = {}
    if jobs == 1:
        for name in names:
            found[name] = seek(name, first, budget)
            on_row(found[name])
    else:
        with campaign.processes(jobs) as pool:
            for future in as_completed([pool.submit(seek, name, first, budget) for name in names]):
                row = future.result()
                found[row.name] = row
                on_row(row)
    return [found[name] for name in names]


def table(rows: Sequence[Row]) -> list[str]:
    """For the terminal: aligned columns."""
    return aligned([_HEADS, *(row.cells for row in rows)])


def markdown(rows: Sequence[Row]) -> list[str]:
    """For the documents: the same, and what is wrong with each."""
    return in_markdown(_DOCUMENT_HEADS, [_document_cells(row) for row in rows])


def _document_cells(row: Row) -> tuple[str, ...]:
    name, rule, *found = row.cells
    return (f"`{name}`", rule, row.wrong, *found)
