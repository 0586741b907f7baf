"""The terminals of one process under gevent: who starts when, what is late, and the end of the day.

Slots follow their schedule, not the answers: a terminal that is still waiting starts its next slot
late, and its latency counts from when the slot was meant to start. When the day ends, no new slot
comes; what is late or under way has `drain_s` to be heard, and what was never sent is counted.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

import gevent
import gevent.event

from loadtest.arrivals import arrivals
from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history import Header, Heard, Mark, Result, Stall, Unsent
from loadtest.history_file import Recorder
from loadtest.load_plan import LoadPlan
from loadtest.orders import ChangeRate, Order, RollOver, Stop, spoken
from loadtest.profiles.schedule import schedule
from loadtest.request import Request
from loadtest.seconds import Second, Totals
from loadtest.shell_gevent import Lines, carry, monotonic_ms
from loadtest.tempo import Tempo
from loadtest.terminal import Manner
from loadtest.traffic import Till

_LOOK_EVERY_MS: Final = 20.0
_STALL_MS: Final = 50.0

Report = Callable[[Request, Heard], None]


class Crowd:
    """All terminals of this process. `report` hears of every final answer and every slip.

    Where several processes share the terminals, this one has every `step`-th, from `first` on.
    """

    def __init__(
        self,
        plan: LoadPlan,
        recorder: Recorder,
        lines: Lines,
        report: Report,
        *,
        first: int = 0,
        step: int = 1,
    ) -> None:
        self.plan = plan
        self._recorder = recorder
        self._lines = lines
        self._report = report
        self._manner = Manner(attempt_ms=plan.attempt_ms, deadline_ms=plan.deadline_ms)
        self._numbers = itertools.count(first, step)
        self._tempo = Tempo()
        self._dates = 0  # how often the business date has ended
        self._begin = gevent.event.AsyncResult()
        self._changed = gevent.event.Event()  # set, and replaced, when slots move
        self._stopping = gevent.event.Event()
        self._stop_ms = float("inf")
        self._open: dict[str, Asking] = {}
        self._at_work = 0
        self._drain_s = plan.drain_s
        self._second: list[Heard] = []
        self._counts = dict.fromkeys(Result, 0)

    # --- the day ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the doors: schedules count from now. A second call changes nothing."""
        if self._begin.ready():
            return
        now_ms = monotonic_ms()
        plan = self.plan
        unix_at_zero_ms = time.time() * 1000.0 - now_ms
        self._recorder.write(
            Header(plan.run, plan.seed, unix_at_zero_ms, plan.rate, plan.terminals)
        )
        self._recorder.write(Mark("load began", now_ms))
        for_ms = 0.0 if self._stopping.is_set() else plan.duration_s * 1000.0
        self._stop_ms = now_ms + for_ms
        self._begin.set(now_ms)
        gevent.spawn(self._watch_ourselves)

    def obey(self, order: Order) -> None:
        """Do what is told, and put it on record."""
        match order:
            case Stop():
                self.stop()
                return
            case ChangeRate(times):
                begin_ms = self._begin.get() if self._begin.ready() else monotonic_ms()
                self._tempo.change(monotonic_ms() - begin_ms, times)
                self._wake()
            case RollOver():
                self._dates += 1
        self._recorder.write(Mark(spoken(order), monotonic_ms()))

    def stop(self) -> None:
        """No new slot is meant to start from now on."""
        if not self._stopping.is_set():
            self._stop_ms = min(self._stop_ms, monotonic_ms())
            self._stopping.set()
            self._wake()

    def _wake(self) -> None:
        """Let every terminal that waits for its slot look again when that is."""
        told, self._changed = self._changed, gevent.event.Event()
        told.set()

    def abandon(self) -> None:
        """Stop, and do not wait for what is under way: nobody is there to hear of it."""
        self._drain_s = 0.0
        self.stop()

    def wait_until_over(self) -> None:
        """Return when the day has ended and everything is heard or given up."""
        self._begin.get()
        gevent.spawn_later(self.plan.duration_s, self.stop)
        self._stopping.wait()
        self._recorder.write(Mark("arrivals stopped", self._stop_ms))
        deadline_ms = monotonic_ms() + self._drain_s * 1000.0
        while (self._at_work or self._open) and monotonic_ms() < deadline_ms:
            gevent.sleep(0.05)

    def close(self) -> None:
        """Give up what is still open, count what was never sent. The terminals must be still."""
        for asking in list(self._open.values()):
            told = asking.last
            asking.give_up()
            if asking.last is not told:  # else its clerk was told "unknown" before
                self._heard(asking)
        self._recorder.write(Mark("drained", monotonic_ms()))

    def _watch_ourselves(self) -> None:
        """Put on record when this process stood still: on a busy machine that happens."""
        while not self._stopping.is_set():
            before_ms = monotonic_ms()
            gevent.sleep(_LOOK_EVERY_MS / 1000.0)
            late_ms = monotonic_ms() - before_ms - _LOOK_EVERY_MS
            if late_ms >= _STALL_MS:
                self._recorder.write(Stall(round(before_ms, 3), round(late_ms, 3)))

    # --- one terminal ----------------------------------------------------------------------------

    def work(self) -> None:
        """One terminal's day, in its own greenlet; returns when the day is over."""
        number = next(self._numbers)
        plan = self.plan
        till = Till(seed=plan.seed, number=number, tag=plan.tag, business_date=plan.business_date)
        around = Surroundings(
            monotonic_ms,
            random.Random(f"terminal/{plan.seed}/{number}").random,
            self._recorder.write,
        )
        compass = Compass.fresh(plan.endpoints, number, plan.sites, plan.paths)
        begin_ms = self._begin.get()
        self._at_work += 1
        sent, dates = 0, 0
        try:
            for slot in self._slots(number):
                if not self._wait_for(begin_ms, slot):
                    break
                while dates < self._dates:
                    till.roll_over()
                    dates += 1
                intended_ms = begin_ms + self._tempo.when(slot)
                action = till.next()
                asking = Asking(
                    f"{till.terminal}/{sent}",
                    action.request,
                    intended_ms=intended_ms,
                    compass=compass,
                    manner=self._manner,
                    around=around,
                    again=action.again,
                )
                sent += 1
                self._serve(asking)
        finally:
            self._at_work -= 1
            self._count_unsent(till.terminal, number, begin_ms, sent)

    def _wait_for(self, begin_ms: float, slot: float) -> bool:
        """Sleep until the slot's start; False when the day ended before it."""
        while (intended_ms := begin_ms + self._tempo.when(slot)) <= self._stop_ms:
            left_ms = intended_ms - monotonic_ms()
            if left_ms <= 0:
                return True
            self._changed.wait(timeout=left_ms / 1000.0)
        return False

    def _serve(self, asking: Asking) -> None:
        """Return when the clerk may go on. After a slip the asking goes on behind the clerk."""
        free = gevent.event.Event()
        self._open[asking.ask] = asking

        def heard(asking: Asking) -> None:
            self._heard(asking)
            free.set()

        gevent.spawn(carry, asking, self._lines, heard)
        free.wait()

    def _heard(self, asking: Asking) -> None:
        """A line of this asking went on record: the answer, or that the clerk was told."""
        last = asking.last
        if last is None:
            return
        if asking.over:
            self._open.pop(asking.ask, None)
        self._second.append(last)
        self._counts[last.result] += 1
        if last.resolved:
            self._counts[Result.UNKNOWN] -= 1
        self._report(asking.request, last)

    def _count_unsent(self, terminal: str, number: int, begin_ms: float, sent: int) -> None:
        end_ms = min(self._stop_ms, monotonic_ms())
        left = itertools.islice(self._slots(number), sent, None)
        due_ms = (begin_ms + self._tempo.when(slot) for slot in left)
        unsent = list(itertools.takewhile(lambda at_ms: at_ms <= end_ms, due_ms))
        if unsent:
            self._recorder.write(Unsent(terminal, len(unsent), unsent[0]))

    def _slots(self, number: int) -> Iterator[float]:
        """When this terminal means to start, in milliseconds from the beginning, as drawn."""
        plan = self.plan
        terminal = number % plan.terminals
        if plan.curve is not None:
            return schedule(
                plan.pattern,
                plan.curve,
                seed=plan.seed,
                terminal=terminal,
                terminals=plan.terminals,
            )
        return arrivals(
            plan.pattern,
            seed=plan.seed,
            terminal=terminal,
            terminals=plan.terminals,
            rate=plan.rate,
        )

    # --- how it goes -----------------------------------------------------------------------------

    def second(self) -> Second:
        """What happened since the last call."""
        heard, self._second = self._second, []
        counts = self._counts
        begin_ms = self._begin.get() if self._begin.ready() else monotonic_ms()
        return Second(
            totals=Totals(
                at_s=(monotonic_ms() - begin_ms) / 1000.0,
                heard=sum(counts.values()) - counts[Result.UNKNOWN],
                declined=counts[Result.DECLINED],
                refused=counts[Result.REFUSED],
                unknown=counts[Result.UNKNOWN],
                waiting=len(self._open),
            ),
            answers=sum(line.result is not Result.UNKNOWN for line in heard),
            waits_ms=[line.heard_ms - line.intended_ms for line in heard],
        )
