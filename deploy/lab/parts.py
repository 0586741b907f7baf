"""The programs of one kind (nodes, etcd members, coordinators) by name, and what is done to them.

Every program is started through the cluster's launcher, which may put it on a host of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from deploy.lab.folder import ClusterError
from deploy.lab.program import Program

Launcher = Callable[[str, Sequence[str]], Sequence[str]]
"""The name of a program and its command; gives the command that runs it on its host. It must turn
into the program (exec): the process it starts is the one that is watched, hurt and ended."""


def here(name: str, command: Sequence[str]) -> Sequence[str]:
    """The launcher of a cluster whose programs all run where we do."""
    return command


class Parts:
    """Programs of one kind; `command` gives the command line of one of them.

    A name that is not among them raises `ClusterError`, everywhere.
    """

    def __init__(
        self,
        names: Iterable[str],
        root: Path,
        folder: Path,
        command: Callable[[str], Sequence[str]],
        launcher: Launcher,
    ) -> None:
        self._programs = {name: Program(name, root) for name in names}
        self._folder = folder
        self._command = command
        self._launcher = launcher

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    @property
    def programs(self) -> tuple[Program, ...]:
        """All of them, in the topology's order."""
        return tuple(self._programs.values())

    def one(self, name: str) -> Program:
        """The program of that name."""
        if name not in self._programs:
            raise ClusterError(
                f"no {name!r} here; expected one of {', '.join(self._programs) or 'none'}"
            )
        return self._programs[name]

    def start(self, name: str, *more: str) -> Program:
        """Start it, with `more` arguments, unless it runs. Raises `ProgramFailed`."""
        program = self.one(name)
        command = self._launcher(name, [*self._command(name), *more])
        program.start(command, self._folder, _environment())
        return program

    def stop(self, name: str, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`."""
        self.one(name).stop(grace_s)

    def pause(self, name: str) -> None:
        """SIGSTOP. Raises `ClusterError` if it was not running."""
        _must(self.one(name).signal(signal.SIGSTOP), name)

    def resume(self, name: str) -> None:
        """SIGCONT. Raises `ClusterError` if it was not running."""
        _must(self.one(name).signal(signal.SIGCONT), name)


def kill_at_once(programs: Iterable[Program]) -> tuple[str, ...]:
    """SIGKILL all of them before waiting for any; the names of those that ran."""
    programs = tuple(programs)
    hit = tuple(each.name for each in programs if each.signal(signal.SIGKILL))
    for program in programs:
        program.kill()
    return hit


def _must(was_running: bool, name: str) -> None:
    if not was_running:
        raise ClusterError(f"{name} is not running")


def _environment() -> dict[str, str]:
    """Ours, without what etcd would take for options of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
