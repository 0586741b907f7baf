"""One program that we started: its record on disk, its signals, its end.

A process is known by its number *and* the moment it started (and the machine's boot), so that a
number the kernel has since given to somebody else is never signalled. The record outlives us: a
later command finds the same process again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LOOK_EVERY_S: Final = 0.005

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Record(msgspec.Struct, frozen=True):
    """Which process it is: `started` is in clock ticks since the boot named by `boot`."""

    pid: int
    started: int
    boot: str
    command: tuple[str, ...]


class ProgramFailed(RuntimeError):
    """A program that did not start, or ended when it should not; says where its log is."""


class Program:
    """A named program with a record (`run/<name>.json`) and a log (`log/<name>.log`)."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.log = root / "log" / f"{name}.log"
        self._record = root / "run" / f"{name}.json"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start `command` in `folder`, its output going to the end of the log.

        Does nothing if it runs already. It gets a session of its own: a Ctrl-C on our terminal is
        ours to handle. Raises `ProgramFailed` if the command cannot be run at all.
        """
        if self.running():
            return
        for path in (self.log, self._record):
            path.parent.mkdir(parents=True, exist_ok=True)
        # An interrupt between the start and the record would leave a process nobody knows.
        with self.log.open("ab") as log, _interrupts_held():
            try:
                self._child = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as problem:
                raise ProgramFailed(
                    f"{self.name} cannot be started: {command[0]}: {problem.strerror}"
                ) from problem
            started = _started(self._child.pid)
            if started is not None:
                record = Record(self._child.pid, started, _boot(), tuple(command))
                incomplete = self._record.with_suffix(".incomplete")
                incomplete.write_bytes(msgspec.json.encode(record))
                incomplete.rename(self._record)

    def running(self) -> bool:
        """Is the process we started there (also when paused)? Reaps it if it was our child."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """Its process number, or None when it is not running."""
        if self._child is not None:
            self._child.poll()
        record = self._read()
        return record.pid if record is not None and _is(record) else None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to it and to nobody else; False if it was not running."""
        record = self._read()
        if record is None:
            return False
        try:
            # The handle pins the process: between the look and the signal the number cannot pass
            # to another one.
            handle = os.pidfd_open(record.pid)
        except OSError:
            return False
        try:
            if not _is(record):
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is gone; False if it is still there after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.running():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True

    def kill(self) -> bool:
        """SIGKILL, and wait until it is gone; False if it was not running."""
        was = self.signal(signal.SIGKILL)
        if was and not self.wait(10.0):
            raise ProgramFailed(f"{self.name} outlived SIGKILL: its disk may be hanging")
        self.forget()
        return was

    def ask_to_stop(self) -> None:
        """SIGTERM; a paused one is woken first, or it could not hear."""
        if self.signal(signal.SIGCONT):
            self.signal(signal.SIGTERM)

    def stop(self, grace_s: float) -> bool:
        """SIGTERM, and SIGKILL after `grace_s`. True if it ended by itself in that time."""
        self.ask_to_stop()
        gone = self.wait(grace_s)
        if not gone:
            self.kill()
        self.forget()
        return gone

    def forget(self) -> None:
        """Remove the record of a process that is gone."""
        if not self.running():
            self._record.unlink(missing_ok=True)

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
                tail = log.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in tail) or "  (an empty log)"

    def _read(self) -> Record | None:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # a record is renamed into place whole, so this one is not ours


def _boot() -> str:
    return _BOOT.read_text().strip()


def _is(record: Record) -> bool:
    return record.boot == _boot() and _started(record.pid) == record.started


def _started(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may itself hold spaces and parentheses. Fields: man 5 proc.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the block is left. Only the main thread gets them at all."""
    caught: list[tuple[int, FrameType | None]] = []
    before: dict[signal.Signals, _Handler] = {}
    with suppress(ValueError):  # not the main thread: nothing to hold
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda *what: caught.append(what))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late, _ in caught[:1]:
            signal.raise_signal(late)
