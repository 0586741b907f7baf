"""A coordinator's log: one JSON line an event on standard error."""

from __future__ import annotations

import sys
from typing import TextIO

import msgspec

from coordinator.stamp import wall_ms


class Journal:
    """Writes events with the coordinator's name and the wall-clock time (Unix milliseconds)."""

    def __init__(self, coordinator: str, out: TextIO | None = None) -> None:
        self._coordinator = coordinator
        self._out = out if out is not None else sys.stderr
        self._encode = msgspec.json.Encoder().encode

    def say(self, kind: str, detail: str) -> None:
        """Write one event; `kind` is a short fixed word, `detail` a sentence."""
        line = {"at_ms": wall_ms(), "coordinator": self._coordinator}
        self._out.write(self._encode({**line, "event": kind, "detail": detail}).decode() + "\n")
        self._out.flush()
