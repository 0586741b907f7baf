"""What a node says of itself under `nodes/`, kept current without a write for every settlement."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from coordinator.keyvalue import LeaseGone, RegistryError
from coordinator.ports import Registry
from coordinator.records import NodeRecord

PUBLISH_S: Final = 2.0
"""How often a record is written of which only the last index has changed."""

RETRY_S: Final = 0.2
"""How soon a record is written again that did not come through."""


class Publisher:
    """Writes `record`, once something has been said, under `key` and the lease last bound.

    A new lease or another health is written at once. `deny` hears of a lease that is gone.
    """

    def __init__(
        self, registry: Registry, key: str, record: NodeRecord, deny: Callable[[int], None]
    ) -> None:
        self._registry = registry
        self._key = key
        self._record = record
        self._deny = deny
        self._lease = 0
        self._said = False
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()

    def say(self, last_index: int, health: str) -> None:
        """The end of the log, and the node's health in a word or a short sentence."""
        if self._said and (last_index, health) == (self._record.last_index, self._record.health):
            return
        if not self._said or health != self._record.health:
            self._urgent.set()
        self._said = True
        self._record = msgspec.structs.replace(self._record, last_index=last_index, health=health)
        self._news.set()

    def bind(self, lease: int) -> None:
        """Write it all again under `lease`; 0: there is none now, so wait."""
        self._lease = lease
        self._urgent.set()
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._urgent.clear()
            lease = self._lease
            if not (lease and self._said):
                continue
            pause_s = PUBLISH_S
            try:
                await self._registry.put(self._key, self._record.to_json(), lease)
            except LeaseGone:
                self._deny(lease)  # bind() follows
            except RegistryError:
                # Writing the same once more does no harm, whatever became of this one.
                self._news.set()
                pause_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), pause_s)
