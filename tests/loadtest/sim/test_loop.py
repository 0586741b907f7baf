"""A process in virtual time: asyncio's words, a clock of its own, death and standing still."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from loadtest.sim.loop import Defect, VirtualLoop
from loadtest.sim.timeline import Timeline


class Ground:
    """A timeline with one process on it, and what it has seen."""

    def __init__(self, *, rate: float = 1.0) -> None:
        self.timeline = Timeline()
        self.loop = VirtualLoop("p", self.timeline, random.Random(1), rate=rate)
        self.seen: list[tuple[float, str]] = []

    def see(self, what: str) -> None:
        self.seen.append((round(self.timeline.now, 3), what))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.enter(lambda: self.loop.create_task(work))


def test_asyncio_works_on_it_and_takes_no_real_time() -> None:
    ground = Ground()

    async def work() -> None:
        await asyncio.sleep(3600)
        ground.see("slept an hour")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.Event().wait()
        ground.see("timed out")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1.0))
            group.create_task(asyncio.sleep(2.0))
        ground.see("both done")
        assert asyncio.get_running_loop() is ground.loop

    ground.spawn(work())
    ground.timeline.run(4_000_000)
    assert ground.seen == [
        (3_600_000.0, "slept an hour"),
        (3_600_500.0, "timed out"),
        (3_602_500.0, "both done"),
    ]


def test_work_for_threads_is_done_a_little_later() -> None:
    ground = Ground()

    async def work() -> None:
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await ground.loop.run_in_executor(None, lambda: 1 // 0)
        ground.see("done")

    ground.spawn(work())
    ground.timeline.run(10.0)
    ((at, _),) = ground.seen
    assert 0.1 <= at <= 4.0


def test_a_process_that_was_killed_runs_nothing_any_more() -> None:
    ground = Ground()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ground.see("a dead process cleans nothing up")

    ground.spawn(work())
    ground.loop.call_later(1, ground.see, "timer")
    ground.timeline.run(500)
    ground.loop.kill()
    ground.loop.enter(lambda: ground.see("entered"))
    ground.timeline.run(20_000)
    assert ground.seen == []
    assert ground.loop.is_closed()


def test_a_paused_process_finds_everything_it_missed_in_order() -> None:
    ground = Ground()
    ground.loop.call_later(1, ground.see, "timer")
    ground.timeline.run(500)
    before = ground.loop.time()
    ground.loop.pause()
    ground.timeline.at(1_500, lambda: ground.loop.enter(lambda: ground.see("message")), "m")
    ground.timeline.run(3_000)
    assert ground.seen == []
    ground.loop.wake()
    ground.timeline.run(3_000)
    assert ground.seen == [(3_000.0, "timer"), (3_000.0, "message")]
    assert ground.loop.time() - before == pytest.approx(2.5)


def test_a_clock_that_runs_fast_makes_timers_early() -> None:
    ground = Ground(rate=2.0)
    began = ground.loop.time()
    ground.loop.call_later(1.0, ground.see, "timer")
    ground.timeline.run(10_000)
    assert ground.seen == [(500.0, "timer")]
    assert ground.loop.time() - began == pytest.approx(20.0)


def test_what_nobody_catches_is_a_defect() -> None:
    ground = Ground()

    def raises() -> None:
        raise ValueError("nobody catches this")

    ground.loop.call_soon(raises)
    with pytest.raises(Defect, match="nobody catches this"):
        ground.timeline.run(1.0)


def test_one_process_may_call_another_and_each_is_itself() -> None:
    ground = Ground()
    other = VirtualLoop("other", ground.timeline, random.Random(2))
    running = []

    def inner() -> None:
        running.append(asyncio.get_running_loop())

    def outer() -> None:
        other.enter(inner)
        inner()

    ground.loop.enter(outer)
    assert running == [other, ground.loop]
