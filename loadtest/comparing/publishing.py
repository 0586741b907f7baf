"""A comparison in the README: its table between two markers, and a picture of its page.

The figures there are made by the command, never typed; beside them stand the date, the machine and
the command that plays them again.
"""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loadtest.report.cells import count, gap, services, verdict
from loadtest.report.comparison import Cell, Comparison, Line
from loadtest.report.words import word
from loadtest.tables import Markers, markdown

MARKERS: Final = Markers(
    "<!-- before and after: made by `kessai compare --write` -->",
    "<!-- before and after: end -->",
)
_HEADS: Final = (
    "drill",
    "",
    "verdict",
    "time without settlement",
    "settlements lost",
    "doubled",
    "unknown at the end",
    "services still offered",
    "operator steps",
)
_SIZE: Final = "1200,1340"  # the verdict, the table, and the command that repeats it
_WITHIN_S: Final = 60.0


class NoPicture(RuntimeError):
    """No picture could be taken; the message says why."""


def lines(comparison: Comparison, played: datetime.date) -> list[str]:
    """What stands between the markers: where and how it was played, the table, and the verdict."""
    renewal = comparison.renewal
    if renewal is None:
        raise ValueError("expected a comparison of before and after")
    rows = [row for line in comparison.lines for row in _rows(line)]
    return [
        "",
        f"**{renewal.sentence.en}**",
        "",
        *markdown(_HEADS, rows),
        "",
        *(f"Not played: {name} ({why}).\n" for name, why in renewal.unplayed),
        f"Played on {played:%d %B %Y}; nodes, etcd and terminals all on {machine()}. Again:",
        "",
        "```sh",
        f"./{renewal.command}",
        "```",
        "",
    ]


def machine() -> str:
    """The machine this runs on, in words."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    cores = len(os.sched_getaffinity(0))
    return f"a machine with {cores} processor core{'s' * (cores != 1)} ({system})"


def photograph(page: Path, picture: Path) -> None:
    """Take a picture (PNG) of the top of a page as Chromium shows it. Raises `NoPicture`."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise NoPicture("there is no Chromium here; `apt-get install chromium fonts-noto-cjk`")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "--headless=new",
            "--no-sandbox",  # a container's root has no user namespaces
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}",
            f"--window-size={_SIZE}",
            f"--screenshot={picture.resolve()}",
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_WITHIN_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise NoPicture(f"{program}: {problem}") from problem
    if done.returncode or not picture.exists():
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoPicture(f"{program} ended with {done.returncode}: {' '.join(words[-1:])}")


def _rows(line: Line) -> Iterator[tuple[str, ...]]:
    beside = f"<br>*{word(f'beside_{line.beside}').en}*" if line.beside else ""
    names = (f"{line.title.en} (`{line.name}`){beside}", "")
    for name, side, cell in zip(names, ("before", "**after**"), line.cells, strict=True):
        yield name, side, *_cell(cell)


def _cell(cell: Cell | None) -> tuple[str, ...]:
    if cell is None or cell.absent:
        said = word("not_played").en if cell is None else word("beside_no_equipment").en
        return said, *[""] * 6
    return (
        verdict(cell).lower(),
        gap(cell),
        count(cell.lost),
        count(cell.doubled),
        count(cell.unknown),
        services(cell),
        f"{cell.operator_steps}",
    )
