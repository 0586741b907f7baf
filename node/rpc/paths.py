"""Over which of several paths a peer is spoken to: what is known of each, and which is the best.

Pure: the caller says what happened and when (`now`, in milliseconds), and does what is due. Each
path is asked a question now and then, one at a time. What a path costs is its slowest answer of
late, or how long the present one has been awaited: packets that a switch loses are sent again by
TCP, and show as answers that are late by 200 ms and more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

BUSY_MS: Final = 100.0
"""How often a path is asked over which messages go."""

IDLE_MS: Final = 500.0
"""How often one is asked that stands by."""

LEAVE_MS: Final = 100.0
"""A path is left when it costs so much more than twice what the best one costs."""

HALVED_MS: Final = 2_000.0
"""In this time a slow answer comes to count for half."""

STUCK_MS: Final = 2_000.0
"""A path that owes an answer for so long is made anew while another one answers: TCP may wait many
seconds before it tries a healed one again."""


@dataclass(slots=True)
class Path:
    """One path to the peer. `stands`: there is a connection. `asked_at` is when the question was
    asked that awaits its answer, if one does. `carries`: messages went over it since it was asked.
    """

    stands: bool = False
    carries: bool = False
    asked_at: float | None = None
    last_asked_at: float = -math.inf
    slowest: float = 0.0
    slowest_at: float = 0.0

    def awaited(self, now: float) -> float:
        """For how long an answer has been awaited; 0 if none is."""
        return 0.0 if self.asked_at is None else now - self.asked_at

    def cost(self, now: float) -> float:
        """What a message over it may take, in milliseconds; infinite where there is no way."""
        if not self.stands:
            return math.inf
        return max(self._remembered(now), self.awaited(now))

    def answers(self, took: float, now: float) -> None:
        """An answer has come after so long."""
        self.slowest, self.slowest_at = max(took, self._remembered(now)), now

    def _remembered(self, now: float) -> float:
        return self.slowest * math.exp2((self.slowest_at - now) / HALVED_MS)


class Paths:
    """All paths to one peer, by their numbers from 0; at first the one in use is number 0."""

    def __init__(self, count: int) -> None:
        self._paths = tuple(Path() for _ in range(count))
        self._used = 0
        self._refused_at = -math.inf

    @property
    def stand(self) -> bool:
        """Is there a connection at all?"""
        return any(path.stands for path in self._paths)

    # What happened

    def began(self, number: int) -> None:
        """There is a connection now. What was slow before is not forgotten."""
        self._paths[number].stands = True

    def ended(self, number: int) -> None:
        """There is none any more; what was asked over it will not be answered."""
        path = self._paths[number]
        path.stands, path.asked_at = False, None

    def answered(self, number: int, now: float) -> None:
        """The answer to what was asked has come."""
        path = self._paths[number]
        if path.asked_at is not None:
            path.answers(path.awaited(now), now)
            path.asked_at = None

    def refused(self, now: float) -> bool:
        """A connection over one path was refused: does that say that the peer's process is gone?

        Not while another path may answer: then it is a path's own trouble. Where one has not been
        asked for a while it is asked now, and the next refusal tells.
        """
        self._refused_at = now
        return all(not path.stands or path.awaited(now) > LEAVE_MS for path in self._paths)

    # What to do

    def choose(self, now: float) -> int:
        """Over which path to send now: the one in use, unless another is much better."""
        costs = [path.cost(now) for path in self._paths]
        best = min(range(len(costs)), key=costs.__getitem__)
        if costs[self._used] > LEAVE_MS + 2 * costs[best]:
            self._used = best
        self._paths[self._used].carries = True
        return self._used

    def ask(self, now: float) -> tuple[int, ...]:
        """Over which paths a question is due; each counts as asked now."""
        due = [number for number, path in enumerate(self._paths) if self._is_due(path, now)]
        for number in due:
            path = self._paths[number]
            path.asked_at = path.last_asked_at = now
            path.carries = False
        return tuple(due)

    def stuck(self, now: float) -> tuple[int, ...]:
        """Which paths are to be made anew."""
        if min(path.cost(now) for path in self._paths) > LEAVE_MS:
            return ()  # the peer may be at fault, and not its paths
        return tuple(
            number for number, path in enumerate(self._paths) if path.awaited(now) > STUCK_MS
        )

    def _is_due(self, path: Path, now: float) -> bool:
        if not path.stands or path.asked_at is not None:
            return False
        pressing = path.carries or now - self._refused_at < IDLE_MS
        return now - path.last_asked_at >= (BUSY_MS if pressing else IDLE_MS)
