"""Streams between replicas: one each way for every pair, carrying the core's messages in order.

A message may be lost when a stream breaks or its queue is full; the protocol makes up for it.
What matters here is speed of notice: a broken stream is followed by a bare TCP connect, whose
refusal says that the peer's process is gone (T2).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
import grpc.aio

from coordinator.configuration import ReplicaId
from node.core.messages import Message
from node.rpc.doorkeeper import Doorkeeper, Sparingly
from node.rpc.server import open_channel
from node.rpc.wire_replication import (
    SERVICE,
    Envelope,
    EnvelopeError,
    Hello,
    Welcome,
    decode,
    decode_welcome,
    encode,
    encode_welcome,
    from_envelope,
    to_envelope,
)

QUEUE_MESSAGES = 1024
RETRY_S = 0.05
REJECTED_S = 0.25
CONNECT_S = 0.5
WELCOME_S = 1.0
MESSAGE_BYTES = 16_777_216

Context = grpc.aio.ServicerContext[Any, Any]


class PeerLink:
    """The outgoing stream to one peer: opened again and again, never a reason to wait."""

    def __init__(
        self,
        node: str,
        address: str,
        hello: Callable[[], Hello],
        on_refused: Callable[[str], None],
        on_rejected: Callable[[str, str], None] = lambda node, reason: None,
    ) -> None:
        """`address` is the peer's `host:port`; `on_refused` is told when nothing listens there,
        `on_rejected`, now and then, why the peer will not hear us (or is not the one meant).
        """
        self.node = node
        self.connected = False
        self._address = address
        self._hello = hello
        self._on_refused = on_refused
        self._on_rejected = on_rejected
        self._sparingly = Sparingly(time.monotonic)
        self._queue: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def send(self, message: Message) -> None:
        """Queue a message. Without a stream, or past the bound, it is dropped (M3)."""
        if self.connected and len(self._queue) < QUEUE_MESSAGES:
            self._queue.append(message)
            self._wake.set()

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
                self.connected = False
                self._queue.clear()
                if not await self._listens():
                    continue
            await asyncio.sleep(RETRY_S)

    async def _rejected(self, reason: str) -> None:
        """A person must put it right: tell one, and do not knock as fast as one could."""
        if self._sparingly.may_say(reason):
            self._on_rejected(self.node, reason)
        await asyncio.sleep(REJECTED_S)

    async def _listens(self) -> bool:
        """Does anything take connections there? A refusal is passed on."""
        host, _, port = self._address.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            self._on_refused(self.node)
            await asyncio.sleep(RETRY_S)
            return False
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _converse(self) -> None:
        async with open_channel(self._address) as channel:
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
            if welcome.node != self.node:
                await self._rejected(
                    f"{self._address} is {welcome.node}, not {self.node}: correct the addresses "
                    "in the settings"
                )
                return
            self.connected = True
            # The other side says nothing more: this read ends when the stream does.
            ended = asyncio.ensure_future(call.read())
            pump = asyncio.ensure_future(self._pump(call))
            try:
                await asyncio.wait((ended, pump), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.connected = False
                for task in (ended, pump):
                    task.cancel()
                await asyncio.gather(ended, pump, return_exceptions=True)
                call.cancel()

    async def _pump(self, call: Any) -> None:
        queue = self._queue
        while True:
            while queue:
                await call.write(to_envelope(queue.popleft()))
            self._wake.clear()
            await self._wake.wait()


class Links:
    """All outgoing streams of a node, by peer."""

    def __init__(self, links: Mapping[str, PeerLink]) -> None:
        self._links = dict(links)

    def send(self, node: str, message: Message) -> None:
        """Queue a message for `node`; unknown names are dropped."""
        link = self._links.get(node)
        if link is not None:
            link.send(message)

    def connected(self) -> dict[str, bool]:
        """To which peers a stream stands now."""
        return {node: link.connected for node, link in self._links.items()}

    def start(self) -> None:
        """Begin to connect to every peer."""
        for link in self._links.values():
            link.start()

    async def stop(self) -> None:
        """Close all."""
        await asyncio.gather(*(link.stop() for link in self._links.values()))


class ReplicationService:
    """The incoming side: checks who speaks, then hands every message to the core."""

    def __init__(
        self,
        hello: Callable[[], Hello],
        sites: Mapping[str, str],
        on_message: Callable[[ReplicaId, Message], None],
        on_stranger: Callable[[str], None],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hello` says who we are; `sites` maps every known peer to its site. `on_stranger` is
        told, now and then, who was not let in and why.
        """
        self._hello = hello
        self._door = Doorkeeper(hello, sites, now_s)
        self._sparingly = Sparingly(now_s)
        self._now_s = now_s
        self._on_message = on_message
        self._on_stranger = on_stranger

    async def converse(
        self, requests: AsyncIterator[Envelope | None], context: Context
    ) -> AsyncIterator[Welcome]:
        """One peer's stream, until it ends."""
        first = await anext(aiter(requests), None)
        hello = _read(first)
        if not isinstance(hello, Hello):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a stream begins with a Hello")
        problem = self._door.problem(hello)
        if problem:
            if self._sparingly.may_say((hello.node, hello.disk_id, problem)):
                self._on_stranger(problem)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        speaker = self._door.let_in(hello)
        try:
            us = self._hello()
            yield Welcome(us.node, us.disk_id)
            sender = ReplicaId(hello.node, hello.disk_id)
            async for envelope in requests:
                message = _read(envelope)
                if message is None or isinstance(message, Hello):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a replica's message")
                speaker.heard_s = self._now_s()
                self._on_message(sender, message)
        finally:
            self._door.left(speaker)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer this service."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Converse": grpc.stream_stream_rpc_method_handler(
                    self.converse, decode, encode_welcome
                )
            },
        )


def _read(envelope: Envelope | None) -> Message | Hello | None:
    if envelope is None:
        return None
    try:
        return from_envelope(envelope)
    except EnvelopeError:
        return None
