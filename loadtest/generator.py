"""Starts the load generator, a `locust` process of its own, reads its progress and stops it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from loadtest.load_plan import LoadPlan, Progress

_PROJECT: Final = Path(__file__).resolve().parents[1]
_LOCUSTFILE: Final = _PROJECT / "loadtest" / "locustfile.py"


class GeneratorFailed(RuntimeError):
    """The load generator ended by itself or with an error; the message has its last words."""


class Generator:
    """One run of load. `on_progress` is called about once a second, from a thread of its own.

    It is stopped over its standard input, whose end without a word stops it at once: so it ends
    when this process is killed. `on_host` gives the command that runs it where the terminals stand.
    """

    def __init__(
        self,
        plan: LoadPlan,
        folder: Path,
        on_progress: Callable[[Progress], None],
        on_host: Callable[[list[str]], list[str]] = lambda command: command,
    ) -> None:
        if not plan.controlled:
            raise ValueError("a generator run from here is controlled from here")
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        plan_file = folder / "load-plan.json"
        plan_file.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2))
        self._plan = plan
        self._on_progress = on_progress
        self._log = folder / "locust.log"
        self.begun = threading.Event()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                on_host(headless(plan_file, plan.terminals)),
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop it in good order
            )
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

    def stop(self) -> None:
        """Ask for the end of the day: no new slots, what is under way is drained."""
        self._close(b"stop\n")

    def wait(self) -> None:
        """Wait for the drained end. Raises `GeneratorFailed` on a bad or late end."""
        try:
            code = self._process.wait(timeout=self._plan.duration_s + self._plan.drain_s + 20)
        except subprocess.TimeoutExpired as problem:
            self.kill()
            raise GeneratorFailed(f"locust did not end:\n{self._last_words()}") from problem
        self._reader.join(timeout=5)
        if code != 0:
            raise GeneratorFailed(f"locust ended with {code}:\n{self._last_words()}")

    def kill(self) -> None:
        """End it now, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close(b"")
        self._reader.join(timeout=5)

    def _close(self, last_word: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):  # it has ended: nobody needs telling
                pipe.write(last_word)
                pipe.close()

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
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def environment(folder: Path) -> dict[str, str]:
    """Ours, so that locust finds us, but not the configuration of somebody else's load tests.

    Locust reads `LOCUST_*`, `~/.locust.conf`, and pyproject.toml where it is started.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return {**kept, "HOME": str(folder), "PYTHONPATH": str(_PROJECT)}


def headless(plan_file: Path, terminals: int) -> list[str]:
    """The command of a run without a web page: all terminals at once, no summary but our own."""
    return [
        *(sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--plan", str(plan_file)),
        *("--headless", "--users", str(terminals), "--spawn-rate", str(terminals)),
        *("--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"),
    ]


def web(plan_file: Path, host: str, port: int) -> list[str]:
    """The command of a run steered from Locust's web page."""
    return [
        *(sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--plan", str(plan_file)),
        *("--web-host", host, "--web-port", str(port)),
    ]
