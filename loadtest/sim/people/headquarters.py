"""The headquarters of the shops: it asks any node after payments that their terminals heard of.

A terminal asks where it was last answered, so it seldom meets a leader that was deposed without
knowing it. Somebody who asks anywhere does; and what was heard before must be found (R1), end to
end: the engine's proof, the core's round, the ledger's read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final

from loadtest.history import Heard, Line, Result
from loadtest.sim.calls import Unanswered, call, result
from loadtest.sim.ground import Ground
from loadtest.sim.loop import VirtualLoop
from node.engine import Current

if TYPE_CHECKING:
    from loadtest.sim.life import Life

_EVERY_S: Final = (0.02, 0.2)
_WITHIN_S: Final = 0.5
_NEWEST: Final = 12
"""It asks after one of so many lines that terminals wrote last: what is new is soonest denied."""


class Headquarters:
    """A host of no site that always runs. `lines` is what terminals write down."""

    def __init__(self, ground: Ground, lines: Sequence[Line]) -> None:
        self.name = "hq"
        self.site = ""
        self.asked = 0
        """How many questions were answered."""
        self._ground = ground
        self._lines = lines
        self._draw = ground.dice.of("headquarters")
        self._loop = VirtualLoop(self.name, ground.timeline, ground.dice.of(f"loop {self.name}"))
        self.loop: VirtualLoop | None = self._loop

    def start(self) -> None:
        """Begin to ask."""
        self._loop.enter(self._ask_later)

    def _ask_later(self) -> None:
        self._loop.call_later(self._draw.uniform(*_EVERY_S), self._ask)

    def _ask(self) -> None:
        self._ask_later()
        heard = [
            line
            for line in self._lines[-_NEWEST:]
            if isinstance(line, Heard) and line.result is Result.OK
        ]
        if heard:
            key = self._draw.choice(heard).key
            node = self._draw.choice(sorted(self._ground.setup.nodes))
            self._loop.create_task(self._inquire(key, node)).add_done_callback(result)

    async def _inquire(self, key: str, node: str) -> None:
        """What a promotion with loss gives up may be missing, so after one nothing is judged."""

        def work(life: Life) -> Awaitable[Current]:
            return life.engine.inquire(key)

        try:
            current = await call(self._ground, self.name, node, "inquiry", work, _WITHIN_S)
        except Unanswered:
            return
        self.asked += 1
        if current.inquiry is None and self._ground.promoted_ms < 0:
            self._ground.broken("R1", f"{node} does not know {key}, which a terminal had heard of")
