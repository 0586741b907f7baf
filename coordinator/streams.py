"""The two long-lived streams to etcd, each with an end to its patience: watch and lease renewal.

Whoever reads a stream decides how long silence may last; `silent` then has everybody look for
another member. As soon as another is in use, streams at the former one end. The messages are etcd's
own, made by `coordinator.registry`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio

from coordinator.keyvalue import Changed, Compacted, Unavailable
from coordinator.members import words_for


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a stream at `endpoint` is left: `left` is done when another member is in use, and `doubt`
    is called when this one has failed the stream."""

    endpoint: str
    left: asyncio.Future[None]
    doubt: Callable[[], None]


class Stream:
    """A call in both directions."""

    def __init__(self, call: Any, leaving: Leaving) -> None:
        self._call = call
        self._leaving = leaving

    async def _answer(self, work: Awaitable[Any], within_s: float) -> Any:
        """Await one write or read, as long as its member is in use. Names what goes wrong."""
        task = asyncio.ensure_future(work)
        try:
            await self._wait(task, within_s)
            if not task.done():
                raise self._lost("no answer in time")
            answer = task.result()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as problem:
            raise self._lost(words_for(problem)) from problem
        finally:
            task.cancel()
        if answer is grpc.aio.EOF:
            raise self._lost("closed the stream")
        return answer

    async def _wait(self, task: asyncio.Future[Any], within_s: float) -> None:
        """Wait for `task`, `within_s` seconds at most, as long as its member is in use."""
        left = self._leaving.left
        await asyncio.wait({task, left}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if left.done() and not task.done():
            raise Unavailable(f"etcd at {self._leaving.endpoint}: left for another member")

    def _lost(self, why: str) -> Unavailable:
        self._leaving.doubt()
        return Unavailable(f"etcd at {self._leaving.endpoint}: {why}")

    def close(self) -> None:
        """Cancel the call."""
        self._call.cancel()


class WatchStream(Stream):
    """One watch. `create` and `progress` are the two requests it can make."""

    def __init__(self, call: Any, leaving: Leaving, create: Any, progress: Any) -> None:
        super().__init__(call, leaving)
        self._create = create
        self._progress = progress
        self._reading: asyncio.Task[Any] | None = None

    async def open(self, within_s: float) -> None:
        """Send the request for the watch. Raises `Unavailable`."""
        await self._answer(self._call.write(self._create), within_s)

    async def ask_progress(self, within_s: float) -> None:
        """Ask for a sign of life, which `read` then brings. Raises `Unavailable`."""
        await self._answer(self._call.write(self._progress), within_s)

    async def read(self, within_s: float) -> tuple[Changed, ...] | None:
        """The next changes in order, () for a mere sign of life, None for silence.

        Raises `Compacted` when the changes asked for are gone, `Unavailable` when the stream is.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
        await self._wait(self._reading, within_s)
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        answer = await self._answer(reading, within_s)
        if answer.compact_revision:
            raise Compacted(f"compacted up to {answer.compact_revision}")
        if answer.canceled:
            raise self._lost(answer.cancel_reason)
        return tuple(
            Changed(
                key=event.kv.key.decode(errors="replace"),
                value=None if event.type else bytes(event.kv.value),
                mod_revision=int(event.kv.mod_revision),
            )
            for event in answer.events
        )

    def silent(self) -> None:
        """This member says nothing: have everybody look for another."""
        self._leaving.doubt()

    def close(self) -> None:
        """Cancel the call, and the read under way."""
        super().close()
        if self._reading is not None:
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._reading.cancel()


class RenewalStream(Stream):
    """Renewals of one lease; `renewal` is the request."""

    def __init__(self, call: Any, leaving: Leaving, renewal: Any) -> None:
        super().__init__(call, leaving)
        self._renewal = renewal

    async def renew(self, within_s: float) -> int:
        """The lease's new time to live in seconds; 0 or less: it is gone. Raises `Unavailable`."""
        await self._answer(self._call.write(self._renewal), within_s)
        answer = await self._answer(self._call.read(), within_s)
        return int(answer.TTL)
