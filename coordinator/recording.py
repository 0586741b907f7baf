"""The operators' records: events in etcd, the newest 500 of all sources, in the order of time.

A recorder must never hold up whoever has something to say, so it queues, within bounds. What did
not fit is counted, and the count stands where the gap is. Writing an event twice is harmless: its
key is made when it is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from coordinator.keyvalue import Delete, KeyValue, OutcomeUnknown, Put, RegistryError
from coordinator.ports import Registry
from coordinator.records import EventRecord, Keys, RecordError

EVENTS_KEPT: Final = 500
"""How many events etcd keeps; a few more for a moment."""

WAITING_MAX: Final = 1000
"""How many events one source keeps while etcd is away."""

WHY_MAX: Final = 2000
"""Longer sentences are cut: nothing may make an event too large to be written."""

_BATCH: Final = 50
_PRUNE_EVERY: Final = 20
_RETRY_S: Final = (0.1, 0.2, 0.5)
_TRIES: Final = 3


class Recorder:
    """Writes what `source`, standing in `site`, has to say. `run` it on the loop that says it.

    `clock_ms` is the wall clock, in Unix milliseconds.
    """

    def __init__(
        self,
        registry: Registry,
        keys: Keys,
        source: str,
        site: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._keys = keys
        self._source = source
        self._site = site
        self._clock_ms = clock_ms
        self._serial = 0
        self._last_ms = 0
        self._waiting: deque[tuple[str, EventRecord]] = deque()
        self._dropped = 0
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._written = _PRUNE_EVERY - 1  # the first event of a life also clears up

    @property
    def waiting(self) -> int:
        """How many events etcd has not got yet."""
        return len(self._waiting)

    def say(self, kind: str, why: str, epoch: int = 0, index: int = 0) -> None:
        """Record an event: `kind` is a short fixed word, `why` a sentence. Never blocks.

        Dropped, and counted, where `WAITING_MAX` events wait for an etcd that is away.
        """
        if len(self._waiting) >= WAITING_MAX:
            self._dropped += 1
            return
        self._own_up()
        self._queue(kind, why, epoch, index)

    async def run(self) -> None:
        """Write until cancelled."""
        failures = 0
        while True:
            await self._news.wait()
            batch = [self._waiting[n] for n in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._registry.transact(
                    (), [Put(key, record.to_json()) for key, record in batch]
                )
            except RegistryError:
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            for _ in batch:
                self._waiting.popleft()
            self._own_up()
            if not self._waiting:
                self._news.clear()
                self._empty.set()
            await self._clear_up(len(batch))

    async def flush(self, within_s: float) -> bool:
        """Wait until etcd has everything, `within_s` seconds at most. Did it get it?"""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), within_s)
        return not self._waiting

    def _own_up(self) -> None:
        """Say how much was dropped, once there is room to."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            why = f"{dropped} events of {self._source} were dropped here: etcd was away too long"
            self._queue("events-dropped", why, 0, 0)

    def _queue(self, kind: str, why: str, epoch: int, index: int) -> None:
        # A clock that is set back must not turn the order round.
        self._last_ms = max(self._last_ms, self._clock_ms())
        self._serial += 1
        key = self._keys.event(self._last_ms, self._source, f"{self._serial:08d}")
        record = EventRecord(
            self._last_ms, self._source, self._site, kind, epoch, index, why[:WHY_MAX]
        )
        self._waiting.append((key, record))
        self._news.set()
        self._empty.clear()

    async def _clear_up(self, written: int) -> None:
        self._written += written
        if self._written >= _PRUNE_EVERY:
            with contextlib.suppress(RegistryError):
                await _prune(self._registry, self._keys)
                self._written = 0


async def events(registry: Registry, cluster: str) -> list[EventRecord]:
    """The newest events, oldest first; what cannot be read is left out. Raises `RegistryError`."""
    keys = Keys(cluster)
    found: list[EventRecord] = []
    for pair in _in_order((await registry.list(keys.events)).pairs)[-EVENTS_KEPT:]:
        with contextlib.suppress(RecordError):
            found.append(EventRecord.from_json(pair.value))
    return found


async def record(registry: Registry, cluster: str, event: EventRecord) -> None:
    """Write one event, for those who have no `Recorder`. Raises `RegistryError`.

    An unknown outcome is settled by writing the same again, a few times at most.
    """
    keys = Keys(cluster)
    key = keys.event(event.at_ms, event.source, secrets.token_hex(8))
    for attempt in range(_TRIES):
        try:
            await registry.put(key, event.to_json())
            break
        except OutcomeUnknown:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(_RETRY_S[attempt])
    with contextlib.suppress(RegistryError):
        await _prune(registry, keys)


async def _prune(registry: Registry, keys: Keys) -> None:
    """Delete all but the newest `EVENTS_KEPT`."""
    pairs = _in_order((await registry.list(keys.events)).pairs)
    old = [pair.key for pair in pairs[:-EVENTS_KEPT]]
    for start in range(0, len(old), _BATCH):
        await registry.transact((), [Delete(key) for key in old[start : start + _BATCH]])


def _in_order(pairs: tuple[KeyValue, ...]) -> list[KeyValue]:
    """As written: by key, which begins with the time."""
    return sorted(pairs, key=lambda pair: pair.key)
