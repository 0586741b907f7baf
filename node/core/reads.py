"""Reads that must be current (R1): proof of leadership *after* the question was asked.

A read waits for Acks from a write quorum to Appends sent after it came in (told by their round
numbers), and for the ledger to stand at the commit index of that moment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingRead:
    """`round`: the first round that proves anything for it; `index`: what must be applied."""

    read: int
    round: int
    index: int


class Reads:
    """Reads in the order they came, which is also the order in which they become ready."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: deque[PendingRead] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, read: int, round_now: int, commit: int) -> None:
        """A read came in while `round_now` was the last round sent and `commit` committed."""
        self._pending.append(PendingRead(read, round_now + 1, commit))

    @property
    def next_round(self) -> int:
        """The highest round any waiting read needs, 0 when none waits."""
        return self._pending[-1].round if self._pending else 0

    def ready(self, proven_round: int, applied: int) -> list[int]:
        """Take out every read whose round is proven and whose index is applied."""
        taken: list[int] = []
        while self._pending:
            first = self._pending[0]
            if first.round > proven_round or first.index > applied:
                break
            taken.append(self._pending.popleft().read)
        return taken

    def drain(self) -> list[int]:
        """Take out all: the leadership is over."""
        taken = [pending.read for pending in self._pending]
        self._pending.clear()
        return taken
