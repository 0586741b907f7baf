"""A node that is reached over two network switches, with lines that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from coordinator.records import Reach
from coordinator.settings import Watched
from coordinator.sites.moving import ask_to_hand_over
from coordinator.sites.probe import NOBODY_THERE, Probe
from coordinator.sites.sight import Answer
from tests.coordinator.conftest import eventually

SERVES = Answer(Reach.SERVES)
ELSEWHERE = Answer(Reach.ANSWERS, "NOT_LEADER")
STALLS = Answer(Reach.STALLS, "NO_QUORUM")
NO_ANSWER = Answer(Reach.SILENT, "no answer in time")

LONG_MS = 3_600_000
SHORT_MS = 40


@dataclass
class FakeLine:
    """A way to the node. `answer`: what an inquiry hears; None: nothing, until `speak`.

    `there`: does anybody answer when asked whether anybody is there? None: nothing is heard.
    """

    answer: Answer | None = SERVES
    there: bool | None = None
    asked: list[str] = field(default_factory=list)
    renewed: int = 0
    closed: bool = False
    _waiting: list[asyncio.Future[Answer]] = field(default_factory=list)

    async def inquire(self, key: str, within_s: float) -> Answer:
        self.asked.append(key)
        if self.answer is not None:
            return self.answer
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(heard)
        try:
            async with asyncio.timeout(within_s):
                return await heard
        except TimeoutError:
            return NOBODY_THERE

    async def is_there(self, within_s: float) -> bool:
        if self.there is None:
            await asyncio.sleep(within_s)
        return bool(self.there)

    async def hand_over(self, within_s: float) -> str:
        self.asked.append("hand over")
        return "it was asked and hands over to a2"

    async def anew(self) -> None:
        self.renewed += 1

    async def close(self) -> None:
        self.closed = True

    def speak(self, answer: Answer) -> None:
        """Answer what was asked so far."""
        for heard in self._waiting:
            if not heard.done():
                heard.set_result(answer)


@dataclass
class Ways:
    """Two ways to one node, and the probe that looks over both."""

    first: FakeLine = field(default_factory=FakeLine)
    second: FakeLine = field(default_factory=FakeLine)
    late: list[Answer] = field(default_factory=list)
    probe: Probe | None = None

    async def ask(self, deadline_ms: int = LONG_MS) -> Answer:
        """One probe; the first one makes it."""
        if self.probe is None:
            self.probe = Probe([self.first, self.second], deadline_ms, self.late.append)
        return await self.probe.ask()


@pytest_asyncio.fixture
async def ways() -> AsyncIterator[Ways]:
    made = Ways()
    yield made
    if made.probe is not None:
        await made.probe.close()
        assert made.first.closed
        assert made.second.closed


@pytest.mark.parametrize("answer", [SERVES, ELSEWHERE, STALLS])
@pytest.mark.parametrize("dead", ["first", "second"])
async def test_a_path_without_answer_holds_up_nothing(
    ways: Ways, dead: str, answer: Answer
) -> None:
    working = ways.second if dead == "first" else ways.first
    getattr(ways, dead).answer, working.answer = None, answer
    # The deadline is an hour: what waited for the dead path would not come back.
    assert [await ways.ask() for _ in range(3)] == [answer] * 3
    assert len(working.asked) == 3
    assert len(getattr(ways, dead).asked) == 1


async def test_a_path_that_is_refused_at_once_does_not_speak_for_the_other(ways: Ways) -> None:
    ways.first.answer, ways.second.answer = NOBODY_THERE, None
    asking = asyncio.ensure_future(ways.ask())

    async def asked() -> bool | None:
        return bool(ways.second.asked) or None

    await eventually(asked)
    ways.second.speak(SERVES)
    assert await asking == SERVES


async def test_a_node_is_silent_when_no_path_brings_an_answer(ways: Ways) -> None:
    ways.first.answer, ways.second.answer = NOBODY_THERE, None
    assert await ways.ask(SHORT_MS) == NO_ANSWER
    ways.second.answer = NOBODY_THERE
    assert await ways.ask() == NOBODY_THERE


async def test_a_node_stalls_when_it_is_there_over_one_path_and_proves_nothing(ways: Ways) -> None:
    ways.first.answer = ways.second.answer = None
    ways.second.there = True
    assert await ways.ask(SHORT_MS) == Answer(Reach.STALLS, "no proof of its lead in time")


async def test_a_path_is_asked_again_when_its_own_deadline_is_over(ways: Ways) -> None:
    ways.first.answer = None

    async def again() -> bool | None:
        assert await ways.ask(SHORT_MS) == SERVES
        return len(ways.first.asked) > 1 or None

    await eventually(again)


async def test_a_path_that_stays_dead_is_made_anew_though_the_other_one_answers(ways: Ways) -> None:
    ways.first.answer = None

    async def renewed() -> bool | None:
        assert await ways.ask(SHORT_MS) == SERVES
        return bool(ways.first.renewed) or None

    await eventually(renewed)
    assert ways.second.renewed == 0


async def test_an_answer_that_is_late_is_heard_over_any_path(ways: Ways) -> None:
    ways.first.answer, ways.second.answer = NOBODY_THERE, None
    assert await ways.ask(SHORT_MS) == NO_ANSWER
    ways.second.speak(SERVES)

    async def heard() -> bool | None:
        return bool(ways.late) or None

    await eventually(heard)
    assert ways.late == [SERVES]


async def test_a_late_answer_is_not_heard_after_a_newer_one_over_the_other_path(
    ways: Ways,
) -> None:
    ways.first.answer = ways.second.answer = None
    assert await ways.ask(SHORT_MS) == NO_ANSWER
    ways.second.answer = ELSEWHERE
    assert await ways.ask() == ELSEWHERE
    ways.first.speak(SERVES)
    assert await ways.ask() == SERVES  # to the question that was still within its deadline
    assert ways.late == []  # and not to the one before


async def test_an_answer_to_a_question_under_way_counts(ways: Ways) -> None:
    """One way is cut while the other one still owes an answer, which comes in time."""
    ways.first.answer, ways.second.answer = ELSEWHERE, None
    assert await ways.ask(2_000) == ELSEWHERE
    ways.first.answer = None
    asking = asyncio.ensure_future(ways.ask(2_000))
    await asyncio.sleep(0)
    ways.second.speak(SERVES)
    assert await asking == SERVES


# --- What is asked of a leader --------------------------------------------------------------------


async def hand_over(fronts: list[FakeLine], backs: list[FakeLine], deadline_ms: int) -> str:
    """Ask a leader whose ports are met over these lines; all are closed afterwards."""
    lines = {f"front{n}": line for n, line in enumerate(fronts)}
    lines |= {f"back{n}": line for n, line in enumerate(backs)}
    terminals = [name for name in lines if name.startswith("front")]
    peers = [name for name in lines if name.startswith("back")]
    came = await ask_to_hand_over(lambda name: lines[name], terminals, peers, deadline_ms)
    assert all(line.closed for line in lines.values())
    return came


async def test_a_hand_over_is_asked_over_the_first_path_that_works() -> None:
    backs = [FakeLine(), FakeLine(there=True)]
    fronts = [FakeLine(there=False), FakeLine(there=False)]
    assert (await hand_over(fronts, backs, LONG_MS)).endswith("hands over to a2")
    assert [line.asked for line in backs] == [[], ["hand over"]]


async def test_a_leader_that_terminals_reach_over_one_path_is_left_alone() -> None:
    backs = [FakeLine(there=True), FakeLine()]
    came = await hand_over([FakeLine(), FakeLine(there=True)], backs, LONG_MS)
    assert came == "it was not asked: terminals reach it after all"
    assert [line.asked for line in backs] == [[], []]


async def test_a_leader_that_is_met_over_no_path_cannot_be_asked() -> None:
    backs = [FakeLine(), FakeLine(there=False)]
    came = await hand_over([FakeLine(), FakeLine()], backs, SHORT_MS)
    assert came == "it could not be asked: nobody answers there either"


def test_the_ports_are_the_same_over_every_path() -> None:
    node = Watched("a1", "a", "198.18.1.1:7101", "198.18.1.1:7201", ("198.18.2.1", "198.18.3.1"))
    assert node.over_each(node.terminals) == (
        "198.18.1.1:7101",
        "198.18.2.1:7101",
        "198.18.3.1:7101",
    )
    assert node.over_each(node.peers)[1] == "198.18.2.1:7201"
    assert Watched("a1", "a", "h:1", "h:2").over_each("h:1") == ("h:1",)
