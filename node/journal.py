"""The node's log: one JSON line an event on standard error. Never any card data."""

from __future__ import annotations

import sys
from typing import TextIO

import msgspec

from coordinator.stamp import wall_ms
from node.core.outputs import Event


class Journal:
    """Writes events with the node's name and the wall-clock time (Unix milliseconds)."""

    def __init__(self, node: str, out: TextIO | None = None) -> None:
        self._node = node
        self._out = out if out is not None else sys.stderr
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, event: Event) -> None:
        """Write one event of the core."""
        self.say(event.kind, event.detail)

    def say(self, kind: str, detail: str) -> None:
        """Write one event; `kind` is a short fixed word, `detail` a sentence."""
        line = {"at_ms": wall_ms(), "node": self._node}
        self._out.write(self._encode({**line, "event": kind, "detail": detail}).decode() + "\n")
        self._out.flush()
