"""What a lookout needs beside etcd: a line to every node, stamps for what it sends, and a log.

`line` is the line to a real node; the simulator has its own in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from coordinator.sites.sight import Answer
from coordinator.stamp import Stamp


class Line(Protocol):
    """A connection to one port of a node: its terminals' or its operators'."""

    async def inquire(self, key: str, within_s: float) -> Answer:
        """How the node answers an inquiry for `key`; SILENT after `within_s` seconds."""
        ...

    async def is_there(self, within_s: float) -> bool:
        """Does anybody answer on this port at all, `within_s` seconds?"""
        ...

    async def hand_over(self, within_s: float) -> str:
        """Ask the node to hand its lead over within its site; what came of it, in words."""
        ...

    async def anew(self) -> None:
        """Let this connection go, with all that is under way on it, and make another."""
        ...

    async def close(self) -> None:
        """Nothing is asked or heard any more."""
        ...


Dial = Callable[[str], Line]
"""Makes a line to a port (`host:port`)."""


class Telling(Protocol):
    """A log for people."""

    def say(self, kind: str, detail: str) -> None:
        """Write one event; `kind` is a short fixed word, `detail` a sentence."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """With what a lookout looks and acts; `stamp` makes a new one each time."""

    dial: Dial
    stamp: Callable[[], Stamp]
