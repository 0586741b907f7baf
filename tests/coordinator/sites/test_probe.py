"""What a probe makes of each way in which a node can meet a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from coordinator.records import Reach
from coordinator.settings import Watched
from coordinator.sites.line import GrpcLine
from coordinator.sites.moving import ask_to_hand_over
from coordinator.sites.probe import PROBE_KEY, Probe
from coordinator.sites.sight import Answer
from tests.coordinator.conftest import eventually
from tests.coordinator.relay import Relay
from tests.coordinator.sites.centre import Node
from tests.etcd_cluster import free_ports

PORT, NOBODY = free_ports(2)
DEADLINE_MS = 400


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Node]:
    """A node that serves."""
    async with Node(PORT, "serves") as made:
        yield made


def ignore(_: Answer) -> None:
    """Nobody waits for what comes late."""


async def answer_of(endpoint: str) -> Answer:
    """One probe's answer."""
    probe = Probe([GrpcLine(endpoint)], DEADLINE_MS, ignore)
    try:
        return await probe.ask()
    finally:
        await probe.close()


async def served(probe: Probe) -> bool | None:
    """Does the node serve now?"""
    return (await probe.ask()).reach is Reach.SERVES or None


async def test_a_leader_that_does_not_know_the_key_serves(node: Node) -> None:
    assert await answer_of(node.endpoint) == Answer(Reach.SERVES)
    assert node.keys == [PROBE_KEY]


@pytest.mark.parametrize(
    ("mood", "reach"),
    [
        ("NOT_LEADER", Reach.ANSWERS),
        ("NOT_PROPOSED", Reach.ANSWERS),
        ("OUTCOME_UNKNOWN", Reach.ANSWERS),
        ("STORAGE_DOWN", Reach.ANSWERS),
        ("UNFORESEEN", Reach.ANSWERS),
        ("OVERLOADED", Reach.SERVES),
        ("NO_QUORUM", Reach.STALLS),
    ],
)
async def test_a_refusal_by_the_node_is_an_answer(node: Node, mood: str, reach: Reach) -> None:
    node.mood = mood
    assert await answer_of(node.endpoint) == Answer(reach, mood)


async def test_a_server_without_reasons_answers_but_does_not_serve(node: Node) -> None:
    node.mood = "bare INTERNAL"
    assert await answer_of(node.endpoint) == Answer(Reach.ANSWERS, "INTERNAL")


async def test_a_refused_connection_is_silence_at_once() -> None:
    assert await answer_of(f"127.0.0.1:{PORT}") == Answer(Reach.SILENT, "no connection")


async def test_a_leader_that_cannot_prove_its_lead_in_time_stalls(node: Node) -> None:
    node.mood = "hangs"
    assert await answer_of(node.endpoint) == Answer(Reach.STALLS, "no proof of its lead in time")


async def test_a_node_that_takes_connections_and_says_nothing_is_silent(node: Node) -> None:
    async with Relay(node.endpoint) as relay:
        relay.swallow_answers()
        assert await answer_of(relay.endpoint) == Answer(Reach.SILENT, "no answer in time")


async def test_a_node_whose_main_address_is_lost_is_asked_at_another_one(node: Node) -> None:
    port = node.endpoint.rpartition(":")[2]
    lost = f"127.0.0.9:{port}"
    watched = Watched("a1", "a", lost, lost, ("127.0.0.1",))
    lines = [GrpcLine(each) for each in watched.over_each(watched.terminals)]
    probe = Probe(lines, DEADLINE_MS, ignore)
    assert await probe.ask() == Answer(Reach.SERVES)
    node.mood = "NOT_LEADER"
    assert await probe.ask() == Answer(Reach.ANSWERS, "NOT_LEADER")
    await node.stop()
    assert (await probe.ask()).reach is Reach.SILENT
    await probe.close()
    came = await ask_to_hand_over(
        GrpcLine, watched.over_each(lost), watched.over_each(lost), DEADLINE_MS
    )
    assert came == "it could not be asked: nobody answers there either"


async def test_one_probe_sees_a_node_go_and_come_back(node: Node) -> None:
    probe = Probe([GrpcLine(node.endpoint)], DEADLINE_MS, ignore)
    assert (await probe.ask()).reach is Reach.SERVES
    await node.stop()
    assert (await probe.ask()).reach is Reach.SILENT
    await node.start()
    await eventually(lambda: served(probe))
    await probe.close()


async def test_a_connection_that_swallows_everything_is_left_for_a_new_one(node: Node) -> None:
    async with Relay(node.endpoint) as relay:
        line = GrpcLine(relay.endpoint)
        probe = Probe([line], 100, ignore)
        assert (await probe.ask()).reach is Reach.SERVES
        relay.swallow_answers()
        former = line._channel
        while line._channel is former:
            assert (await probe.ask()).reach is Reach.SILENT
        relay._deaf = False  # the former connection stays as it was: nobody repeats what was lost
        await eventually(lambda: served(probe))
        await probe.close()


async def test_an_answer_that_comes_late_is_still_heard(node: Node) -> None:
    heard: asyncio.Queue[Answer] = asyncio.Queue()
    probe = Probe([GrpcLine(node.endpoint)], DEADLINE_MS, heard.put_nowait)
    assert (await probe.ask()).reach is Reach.SERVES
    node.mood = "hangs"
    assert (await probe.ask()).reach is Reach.STALLS
    node.mood = "serves"
    node.go_on()
    assert await asyncio.wait_for(heard.get(), 15) == Answer(Reach.SERVES)
    await probe.close()


async def test_an_answer_older_than_another_is_not_heard(node: Node) -> None:
    heard: asyncio.Queue[Answer] = asyncio.Queue()
    probe = Probe([GrpcLine(node.endpoint)], DEADLINE_MS, heard.put_nowait)
    node.mood = "hangs"
    assert (await probe.ask()).reach is Reach.STALLS
    node.mood = "NOT_LEADER"
    assert (await probe.ask()).reach is Reach.ANSWERS
    node.mood = "serves"
    node.go_on()
    assert (await probe.ask()).reach is Reach.SERVES
    assert heard.empty()
    await probe.close()


# --- A leader that terminals do not reach -----------------------------------------------------


async def test_a_leader_that_is_well_inside_is_asked_to_hand_over(node: Node) -> None:
    nobody = f"127.0.0.1:{NOBODY}"
    came = await ask_to_hand_over(GrpcLine, [nobody], [node.endpoint], DEADLINE_MS)
    assert came == "it was asked and hands over to a2"
    assert node.handovers == 1


async def test_a_leader_that_terminals_reach_after_all_is_left_alone(node: Node) -> None:
    came = await ask_to_hand_over(GrpcLine, [node.endpoint], [node.endpoint], DEADLINE_MS)
    assert came == "it was not asked: terminals reach it after all"
    assert node.handovers == 0


async def test_a_leader_that_operators_do_not_reach_either_cannot_be_asked(node: Node) -> None:
    await node.stop()
    nobody = f"127.0.0.1:{NOBODY}"
    came = await ask_to_hand_over(GrpcLine, [node.endpoint], [nobody], DEADLINE_MS)
    assert came == "it could not be asked: nobody answers there either"


async def test_a_handover_that_is_refused_is_told_with_the_reason(node: Node) -> None:
    node.refuses = "no replica of its site is in sync"
    nobody = f"127.0.0.1:{NOBODY}"
    came = await ask_to_hand_over(GrpcLine, [nobody], [node.endpoint], DEADLINE_MS)
    assert came == "it was asked and does not hand over: no replica of its site is in sync"
