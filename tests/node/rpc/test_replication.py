"""Streams between replicas over real servers: who is let in, who is told what, what arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
import pytest

from coordinator.configuration import ReplicaId
from node.core.messages import Ack, Message
from node.rpc.doorkeeper import ALIVE_S, Doorkeeper, Sparingly
from node.rpc.replication import Links, PeerLink, ReplicationService
from node.rpc.server import build_server, listen, open_channel
from node.rpc.wire_replication import (
    SERVICE,
    Hello,
    Welcome,
    decode_welcome,
    encode,
    to_envelope,
)

A1 = Hello("kessai", "c1", "a1", "disk-a1", "a")
A2 = Hello("kessai", "c1", "a2", "disk-a2", "a")
SITES = {"a2": "a", "a3": "a", "b1": "b"}


@dataclass
class Ear:
    """What one receiving node was told, by whom."""

    heard: list[tuple[ReplicaId, Message]] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def on_message(self, sender: ReplicaId, message: Message) -> None:
        """A message came."""
        self.heard.append((sender, message))
        self.came.set()

    async def hears(self, disk: str, index: int) -> None:
        """Return once an Ack of `index` has come from `disk`."""
        while not any(
            sender.disk == disk and isinstance(message, Ack) and message.index == index
            for sender, message in self.heard
        ):
            self.came.clear()
            await self.came.wait()


@dataclass
class Mouth:
    """A link to a1 that speaks as somebody, and what its owner is told."""

    link: PeerLink
    refused: list[str]
    rejected: list[tuple[str, str]]
    told: asyncio.Event

    async def is_told(self, many: int = 1) -> None:
        """Return once the owner knows of so many rejections."""
        while len(self.rejected) < many:
            self.told.clear()
            await self.told.wait()

    async def is_refused(self, many: int) -> None:
        """Return once so many connections were refused."""
        while len(self.refused) < many:
            self.told.clear()
            await self.told.wait()

    async def says(self, index: int, ear: Ear, disk: str) -> None:
        """Say one thing until it has been heard."""

        async def repeat() -> None:
            while True:
                self.link.send(Ack(1, 1, index))
                await asyncio.sleep(0.01)

        saying = asyncio.create_task(repeat())
        try:
            await ear.hears(disk, index)
        finally:
            saying.cancel()


@asynccontextmanager
async def receiving(
    ear: Ear, hello: Hello = A1, *, now_s: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[str]:
    """Node `hello`'s server for peers; yields its address."""
    service = ReplicationService(
        lambda: hello, SITES, ear.on_message, ear.strangers.append, now_s=now_s
    )
    server = build_server((service.handler(),), services=(), health=None, message_bytes=65536)
    port = listen(server, "127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def speaking(
    address: str,
    hello: Hello,
    *others: str,
    to: str = "a1",
    now_s: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Mouth]:
    """A link from `hello` to node `to`, which has these addresses."""
    refused: list[str] = []
    rejected: list[tuple[str, str]] = []
    told = asyncio.Event()

    def on_rejected(node: str, reason: str) -> None:
        rejected.append((node, reason))
        told.set()

    def on_refused(node: str) -> None:
        refused.append(node)
        told.set()

    link = PeerLink(to, (address, *others), lambda: hello, on_refused, on_rejected, now_s=now_s)
    link.start()
    try:
        yield Mouth(link, refused, rejected, told)
    finally:
        await link.stop()


async def test_a_peer_of_two_addresses_is_gone_only_when_both_are() -> None:
    ear = Ear()
    async with AsyncExitStack() as both, AsyncExitStack() as one:
        second = await both.enter_async_context(receiving(ear))
        first = await one.enter_async_context(receiving(ear))
        a2 = await both.enter_async_context(speaking(first, A2, second, now_s=lambda: 0.0))
        await a2.says(1, ear, "disk-a2")
        await one.aclose()
        while a2.link.address == first:
            await a2.says(2, ear, "disk-a2")
        await a2.says(3, ear, "disk-a2")
        assert (a2.link.connected, a2.refused) == (True, [])


async def test_what_a_known_peer_says_arrives_under_its_name() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, A2) as a2:
        await a2.says(7, ear, "disk-a2")
        assert Links({"a1": a2.link}).connected() == {"a1": True}
    assert ear.heard[0] == (ReplicaId("a2", "disk-a2"), Ack(1, 1, 7))
    assert (ear.strangers, a2.rejected) == ([], [])


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (replace(A2, cluster="other"), "belongs to cluster 'other'"),
        (replace(A2, cluster_id="c2"), "data of another cluster (c2, here it is c1)"),
        (replace(A2, site="b"), "in site 'b', a1 knows it in site 'a': correct `site`"),
        (replace(A2, node="a9"), "no node 'a9' is known to a1"),
        (
            replace(A2, node="a1"),
            "two nodes call themselves a1: disk disk-a2 spoke to disk disk-a1",
        ),
    ],
)
async def test_a_stranger_is_told_why_and_so_is_the_journal(hello: Hello, said: str) -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, hello) as stranger:
        await stranger.is_told()
        assert not stranger.link.connected
    assert said in stranger.rejected[0][1]
    assert stranger.rejected[0] == ("a1", ear.strangers[0])
    assert ear.heard == []


async def test_a_node_of_no_cluster_yet_is_let_in() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, replace(A2, cluster_id="")) as a2:
        await a2.says(1, ear, "disk-a2")


async def test_an_address_that_is_another_nodes_is_said_so() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, A2, to="a3") as a2:
        await a2.is_told()
        assert not a2.link.connected
    assert "is a1, not a3: correct the addresses" in a2.rejected[0][1]


async def test_two_nodes_with_one_name_the_second_is_refused_and_the_first_goes_on() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, A2) as first:
        await first.says(1, ear, "disk-a2")
        async with speaking(address, replace(A2, disk_id="other")) as second:
            await second.is_told()
            await first.says(2, ear, "disk-a2")
            assert not second.link.connected
    ((_, reason),) = second.rejected
    assert "two nodes call themselves a2: disk other is refused while disk disk-a2" in reason
    assert ear.strangers == [reason]
    assert first.rejected == []
    assert {sender.disk for sender, _ in ear.heard} == {"disk-a2"}


async def test_once_the_first_has_ended_another_disk_is_welcome() -> None:
    ear = Ear()
    async with receiving(ear) as address:
        async with speaking(address, A2) as first:
            await first.says(1, ear, "disk-a2")
        async with speaking(address, replace(A2, disk_id="new")) as second:
            await second.says(2, ear, "new")


async def test_a_refused_disk_gets_in_by_itself_when_the_other_has_ended() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, A2) as first:
        await first.says(1, ear, "disk-a2")
        async with speaking(address, replace(A2, disk_id="new")) as second:
            await second.is_told()
            await first.link.stop()
            await second.says(2, ear, "new")


async def test_an_old_stream_that_nobody_speaks_on_does_not_shut_a_new_disk_out() -> None:
    ear, now = Ear(), [0.0]
    async with receiving(ear, now_s=lambda: now[0]) as address, speaking(address, A2) as first:
        await first.says(1, ear, "disk-a2")
        async with speaking(address, replace(A2, disk_id="new")) as second:
            await second.is_told()
            now[0] += ALIVE_S
            await second.says(2, ear, "new")


async def test_a_restarted_node_with_its_own_disk_is_never_refused() -> None:
    ear = Ear()
    async with receiving(ear) as address, speaking(address, A2) as before:
        await before.says(1, ear, "disk-a2")
        async with speaking(address, A2) as after:
            await after.says(2, ear, "disk-a2")
    assert (before.rejected, after.rejected, ear.strangers) == ([], [], [])


@pytest.mark.parametrize("sent", [[b"\xff\xff"], [encode(to_envelope(Ack(1, 1, 1)))], []])
async def test_a_stream_that_does_not_begin_with_a_hello_is_refused(sent: list[bytes]) -> None:
    async with receiving(Ear()) as address, open_channel(address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Converse", request_serializer=bytes, response_deserializer=decode_welcome
        )()
        for each in sent:
            await call.write(each)
        await call.done_writing()
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_no_message_ends_the_stream() -> None:
    ear = Ear()
    async with receiving(ear) as address, open_channel(address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Converse", request_serializer=bytes, response_deserializer=decode_welcome
        )()
        await call.write(encode(to_envelope(A2)))
        assert isinstance(await call.read(), Welcome)
        await call.write(b"\xff\xff")
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert ear.heard == []


async def test_every_hello_is_welcomed_and_only_messages_are_handed_on() -> None:
    ear = Ear()
    async with receiving(ear) as address, open_channel(address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Converse", request_serializer=encode, response_deserializer=decode_welcome
        )()
        for said in (A2, A2, Ack(1, 1, 7), A2):
            await call.write(to_envelope(said))
        assert [await call.read() for _ in range(3)] == [Welcome("a1", "disk-a1")] * 3
        call.cancel()
    assert ear.heard == [(ReplicaId("a2", "disk-a2"), Ack(1, 1, 7))]


async def test_a_refused_connection_is_told_and_tried_again() -> None:
    async with speaking("127.0.0.1:17798", A2) as a2:
        await a2.is_refused(2)
    assert set(a2.refused) == {"a1"}


def test_what_lasts_is_said_once_in_a_while() -> None:
    now = [0.0]
    sparingly = Sparingly(lambda: now[0], every_s=5)
    assert [sparingly.may_say("a") for _ in range(3)] == [True, False, False]
    assert sparingly.may_say("b")
    now[0] = 5
    assert sparingly.may_say("a")
    assert all(sparingly.may_say(number) for number in range(1000))


def test_a_doorkeeper_forgets_who_has_left() -> None:
    door = Doorkeeper(lambda: A1, SITES, lambda: 0.0)
    speaker = door.let_in(A2)
    other = replace(A2, disk_id="other")
    assert door.problem(A2) == ""
    assert door.problem(other) != ""
    door.left(speaker)
    assert door.problem(other) == ""
