"""When something was sent to etcd, and which sending it was.

The programs that send take it from their caller, so that what they do depends on nothing but what
they are given.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """`at_ms` is the sender's wall clock (Unix milliseconds); no other stamp has this `serial`
    (without a slash)."""

    at_ms: int
    serial: str


def stamp() -> Stamp:
    """A new one, of now."""
    return Stamp(wall_ms(), secrets.token_hex(8))


def wall_ms() -> int:
    """This machine's wall clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000
