"""One outgoing stream to a peer, over one of its addresses: opened again and again.

A broken stream is followed by a bare TCP connect, whose refusal says that nobody listens there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from node.core.messages import Message
from node.rpc.server import open_channel
from node.rpc.wire_replication import (
    SERVICE,
    Hello,
    Welcome,
    decode_welcome,
    encode,
    to_envelope,
)

QUEUE_MESSAGES = 1024
RETRY_S = 0.05
REJECTED_S = 0.25
CONNECT_S = 0.5
WELCOME_S = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a line tells what: that a stream stands (or no longer does), that a question was
    answered, that nothing listens at the address, and why the peer will not hear us.
    """

    stands: Callable[[bool], None]
    answered: Callable[[], None]
    refused: Callable[[], None]
    rejected: Callable[[str], None]


class Line:
    """The outgoing stream to `node` at `address` (`host:port`): never a reason to wait."""

    def __init__(self, node: str, address: str, hello: Callable[[], Hello], told: Told) -> None:
        self.address = address
        self._node = node
        self._hello = hello
        self._told = told
        self._stands = False
        self._queue: deque[Message | Hello] = deque()
        self._wake = asyncio.Event()
        self._call: Any = None
        self._task: asyncio.Task[None] | None = None

    def send(self, message: Message | Hello) -> None:
        """Queue a message. Without a stream, or past the bound, it is dropped (M3)."""
        if self._stands and len(self._queue) < QUEUE_MESSAGES:
            self._queue.append(message)
            self._wake.set()

    def ask(self) -> None:
        """Say hello again, behind what is queued: whoever is there welcomes us again."""
        self.send(self._hello())

    def adopt(self, other: Line) -> None:
        """Send what `other` has not sent yet in its place."""
        waiting = [each for each in other._queue if not isinstance(each, Hello)]
        other._queue.clear()
        for message in waiting:
            self.send(message)

    def anew(self) -> None:
        """Give the present connection up for another one."""
        if self._call is not None:
            self._call.cancel()

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Close the stream and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            if await self._listens():
                try:
                    await self._converse()
                except grpc.aio.AioRpcError as problem:
                    if problem.code() == grpc.StatusCode.FAILED_PRECONDITION:
                        await self._rejected(problem.details() or "refused without a reason")
                except OSError:  # a time-out is one, too
                    pass
                self._queue.clear()
                if not await self._listens():
                    continue
            await asyncio.sleep(RETRY_S)

    async def _rejected(self, reason: str) -> None:
        """A person must put it right: tell one, and do not knock as fast as one could."""
        self._told.rejected(reason)
        await asyncio.sleep(REJECTED_S)

    async def _listens(self) -> bool:
        """Does anything take connections there? A refusal is passed on."""
        host, _, port = self.address.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            self._told.refused()
            await asyncio.sleep(RETRY_S)
            return False
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _converse(self) -> None:
        async with open_channel(self.address) as channel:
            converse = channel.stream_stream(
                f"/{SERVICE}/Converse",
                request_serializer=encode,
                response_deserializer=decode_welcome,
            )
            call = converse()
            await call.write(to_envelope(self._hello()))
            async with asyncio.timeout(WELCOME_S):
                welcome = await call.read()
            if not isinstance(welcome, Welcome):
                return
            if welcome.node != self._node:
                await self._rejected(
                    f"{self.address} is {welcome.node}, not {self._node}: correct the addresses "
                    "in the settings"
                )
                return
            self._call = call
            self._stand(True)
            ended = asyncio.ensure_future(self._hear(call))
            pump = asyncio.ensure_future(self._pump(call))
            try:
                await asyncio.wait((ended, pump), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._stand(False)
                self._call = None
                for task in (ended, pump):
                    task.cancel()
                await asyncio.gather(ended, pump, return_exceptions=True)
                call.cancel()

    def _stand(self, stands: bool) -> None:
        self._stands = stands
        self._told.stands(stands)

    async def _hear(self, call: Any) -> None:
        """The other side says nothing but more welcomes: this ends when the stream does."""
        while isinstance(await call.read(), Welcome):
            self._told.answered()

    async def _pump(self, call: Any) -> None:
        queue = self._queue
        while True:
            while queue:
                await call.write(to_envelope(queue.popleft()))
            self._wake.clear()
            await self._wake.wait()
