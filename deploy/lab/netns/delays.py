"""Links over which packets take longer: by netem where the kernel has it, else by a program each.

Without netem the kernel hands what comes in to a queue of ours (NFQUEUE), one at each end of the
link, and a program beside it (waiting.py) lets every packet go on when its time has come.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from deploy.lab.netns.namespaces import Namespace
from deploy.lab.netns.netlink import is_missing
from deploy.lab.netns.nftables import Queue
from deploy.lab.netns.waiting import READY
from deploy.lab.netns.ways import Link

Means = Literal["netem", "NFQUEUE"]
"""What makes packets wait."""

_PROJECT: Final = Path(__file__).resolve().parents[3]
_WAITING: Final = (sys.executable, "-m", "deploy.lab.netns.waiting")
_END_S: Final = 10.0


class Delay:
    """One link's delay, from `start` to `stop`. `space` gives the namespace of a host."""

    def __init__(self, link: Link, wait_ms: float, space: Callable[[str], Namespace]) -> None:
        self.link = link
        self.wait_ms = wait_ms
        self.means: Means = "netem"
        self._space = space
        self._programs: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Begin; packets wait from here on, or once `queues` are among the rules of the hosts.
        Raises `OSError`."""
        with ExitStack() as stack:
            stack.callback(self.stop)
            try:
                for end in self.link.ends:
                    ask = self._space(end).ask
                    ask.set_netem(self.link.interface(end), self.wait_ms)
            except OSError as problem:
                if not is_missing(problem):
                    raise
                self.means = "NFQUEUE"
                self._start_programs()
            stack.pop_all()

    def queues(self, host: str) -> tuple[Queue, ...]:
        """What has to be among the rules of a host."""
        if self.means == "netem" or host not in self.link.ends:
            return ()
        return (Queue(self.link.number, self.link.interface(host)),)

    def stop(self) -> None:
        """End it; what waits is still sent on in time. To be taken out of the rules before."""
        if self.means == "netem":
            for end in self.link.ends:
                _quietly(self._space(end), self.link.interface(end))
        for program in self._programs:
            if program.stdin is not None:
                program.stdin.close()
        for program in self._programs:
            try:
                program.wait(self.wait_ms / 1000 + _END_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            for pipe in (program.stdout, program.stderr):
                if pipe is not None:
                    pipe.close()
        self._programs.clear()

    def _start_programs(self) -> None:
        for end in self.link.ends:
            command = [*_WAITING, str(self.link.number), str(self.wait_ms)]
            self._programs.append(
                subprocess.Popen(
                    _there(self._space(end), command),
                    cwd=_PROJECT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for program in self._programs:
            assert program.stdout is not None
            assert program.stderr is not None
            if program.stdout.readline().strip() != READY:
                said = program.stderr.read().strip().splitlines() or ["it said nothing"]
                raise OSError(
                    f"this kernel has no netem, and NFQUEUE cannot be used either: {said[-1]}"
                )


def _there(space: Namespace, command: Sequence[str]) -> list[str]:
    nsenter = shutil.which("nsenter")
    if nsenter is None:
        raise OSError("no nsenter on PATH: install util-linux")
    return [nsenter, f"--net={space.path()}", "--", *command]


def _quietly(space: Namespace, interface: int) -> None:
    try:
        space.ask.delete_netem(interface)
    except OSError:
        return  # it has none, or went with its host
