"""The two long-lived streams to etcd, each with an end to its patience: watch and lease renewal.

Whoever reads a stream decides how long silence may last; `silent` then sends everybody to the
next member. The messages are etcd's own, made by `coordinator.registry`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio

from coordinator.keyvalue import Changed, Compacted, Unavailable
from coordinator.members import Member, words_for


class Stream:
    """A call in both directions at `member`. `avoid` turns everybody to the next member."""

    def __init__(self, call: Any, member: Member, avoid: Callable[[Member], None]) -> None:
        self._call = call
        self._member = member
        self._avoid = avoid

    async def _answer(self, work: Awaitable[Any], within_s: float) -> Any:
        """Await one write or read. Names what goes wrong, and then turns to the next member."""
        try:
            async with asyncio.timeout(within_s):
                answer = await work
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as problem:
            raise self._lost(words_for(problem)) from problem
        if answer is grpc.aio.EOF:
            raise self._lost("closed the stream")
        return answer

    def _lost(self, why: str) -> Unavailable:
        self._avoid(self._member)
        return Unavailable(f"etcd at {self._member.endpoint}: {why}")

    def close(self) -> None:
        """Cancel the call."""
        self._call.cancel()


class WatchStream(Stream):
    """One watch. `create` and `progress` are the two requests it can make."""

    def __init__(
        self, call: Any, member: Member, avoid: Callable[[Member], None], create: Any, progress: Any
    ) -> None:
        super().__init__(call, member, avoid)
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
        await asyncio.wait({self._reading}, timeout=within_s)
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
        """This member says nothing: turn everybody to the next."""
        self._avoid(self._member)

    def close(self) -> None:
        """Cancel the call, and the read under way."""
        super().close()
        if self._reading is not None:
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._reading.cancel()


class RenewalStream(Stream):
    """Renewals of one lease; `renewal` is the request."""

    def __init__(
        self, call: Any, member: Member, avoid: Callable[[Member], None], renewal: Any
    ) -> None:
        super().__init__(call, member, avoid)
        self._renewal = renewal

    async def renew(self, within_s: float) -> int:
        """The lease's new time to live in seconds; 0 or less: it is gone. Raises `Unavailable`."""
        await self._answer(self._call.write(self._renewal), within_s)
        answer = await self._answer(self._call.read(), within_s)
        return int(answer.TTL)
