"""Finding the etcd member that answers: who is looked at, when, and who is then in use."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from coordinator import finding
from coordinator.finding import Finder
from coordinator.keyvalue import Unavailable
from tests.coordinator.conftest import PATIENCE_S

SOON_S = 0.02


class Cluster:
    """Members by name; each answers, refuses, or says nothing at all."""

    def __init__(self) -> None:
        self.answering: set[str] = set()
        self.refusing: set[str] = set()
        self.looks: Counter[str] = Counter()
        self.defect: Exception | None = None
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()

    async def look(self, member: str) -> None:
        """What the finder does to learn whether `member` serves."""
        self.looks[member] += 1
        self._looked.set()
        if self.defect is not None:
            raise self.defect
        while member not in self.answering:
            if member in self.refusing:
                raise Unavailable(f"{member}: no leader")
            self._changed.clear()
            await self._changed.wait()

    async def looked_at(self, member: str, times: int) -> None:
        """Wait until `member` has been looked at so often."""
        while self.looks[member] < times:
            self._looked.clear()
            await self._looked.wait()

    def answer(self, *members: str) -> None:
        """These answer from now on, and nobody else."""
        self.answering = set(members)
        self._changed.set()

    def refuse(self, *members: str) -> None:
        """These refuse from now on, and nobody else."""
        self.refusing = set(members)
        self._changed.set()


@pytest.fixture
def cluster() -> Cluster:
    """Nobody says anything yet."""
    return Cluster()


@pytest_asyncio.fixture
async def finder(cluster: Cluster) -> AsyncIterator[Finder[str]]:
    """Of three members, `a` in use."""
    finder = Finder(("a", "b", "c"), cluster.look, SOON_S)
    async with asyncio.timeout(PATIENCE_S):
        yield finder
    await finder.close()


async def test_the_member_in_use_is_enough_where_it_answers(
    cluster: Cluster, finder: Finder[str]
) -> None:
    cluster.answer("a", "b", "c")
    assert await finder.serving() == "a"
    assert cluster.looks == {"a": 1}


async def test_one_heard_of_lately_is_not_looked_at_again(
    cluster: Cluster, finder: Finder[str]
) -> None:
    cluster.answer("a")
    await finder.serving()
    await finder.serving()
    assert cluster.looks == {"a": 1}


async def test_an_answered_request_is_as_good_as_a_look(
    cluster: Cluster, finder: Finder[str]
) -> None:
    finder.heard("a")
    assert await finder.serving() == "a"
    finder.heard("b")  # late, from one that has been left
    assert finder.in_use == "a"
    assert not cluster.looks


async def test_an_old_answer_is_not_relied_on(
    cluster: Cluster, finder: Finder[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FRESH_S", -1.0)
    cluster.answer("a", "b", "c")
    await finder.serving()
    await finder.serving()
    assert cluster.looks == {"a": 2}


async def test_where_it_is_silent_the_first_of_the_others_that_answers_is_used(
    cluster: Cluster, finder: Finder[str]
) -> None:
    left = finder.left
    cluster.answer("c")
    assert await finder.serving() == "c"
    assert finder.in_use == "c"
    assert left.done()
    assert not finder.left.done()
    assert cluster.looks == {"a": 1, "b": 1, "c": 1}


async def test_where_it_refuses_the_others_are_looked_at_without_waiting(cluster: Cluster) -> None:
    cluster.refuse("a")
    cluster.answer("b")
    finder = Finder(("a", "b"), cluster.look, 2 * PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        assert await finder.serving() == "b"


async def test_one_that_is_merely_slow_stays_in_use(cluster: Cluster, finder: Finder[str]) -> None:
    waiting = asyncio.ensure_future(finder.serving())
    await cluster.looked_at("c", 1)
    left = finder.left
    cluster.answer("a")
    assert await waiting == "a"
    assert not left.done()


async def test_one_in_doubt_is_looked_at_last(cluster: Cluster, finder: Finder[str]) -> None:
    cluster.answer("a", "b", "c")
    await finder.serving()
    finder.doubt("a")
    assert await finder.serving() in ("b", "c")
    assert cluster.looks == {"a": 1, "b": 1, "c": 1}


async def test_one_in_doubt_that_alone_answers_stays_in_use(
    cluster: Cluster, finder: Finder[str]
) -> None:
    cluster.answer("a")
    finder.doubt("a")
    left = finder.left
    assert await finder.serving() == "a"
    assert await finder.serving() == "a"
    assert cluster.looks == {"a": 1, "b": 1, "c": 1}
    assert not left.done()


async def test_a_doubt_about_one_that_was_left_means_nothing(
    cluster: Cluster, finder: Finder[str]
) -> None:
    cluster.answer("a")
    await finder.serving()
    finder.doubt("b")
    await finder.serving()
    assert cluster.looks == {"a": 1}


async def test_where_nobody_serves_each_says_why(cluster: Cluster, finder: Finder[str]) -> None:
    cluster.refuse("a", "b", "c")
    with pytest.raises(Unavailable, match="a: no leader; b: no leader; c: no leader"):
        await finder.serving()
    assert finder.in_use == "a"


async def test_all_who_ask_meanwhile_share_one_search(
    cluster: Cluster, finder: Finder[str]
) -> None:
    asking = [asyncio.ensure_future(finder.serving()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    cluster.answer("b")
    assert await asyncio.gather(*asking[1:]) == ["b"] * 4
    assert cluster.looks == {"a": 1, "b": 1, "c": 1}


async def test_tending_turns_away_before_anybody_asks(
    cluster: Cluster, finder: Finder[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "LOOK_EVERY_S", 0.0)
    cluster.answer("a")
    await finder.serving()
    cluster.answer()
    cluster.refuse("a", "b")
    tending = asyncio.ensure_future(finder.tend())
    left = finder.left
    await cluster.looked_at("c", 1)
    cluster.answer("c")
    await left
    assert finder.in_use == "c"
    tending.cancel()


async def test_tending_outlasts_a_time_without_anybody(
    cluster: Cluster, finder: Finder[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "LOOK_EVERY_S", 0.0)
    cluster.refuse("a", "b", "c")
    tending = asyncio.ensure_future(finder.tend())
    await cluster.looked_at("a", 3)
    cluster.answer("b")
    await finder.left
    assert finder.in_use == "b"
    tending.cancel()


async def test_a_defect_in_a_look_is_not_taken_for_silence(
    cluster: Cluster, finder: Finder[str]
) -> None:
    cluster.defect = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await finder.serving()


async def test_closing_ends_the_search_and_all_who_wait_for_it(
    cluster: Cluster, finder: Finder[str]
) -> None:
    waiting = asyncio.ensure_future(finder.serving())
    await cluster.looked_at("c", 1)
    await finder.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
