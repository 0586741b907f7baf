"""Before and after on a terminal, and what a comparison's exit status says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from loadtest.drill.show import COLOURS
from loadtest.drill.verdict import Ruling
from loadtest.report.cells import count, gap, services, verdict
from loadtest.report.comparison import Cell, Comparison, Renewal
from loadtest.report.words import Words, filled, word

_SIDES: Final = ("before", "after_renewal")
_COLUMNS: Final = {
    "verdict": 12,
    "no_settlement": 22,
    "settlements_lost": 13,
    "doubled_short": 9,
    "unknown_at_end": 10,
    "services": 12,
    "operator_steps": 12,
}
"""How wide each is: the drills' tables stand below each other as one."""

_SIDE: Final = 14
WIDTH: Final = _SIDE + sum(_COLUMNS.values()) + 2 * (1 + len(_COLUMNS))
"""Of the whole table: in a narrower console its words would be cut."""

ALL_GOOD, AFTER_FAILED, NOT_KNOWN = range(3)


def show(console: Console, comparison: Comparison) -> None:
    """The table, and the verdict in one line, in both languages."""
    console.print()
    for number, line in enumerate(comparison.lines):
        if not number:
            console.print(_table(()))
        beside = f": {_both(word(f'beside_{line.beside}'))}" if line.beside else ""
        console.print(f"[bold]{escape(_both(line.title))}[/]{escape(beside)}", soft_wrap=True)
        console.print(_table(line.cells))
        for column, cell in zip(comparison.columns, line.cells, strict=True):
            if cell is not None and cell.absent:
                words = filled("absent", cell.absent).en
                console.print(escape(f"{column}: {words}"), soft_wrap=True)
    if comparison.renewal is not None:
        _end(console, comparison.renewal)


def _end(console: Console, renewal: Renewal) -> None:
    for name, why in renewal.unplayed:
        console.print(f"[yellow]not played:[/] {escape(name)}: {escape(why)}", soft_wrap=True)
    console.print(f"\n[bold]{escape(renewal.sentence.en)}[/]", soft_wrap=True)
    console.print(f"[bold]{escape(renewal.sentence.ja)}[/]", soft_wrap=True)
    console.print(f"again: {escape(renewal.command)}", soft_wrap=True)


def exit_status(comparison: Comparison) -> int:
    """0: all was played and judged on both, and the system after the renewal passed all of it.

    1: that one failed something. 2: something is inconclusive or was not played. What the system
    before the renewal fails is a finding; equipment that one of them does not have is none.
    """
    cells = [cell for line in comparison.lines for cell in line.cells]
    after = [line.cells[-1] for line in comparison.lines]
    if any(cell is not None and cell.ruling is Ruling.FAIL for cell in after):
        return AFTER_FAILED
    unplayed = comparison.renewal is not None and comparison.renewal.unplayed
    if not cells or unplayed or not all(_judged(cell) for cell in cells):
        return NOT_KNOWN
    return ALL_GOOD


def _judged(cell: Cell | None) -> bool:
    if cell is None:
        return False
    return bool(cell.absent) or cell.ruling is not Ruling.INCONCLUSIVE


def _table(cells: Sequence[Cell | None]) -> Table:
    """The two rows of one drill; the head alone where there are none."""
    table = Table(show_edge=False, box=None, padding=(0, 1), show_header=not cells)
    table.add_column("", width=_SIDE)
    for name, width in _COLUMNS.items():
        justify: JustifyMethod = "left" if name in ("verdict", "no_settlement") else "right"
        table.add_column(_head(name), justify=justify, width=width, overflow="fold")
    for side, cell in zip(_SIDES, cells, strict=False):
        table.add_row(_both(word(side)), *_told(cell))
    return table


def _told(cell: Cell | None) -> tuple[str, ...]:
    if cell is None:
        return (f"[yellow]{word('not_played').en}[/]", *[""] * (len(_COLUMNS) - 1))
    if cell.absent:
        return ("[dim]–[/]", *[""] * (len(_COLUMNS) - 1))
    return (
        f"[{COLOURS[cell.ruling]}]{verdict(cell)}[/]",
        gap(cell),
        _bad(cell.lost),
        _bad(cell.doubled),
        _bad(cell.unknown),
        services(cell),
        f"{cell.operator_steps}",
    )


def _bad(value: int | None) -> str:
    return f"[red]{count(value)}[/]" if value else count(value)


def _head(name: str) -> str:
    words = word(name)
    return f"{words.en}\n[dim]{words.ja}[/]"


def _both(words: Words) -> str:
    return words.en if words.en == words.ja else f"{words.en} {words.ja}"
