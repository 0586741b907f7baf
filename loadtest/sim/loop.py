"""An event loop in virtual time: one a life of a process, so that a process can die or stand still.

It is a whole `asyncio` loop as far as the programs under test use one: callbacks, timers, futures,
tasks, and work for threads, which is done after a short while on the same timeline. A process that
was killed runs nothing any more; one that is paused finds everything it missed, in order, when it
goes on. Its clock may run fast or slow.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future
from contextvars import Context
from functools import partial
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

from loadtest.sim.timeline import Event, Timeline

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREAD_MS = (0.05, 2.0)
"""How long work given to a thread takes: least and most."""


_NEW = inspect.CORO_CREATED


class Defect(Exception):
    """A program under test raised what nobody caught: the message says who, and what."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one life of the process `name`. `rate`: seconds of its clock a true second."""

    def __init__(
        self, name: str, timeline: Timeline, draw: random.Random, *, rate: float = 1.0
    ) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self._timeline = timeline
        self._draw = draw
        self._rate = rate
        self._held: list[Callable[[], object]] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._began_ms = timeline.now
        # No two processes' monotonic clocks begin at the same number.
        self._zero_s = draw.uniform(100.0, 10_000.0)

    # -- for the world ---------------------------------------------------------------------------

    def kill(self) -> None:
        """The process is gone: nothing of it runs any more."""
        self.alive = False
        self._held.clear()
        for task in self._tasks:
            coroutine = task.get_coro()
            # One that never began is closed here: nobody will await it any more.
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == _NEW:
                coroutine.close()

    def pause(self) -> None:
        """The process stands still; its clock goes on."""
        self.paused = True

    def wake(self) -> None:
        """The process goes on where it stopped, with everything that came meanwhile."""
        self.paused = False
        held, self._held = self._held, []
        for run in held:
            self._timeline.after(0.0, partial(self.enter, run), f"{self.name} after its pause")

    def enter(self, run: Callable[[], object]) -> None:
        """Run something as this process, now; later if it is paused, never if it is dead."""
        if not self.alive:
            return
        if self.paused:
            self._held.append(run)
            return
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            run()
        finally:
            asyncio._set_running_loop(outer)

    # -- for the programs ------------------------------------------------------------------------

    def time(self) -> float:
        """The process's monotonic clock, in seconds."""
        return self._zero_s + (self._timeline.now - self._began_ms) * self._rate / 1000

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio: after everything that is due now."""
        handle = asyncio.Handle(callback, args, self, context)
        if self.alive:
            self._timeline.after(0.0, partial(self._due, handle), self.name)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio: in `delay` seconds of this process's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio: when this process's clock shows `when`."""
        timer = _Timer(when, callback, args, self, context)
        if self.alive:
            at_ms = self._began_ms + (when - self._zero_s) * 1000 / self._rate
            timer.event = self._timeline.at(at_ms, partial(self._due, timer), self.name)
        return timer

    def _due(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        if self.paused:
            self._held.append(partial(self._due, handle))  # it may be cancelled meanwhile
        else:
            self.enter(handle._run)

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **_: Any,
    ) -> asyncio.Task[T]:
        """See asyncio; the loop keeps its tasks, whether or not anybody else does."""
        words = None if name is None else str(name)
        task = asyncio.Task(coro, loop=self, name=words, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """See asyncio: done in one go, a little later, as by a thread that was waiting."""
        return asyncio.wrap_future(self.threads.submit(func, *args), loop=self)

    @property
    def threads(self) -> Executor:
        """What stands in for this process's threads."""
        return _Threads(self, self._draw)

    def get_debug(self) -> bool:
        """Never: it would only cost time."""
        return False

    def is_running(self) -> bool:
        """As long as the process lives."""
        return self.alive

    def is_closed(self) -> bool:
        """When it is dead."""
        return not self.alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody caught it: a defect, unless the process is dead and its remains are swept up.

        Nothing is raised here: whoever sweeps up would not hear of it.
        """
        if self.alive:
            problem = context.get("exception")
            defect = Defect(f"{self.name}: {context.get('message')}: {problem!r}")
            defect.__cause__ = problem
            self._timeline.fail(defect)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """See asyncio."""
        if self.alive and isinstance(handle, _Timer):
            handle.event.cancel()


class _Timer(asyncio.TimerHandle):
    """A timer that knows its event, which goes when it is cancelled."""

    __slots__ = ("event",)
    event: Event


class _Threads(Executor):
    def __init__(self, loop: VirtualLoop, draw: random.Random) -> None:
        self._loop = loop
        self._draw = draw

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `concurrent.futures`."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as problem:
                future.set_exception(problem)

        self._loop.call_later(self._draw.uniform(*THREAD_MS) / 1000, work)
        return future
