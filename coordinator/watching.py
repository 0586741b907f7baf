"""A watch that loses nothing: it lists, follows, and resumes where its last event left off.

After a lost stream it resumes at the last delivered event's `mod_revision` + 1, never at a header's
revision, which may be ahead of what was delivered. Where the history is compacted it lists again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coordinator.keyvalue import Changed, Compacted, Listing, RegistryError
from coordinator.ports import Registry

SIGN_OF_LIFE_S: Final = 1.0
"""A stream quiet for this long is asked for its progress."""

SILENCE_S: Final = 2.0
"""A stream that gives no sign of life for this long is given up, and its member doubted."""

BACKOFF_S: Final = (0.05, 0.1, 0.2)
"""Waits between fruitless attempts to reach any member; the last one repeats."""


class Watcher:
    """Follows every key under `prefix`.

    `deliver` gets one `Listing` first, and again when history was lost; in between, each event
    exactly once, in order, all of one revision together.
    """

    def __init__(
        self,
        registry: Registry,
        prefix: str,
        deliver: Callable[[Listing | tuple[Changed, ...]], None],
        deadline_ms: int,
    ) -> None:
        self._registry = registry
        self._prefix = prefix
        self._deliver = deliver
        self._deadline_s = deadline_ms / 1000
        self._next: int | None = None  # the revision to resume at; None: list first
        self._failures = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._follow(await self._start())
            except Compacted:
                self._next = None
            except RegistryError:
                await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
                self._failures += 1

    async def _start(self) -> int:
        if self._next is None:
            listing = await self._registry.list(self._prefix)
            self._deliver(listing)
            self._next = listing.revision + 1
        return self._next

    async def _follow(self, start: int) -> None:
        stream = await self._registry.watch(self._prefix, start)
        quiet_s = 0.0
        try:
            while quiet_s < SILENCE_S:
                changes = await stream.read(SIGN_OF_LIFE_S)
                if changes is None:
                    quiet_s += SIGN_OF_LIFE_S
                    await stream.ask_progress(self._deadline_s)
                    continue
                quiet_s = 0.0
                self._failures = 0
                if changes:
                    self._deliver(changes)
                    self._next = changes[-1].mod_revision + 1
            stream.silent()
        finally:
            stream.close()
