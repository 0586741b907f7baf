"""One node as a terminal meets it: a real inquiry for a key that never exists, over one line.

"Not found" is the good answer: only a leader that has just proved its lead may give it (R1). An
inquiry that hangs is told apart from a node that is gone by asking the same port whether anybody
is there: a leader that waits for its write quorum answers that at once. An answer that comes too
late still counts when it comes: a site that is slow is not a site that serves nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coordinator.records import Reach
from coordinator.sites.ports import Line
from coordinator.sites.sight import Answer

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


class Probe:
    """Asks the node at the other end of `line` as a terminal would; closes the line at the end.

    `late` hears answers that come after `ask` has called the node silent.
    """

    def __init__(self, line: Line, deadline_ms: int, late: Callable[[Answer], None]) -> None:
        self._line = line
        self._deadline_s = deadline_ms / 1000
        self._late = late
        self._asked = 0
        self._answered = 0  # the newest inquiry that brought an answer
        self._unanswered = 0
        self._inquiries: set[asyncio.Task[None]] = set()

    async def ask(self) -> Answer:
        """How the node answers now; within the deadline, or a little later. Never raises."""
        self._asked += 1
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        inquiry = asyncio.ensure_future(self._inquire(self._asked, heard))
        self._inquiries.add(inquiry)
        inquiry.add_done_callback(self._inquiries.discard)
        await asyncio.wait({heard}, timeout=self._deadline_s / 2)
        there = False
        if not heard.done():
            there, _ = await asyncio.gather(
                self._line.is_there(self._deadline_s / 2),
                asyncio.wait({heard}, timeout=self._deadline_s / 2),
            )
        if heard.done():
            self._unanswered = 0
            return heard.result()
        heard.cancel()
        if there:
            self._unanswered = 0
            return Answer(Reach.STALLS, "no proof of its lead in time")
        self._unanswered += 1
        if self._unanswered >= _STUCK:
            self._unanswered = 0
            await self._line.anew()
        return Answer(Reach.SILENT, "no answer in time")

    async def close(self) -> None:
        """Close the line; nothing is heard any more."""
        for inquiry in tuple(self._inquiries):
            inquiry.cancel()
        await self._line.close()

    async def _inquire(self, number: int, heard: asyncio.Future[Answer]) -> None:
        """Hand the answer to whoever waits for it, or say that it came late."""
        answer = await self._line.inquire(PROBE_KEY, self._deadline_s * _LATE)
        if not heard.done():
            heard.set_result(answer)
        elif answer.reach is not Reach.SILENT and number > self._answered:
            self._unanswered = 0
            self._late(answer)
        self._answered = max(self._answered, number)
