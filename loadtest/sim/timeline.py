"""Virtual time: one heap of (time, order, event), and a hash over everything that happened.

Nothing here or above it reads a clock or draws by lot but from `Dice`: the same seed makes the same
day, event by event, and the hash of two runs shows it.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

_PACK: Final = struct.Struct("<d").pack


class Event:
    """Something that will happen. `cancel` it, and it does not."""

    __slots__ = ("cancelled", "run", "what")

    def __init__(self, run: Callable[[], None], what: str) -> None:
        self.run = run
        self.what = what
        self.cancelled = False

    def cancel(self) -> None:
        """It will not happen. Harmless afterwards."""
        self.cancelled = True


class Timeline:
    """All that will happen, in order; `now` is in milliseconds and only `run` moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        """How many events have happened."""
        self._heap: list[tuple[float, int, Event]] = []
        self._order = 0
        self._halted = False
        self._failure: Exception | None = None
        self._trace = hashlib.blake2b(digest_size=16)

    def at(self, when_ms: float, run: Callable[[], None], what: str) -> Event:
        """Have `run` called at `when_ms`, or now if that is past; after all that was said before
        for the same moment. `what` goes into the trace."""
        event = Event(run, what)
        self._order += 1
        heappush(self._heap, (max(when_ms, self.now), self._order, event))
        return event

    def after(self, ms: float, run: Callable[[], None], what: str) -> Event:
        """The same, `ms` from now."""
        return self.at(self.now + ms, run, what)

    def run(self, until_ms: float) -> None:
        """Let everything happen that is due up to `until_ms`; `now` is `until_ms` then.

        An exception of an event ends it, and leaves `now` at that event; so do `halt` and `fail`.
        """
        heap = self._heap
        while heap and heap[0][0] <= until_ms and not self._halted:
            when, _, event = heappop(heap)
            if event.cancelled:
                continue
            self.now = when
            self.events += 1
            self._trace.update(_PACK(when) + event.what.encode())
            event.run()
        if self._failure is not None:
            raise self._failure
        if not self._halted:
            self.now = max(self.now, until_ms)

    def halt(self) -> None:
        """Nothing happens any more: whoever watches has seen enough."""
        self._halted = True

    def fail(self, failure: Exception) -> None:
        """The first failure halts the day, and `run` raises it, wherever it came up."""
        self._failure = self._failure or failure
        self.halt()

    def note(self, what: str) -> None:
        """Put something that came of an event into the trace as well."""
        self._trace.update(what.encode())

    @property
    def trace(self) -> str:
        """The hash of everything so far, in hexadecimal."""
        return self._trace.hexdigest()


class Dice:
    """One seed, and a generator of its own for each purpose.

    So what is drawn for one purpose does not depend on how often another was drawn for: taking a
    trouble out of a day leaves the rest of it as like as can be.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def of(self, purpose: str) -> random.Random:
        """The generator for `purpose`; the same one each time."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = random.Random(f"{self.seed}/{purpose}")
        return stream
