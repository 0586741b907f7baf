"""Starts the load generator, `locust` in one process or several, reads its progress, stops it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from loadtest.load_plan import LoadPlan, Progress
from loadtest.locust_command import ALONE, NO_FILES, Crew, Files, environment, headless, worker
from loadtest.orders import ChangeRate, Order, RollOver, Stop, spoken

_LOOK_EVERY_S: Final = 0.1
_SPARE_S: Final = 20.0
_GATHER_S: Final = 60.0
"""How much longer than its day a run may take, and how much longer to wait for its workers."""


class GeneratorFailed(RuntimeError):
    """The load generator ended by itself or with an error; the message has its last words."""


class Generator:
    """One run of load. `on_progress` is called about once a second, from a thread of its own.

    It is told what to do over its standard input, whose end without "stop" ends it at once: so it
    ends when this process is killed. `on_host` gives the command that runs it where the terminals
    stand. `crew` says which processes share the terminals, `files` what Locust is to write.
    """

    def __init__(
        self,
        plan: LoadPlan,
        folder: Path,
        on_progress: Callable[[Progress], None],
        on_host: Callable[[list[str]], list[str]] = lambda command: command,
        *,
        crew: Crew = ALONE,
        files: Files = NO_FILES,
    ) -> None:
        if not plan.controlled:
            raise ValueError("a generator run from here is controlled from here")
        if plan.processes != max(1, crew.workers) or plan.terminals % plan.processes:
            raise ValueError("the workers share the plan's terminals evenly")
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        plan_file = folder / "load-plan.json"
        plan_file.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2))
        self._plan = plan
        self._folder = folder
        self._on_progress = on_progress
        self._log = folder / "locust.log"
        self._day_s = plan.duration_s
        self._evening_s = plan.drain_s + _SPARE_S + (_GATHER_S if crew.workers else 0.0)
        self.begun = threading.Event()
        lead = headless(plan_file, plan.terminals, crew, files)
        self._process = self._start(on_host(lead), self._log, subprocess.PIPE)
        self._workers = [
            self._start(
                on_host(worker(crew)), folder / f"locust-worker-{number}.log", subprocess.DEVNULL
            )
            for number in range(crew.here)
        ]
        self._reader = threading.Thread(target=self._read, name="progress", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None
    ) -> None:
        self.kill()

    def check(self) -> None:
        """Raises `GeneratorFailed` if it has ended although nobody stopped it."""
        code = self._process.poll()
        if code is not None:
            raise GeneratorFailed(f"locust ended early with {code}:\n{self._last_words()}")

    def change_rate(self, times: float) -> None:
        """From now on so many times the plan's rate of slots.

        Raises `ValueError` where the rate follows a curve.
        """
        if self._plan.curve is not None:
            raise ValueError("this load follows a curve: its rate is not changed from here")
        self._tell(ChangeRate(times))

    def roll_over(self) -> None:
        """End the business date: every terminal closes its day and goes on with the next one."""
        self._tell(RollOver())

    def stop(self) -> None:
        """Ask for the end of the day: no new slots, what is under way is drained."""
        self._tell(Stop())
        _close(self._process)
        self._day_s = 0.0

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        """Wait for the drained end, which begins early once `until` says so.

        Raises `GeneratorFailed` on a bad or late end.
        """
        deadline = time.monotonic() + self._day_s + self._evening_s
        try:
            while self._process.poll() is None and not until() and time.monotonic() < deadline:
                time.sleep(_LOOK_EVERY_S)
            if until():
                self.stop()
            code = self._process.wait(timeout=max(_SPARE_S, deadline - time.monotonic()))
            for each in self._workers if code == 0 else ():
                each.wait(timeout=_SPARE_S)
        except subprocess.TimeoutExpired as problem:
            self.kill()
            raise GeneratorFailed(f"locust did not end:\n{self._last_words()}") from problem
        self._reader.join(timeout=5)
        if code != 0:
            self.kill()
            raise GeneratorFailed(f"locust ended with {code}:\n{self._last_words()}")

    def kill(self) -> None:
        """End it now, if it still runs."""
        for each in (self._process, *self._workers):
            if each.poll() is None:
                each.kill()
                each.wait()
        for each in (self._process, *self._workers):
            _close(each)
        self._reader.join(timeout=5)

    def _start(self, command: list[str], log: Path, answers: int) -> subprocess.Popen[bytes]:
        with log.open("wb") as errors:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment(self._folder),
                stdin=subprocess.PIPE,
                stdout=answers,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for us; we stop it in good order
            )

    def _tell(self, order: Order) -> None:
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):  # it has ended: `check` and `wait` say so
                pipe.write(f"{spoken(order)}\n".encode())
                pipe.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        decode = msgspec.json.Decoder(Progress).decode
        for line in self._process.stdout:
            try:
                progress = decode(line)
            except msgspec.MsgspecError:
                continue  # something a library printed
            self.begun.set()
            self._on_progress(progress)

    def _last_words(self) -> str:
        logs = (self._log, *sorted(self._folder.glob("locust-worker-*.log")))
        said = (log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return "\n".join(words[-2000:] for words in said if words)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: nobody needs telling
            process.stdin.close()
