"""Many days, one seed each, over several processes; and what came of all of them together.

Each day is played in one process from its seed alone, so nothing depends on how many processes
there are, nor on which of them plays what.
"""

from __future__ import annotations

import itertools
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context

from loadtest.sim.play import Violated, play
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.tally import Tally
from loadtest.sim.weather.days import draw
from loadtest.sim.weather.shrink import shrink
from loadtest.sim.weather.troubles import Plan

FAULT = "fault in the simulator"
"""What is "violated" by a day that could not be played to its end."""

_QUEUED = 2
"""Days handed out for each process, so that none waits for its next."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is kept of one seed. `excused`: why it need not have come right again, if so."""

    seed: int
    trace: str
    violation: Violated | None
    excused: str
    events: int
    virtual_ms: float
    tally: Tally
    coverage: Coverage


@dataclass(slots=True)
class Campaign:
    """All days so far. `elapsed_s` is real time."""

    days: int = 0
    excused: int = 0
    events: int = 0
    virtual_ms: float = 0.0
    elapsed_s: float = 0.0
    violations: list[Day] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    coverage: Coverage = field(default_factory=Coverage)

    def take(self, day: Day) -> None:
        """Add a day. The order of days makes no difference."""
        self.days += 1
        self.excused += bool(day.excused)
        self.events += day.events
        self.virtual_ms += day.virtual_ms
        if day.violation is not None:
            self.violations.append(day)
            self.violations.sort(key=lambda each: each.seed)
        self.tally.merge(day.tally)
        self.coverage.merge(day.coverage)


def seeds(first: int, count: int | None) -> Iterator[int]:
    """`count` seeds from `first` on; without end where there is none."""
    return itertools.count(first) if count is None else iter(range(first, first + count))


def live(seed: int) -> Day:
    """Play one seed. Whatever the simulator itself raises is told as a violation, too."""
    met = Coverage()
    try:
        outcome = play(draw(seed), (met,))
    except Exception as problem:
        words = "".join(traceback.format_exception(problem)[-3:])
        violated = Violated(FAULT, words, 0.0)
        return Day(seed, "", violated, "", 0, 0.0, Tally(), Coverage())
    coverage = Coverage()
    coverage.merge(met)  # the counts alone: not what it still remembers of the day
    return Day(
        seed,
        outcome.trace,
        outcome.violation,
        outcome.excused,
        outcome.events,
        outcome.virtual_ms,
        outcome.tally,
        coverage,
    )


def run(
    wanted: Iterator[int],
    *,
    jobs: int,
    minutes: float | None = None,
    on_day: Callable[[Campaign, Day], None] = lambda campaign, day: None,
    play_day: Callable[[int], Day] = live,
    clock: Callable[[], float] = time.monotonic,
) -> Campaign:
    """Play these seeds with `jobs` processes; after so many `minutes` no other is begun.

    `on_day` is called here as each day ends, `play_day` in the processes.
    """
    campaign = Campaign()
    began = clock()

    def take(day: Day) -> None:
        campaign.take(day)
        campaign.elapsed_s = clock() - began
        on_day(campaign, day)

    def more() -> Iterator[int]:
        for seed in wanted:
            if minutes is not None and clock() - began >= minutes * 60:
                return
            yield seed

    if jobs == 1:
        for seed in more():
            take(play_day(seed))
        return campaign
    with processes(jobs) as pool:
        try:
            for day in _spread(pool, more(), jobs * _QUEUED, play_day):
                take(day)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return campaign


def processes(jobs: int) -> ProcessPoolExecutor:
    """Fresh processes, which leave it to this one to be interrupted."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), _undisturbed)


def _undisturbed() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _spread(
    pool: ProcessPoolExecutor, wanted: Iterator[int], queued: int, play_day: Callable[[int], Day]
) -> Iterator[Day]:
    under_way: set[Future[Day]] = set()
    while True:
        for seed in itertools.islice(wanted, queued - len(under_way)):
            under_way.add(pool.submit(play_day, seed))
        if not under_way:
            return
        ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future.result()


def shrunk(plan: Plan, violation: Violated, budget: int) -> Plan:
    """A smaller plan that violates the same invariant, found with at most `budget` days."""

    def fails(smaller: Plan) -> bool:
        try:
            found = play(smaller).violation
        except Exception:  # a day that cannot be played shows nothing
            return False
        return found is not None and found.invariant == violation.invariant

    return shrink(plan, fails, budget)
