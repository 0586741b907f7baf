"""Tables that commands print, and keep up to date in the documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Markers:
    """The lines of a document between which a command writes; invisible to its readers."""

    begin: str
    end: str

    def fill(self, document: str, lines: Sequence[str]) -> str:
        """The document with these lines between its markers. Raises `ValueError` without them."""
        head, begin, rest = document.partition(self.begin)
        _, end, tail = rest.partition(self.end)
        if not (begin and end):
            raise ValueError(f"the document lacks the lines {self.begin} and {self.end}")
        return "\n".join((f"{head}{self.begin}", *lines, f"{self.end}{tail}"))

    def update(self, path: Path, lines: Sequence[str]) -> None:
        """Write these lines into the document at `path`. Raises `OSError`, `ValueError`."""
        path.write_text(self.fill(path.read_text(encoding="utf-8"), lines), encoding="utf-8")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """For the terminal: one line a row, the columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """For the documents: the heads, and one line a row."""
    return [_line(heads), "|" + "---|" * len(heads), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
