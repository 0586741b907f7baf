"""Histories on disk, as lines of JSON: written so that a crash tears at most the last line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from loadtest.history import History, Line, gathered


class HistoryError(ValueError):
    """A history that cannot be read; the message names file, line and what is wrong."""


class Recorder:
    """Appends lines to one file. One writer a file; every line is handed to the system at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def write(self, line: Line) -> None:
        """Put one line on record. Raises `OSError` when the disk will not take it whole."""
        data = self._encode(line) + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError("history line was written only in part: is the disk full?")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def read(paths: Iterable[Path]) -> History:
    """Read history files into one. Raises `HistoryError` on a line that is not one of ours.

    The last line of a file may be torn (its writer was killed): it is counted and left out, as if
    it had not been written; whatever it would have said was not acted upon.
    """
    lines: list[Line] = []
    torn = 0
    for path in paths:
        found, cut = _read_file(path)
        lines += found
        torn += cut
    return gathered(lines, torn)


def _read_file(path: Path) -> tuple[list[Line], bool]:
    data = path.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    return list(_decode(path, whole)), bool(rest)


def _decode(path: Path, data: bytes) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        try:
            yield decoder.decode(line)
        except msgspec.MsgspecError as problem:
            raise HistoryError(f"{path}:{number}: {problem}") from problem
