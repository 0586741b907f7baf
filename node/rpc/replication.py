"""Streams between replicas, carrying the core's messages; answers travel on the other's own stream.

A message may be lost when a stream breaks or its queue is full, and overtake another where a peer
is reached over several paths; the protocol makes up for both. What matters here is speed of notice:
a path that is silent is left at once, and the core hears when a peer's process is gone (T2).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from coordinator.configuration import ReplicaId
from node.core.messages import Message
from node.rpc.doorkeeper import Doorkeeper, Sparingly
from node.rpc.line import Line, Told
from node.rpc.paths import Paths
from node.rpc.wire_replication import (
    SERVICE,
    Envelope,
    EnvelopeError,
    Hello,
    Welcome,
    decode,
    encode_welcome,
    from_envelope,
)

MESSAGE_BYTES = 16_777_216
TEND_S = 0.05

Context = grpc.aio.ServicerContext[Any, Any]


class PeerLink:
    """What goes to one peer: a line to each of its addresses, messages over the best of them."""

    def __init__(
        self,
        node: str,
        addresses: Sequence[str],
        hello: Callable[[], Hello],
        on_refused: Callable[[str], None],
        on_rejected: Callable[[str, str], None] = lambda node, reason: None,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`addresses` are the peer's `host:port`, the main one first; `on_refused` is told when its
        process is gone, `on_rejected`, now and then, why it will not hear us (or is not the one
        meant).
        """
        self.node = node
        self._on_refused = on_refused
        self._on_rejected = on_rejected
        self._now_s = now_s
        self._sparingly = Sparingly(now_s)
        self._paths = Paths(len(addresses))
        self._lines = tuple(
            Line(node, address, hello, self._told(number))
            for number, address in enumerate(addresses)
        )
        self._used = self._lines[0]
        self._tending: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Does a stream stand?"""
        return self._paths.stand

    @property
    def address(self) -> str:
        """The peer's address over which messages go now."""
        return self._used.address

    def send(self, message: Message) -> None:
        """Queue a message; without a stream it is dropped (M3). Where the path changes, it may
        come before what was sent earlier.
        """
        best = self._lines[self._paths.choose(self._now_ms())]
        if best is not self._used:
            best.adopt(self._used)
            self._used = best
        best.send(message)

    def start(self) -> None:
        """Begin to connect."""
        for line in self._lines:
            line.start()
        if len(self._lines) > 1:
            self._tending = asyncio.get_running_loop().create_task(self._tend())

    async def stop(self) -> None:
        """Close the streams and stop."""
        if self._tending is not None:
            self._tending.cancel()
        await asyncio.gather(*(line.stop() for line in self._lines))

    async def _tend(self) -> None:
        """Find out, all the time, how each path is."""
        while True:
            now = self._now_ms()
            for number in self._paths.ask(now):
                self._lines[number].ask()
            for number in self._paths.stuck(now):
                self._lines[number].anew()
            await asyncio.sleep(TEND_S)

    def _told(self, number: int) -> Told:
        paths = self._paths
        return Told(
            stands=lambda stands: (paths.began if stands else paths.ended)(number),
            answered=lambda: paths.answered(number, self._now_ms()),
            refused=self._refused,
            rejected=self._rejected,
        )

    def _refused(self) -> None:
        if self._paths.refused(self._now_ms()):
            self._on_refused(self.node)

    def _rejected(self, reason: str) -> None:
        if self._sparingly.may_say(reason):
            self._on_rejected(self.node, reason)

    def _now_ms(self) -> float:
        return self._now_s() * 1000.0


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

    def address(self, node: str) -> str:
        """The `host:port` over which `node` is reached best now. Raises `KeyError`."""
        return self._links[node].address

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
        """One peer's stream, until it ends. It may have several at a time."""
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
            welcome = Welcome(us.node, us.disk_id)
            yield welcome
            sender = ReplicaId(hello.node, hello.disk_id)
            async for envelope in requests:
                message = _read(envelope)
                if message is None:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a replica's message")
                speaker.heard_s = self._now_s()
                if isinstance(message, Hello):
                    yield welcome  # it asks whether this path is well
                else:
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
