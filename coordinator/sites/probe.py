"""One node as a terminal meets it: a real inquiry for a key that never exists, over every path.

"Not found" is the good answer: only a leader that has just proved its lead may give it (R1). An
inquiry that hangs is told apart from a node that is gone by asking the same port whether anybody
is there: a leader that waits for its write quorum answers that at once. An answer that comes too
late still counts when it comes: a site that is slow is not a site that serves nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from coordinator.records import Reach
from coordinator.sites.ports import Line
from coordinator.sites.sight import Answer

T = TypeVar("T")

PROBE_KEY: Final = "KESSAI-PROBE.20000101.000001.0200"
"""An idempotency key that no terminal has: terminals' names are given out, and not this one."""

NOBODY_THERE: Final = Answer(Reach.SILENT, "no connection")
"""What an inquiry says that no node answered."""

_STUCK: Final = 4
"""After so many probes without an answer in time the connection is made anew: TCP may wait many
seconds before it tries a healed path again."""

_LATE: Final = 4
"""An inquiry is given up for good after so many deadlines."""

_REACHES: Final = {
    # Its reads are full, which only a leader that serves can say.
    "OVERLOADED": Reach.SERVES,
    "NO_QUORUM": Reach.STALLS,
    "EXPIRED": Reach.STALLS,
}
"""What a node's own reason (google.rpc.ErrorInfo) says about it; ANSWERS where not named here."""


def of_reason(reason: str) -> Answer:
    """What a node's refusal of an inquiry says about it."""
    return Answer(_REACHES.get(reason, Reach.ANSWERS), reason)


@dataclass(slots=True)
class _Path:
    """One line to the node, and what is known of it. `asking` goes on until it has brought an
    answer, or its deadline is over."""

    line: Line
    asking: asyncio.Task[Answer] | None = None
    newest: int = 0  # the newest inquiry over it that came to an end
    unanswered: int = 0


class Probe:
    """Asks the node at the other end of `lines` as a terminal would, over all of them at once, and
    closes them at the end.

    The node's first answer counts, whichever way it comes. A line that brings none holds up nobody:
    it is asked again when its own deadline is over. `late` hears answers that come after `ask` has
    called the node silent.
    """

    def __init__(
        self, lines: Sequence[Line], deadline_ms: int, late: Callable[[Answer], None]
    ) -> None:
        self._paths = tuple(_Path(line) for line in lines)
        self._deadline_s = deadline_ms / 1000
        self._late = late
        self._asked = 0
        self._answered = 0  # the newest inquiry that brought an answer, over any line
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self) -> Answer:
        """How the node answers now; within the deadline, or a little later. Never raises."""
        self._asked += 1
        if len(self._paths) == 1:
            return await self._ask_over(self._paths[0], self._asked)
        asked = []
        for path in self._paths:
            if path.asking is None or path.asking.done():
                path.asking = self._begin(self._ask_over(path, self._asked))
            asked.append(path.asking)  # one that is under way may still bring the answer
        answer = NOBODY_THERE
        for each in asyncio.as_completed(asked):
            answer = await each
            if answer.reach is not Reach.SILENT:
                break
        return answer

    async def close(self) -> None:
        """Close the lines; nothing is heard any more."""
        for task in tuple(self._tasks):
            task.cancel()
        for path in self._paths:
            await path.line.close()

    async def _ask_over(self, path: _Path, number: int) -> Answer:
        """What one line brings within the deadline."""
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._begin(self._inquire(path, number, heard))
        await asyncio.wait({heard}, timeout=self._deadline_s / 2)
        there = False
        if not heard.done():
            there, _ = await asyncio.gather(
                path.line.is_there(self._deadline_s / 2),
                asyncio.wait({heard}, timeout=self._deadline_s / 2),
            )
        if heard.done():
            path.unanswered = 0
            return heard.result()
        heard.cancel()
        if there:
            path.unanswered = 0
            return Answer(Reach.STALLS, "no proof of its lead in time")
        path.unanswered += 1
        if path.unanswered >= _STUCK:
            path.unanswered = 0
            await path.line.anew()
        return Answer(Reach.SILENT, "no answer in time")

    async def _inquire(self, path: _Path, number: int, heard: asyncio.Future[Answer]) -> None:
        """Hand the answer to whoever waits for it, or say that it came late."""
        answer = await path.line.inquire(PROBE_KEY, self._deadline_s * _LATE)
        answered = answer.reach is not Reach.SILENT
        if not heard.done():
            heard.set_result(answer)
        elif answered and number > max(path.newest, self._answered):
            path.unanswered = 0
            self._late(answer)
        path.newest = max(path.newest, number)
        if answered:
            self._answered = max(self._answered, number)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
