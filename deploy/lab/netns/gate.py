"""Runs a command on a private ground: user, process, mount and network namespaces of its own.

`python -m deploy.lab.netns.gate COMMAND...` stays outside and waits; inside, the first process does
nothing but wait for the command. The kernel ends everything in a process namespace when its first
process is gone, and that one when the gate is gone. So nothing is left whichever of them is killed,
with whatever signal. Signals sent to the gate reach the command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from deploy.lab.netns import syscalls

MARK: Final = "KESSAI_NETNS"
"""The environment variable that names the process namespace of the ground it was set in."""

REFUSED: Final = 125
"""The gate's exit status when there is no such ground to be had; why is on standard error."""

_PASSED_ON: Final = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
)
_ALL: Final = (
    syscalls.NEW_USER | syscalls.NEW_MOUNTS | syscalls.NEW_NETWORK | syscalls.NEW_PROCESSES
)


def main(command: Sequence[str]) -> int:
    """Run `command` inside; its exit status, 128 and the signal's number if one ended it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would never come
    # Held back from here on, to be asked for with sigwaitinfo: none is lost in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    try:
        _leave()
        hold, held = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(held)
            _first(command, hold)
    except OSError as problem:
        print(problem.strerror or problem, file=sys.stderr)
        return REFUSED
    os.close(hold)
    os.write(held, b".")
    os.close(held)
    return _wait_for(first)


def _leave() -> None:
    """Namespaces of our own; the process namespace begins with our next child. A helper who stays
    behind writes down who we are in the new user namespace: only from outside can root do that for
    more than itself."""
    gate = os.getpid()
    reader, writer = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(writer)
        os._exit(_introduce(gate) if os.read(reader, 1) else 0)
    os.close(reader)
    try:
        syscalls.unshare(_ALL)
        os.write(writer, b".")
    finally:
        os.close(writer)
        status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if status:
        raise OSError(
            status, f"the user namespace cannot be given its users: {os.strerror(status)}"
        )
    syscalls.mounts_private()


def _introduce(gate: int) -> int:
    """Write the maps of users and groups; 0, or the number of the error."""
    maps = ("uid_map", "gid_map")
    folder = Path(f"/proc/{gate}")
    try:
        if os.geteuid() == 0:
            with suppress(PermissionError):  # root by name, but without its powers
                # Everybody stays who they are, so that the files of others can be used as before.
                for name in maps:
                    ranges = Path("/proc/self", name).read_text().splitlines()
                    (folder / name).write_text("".join(map(_unchanged, ranges)))
                return 0
        # Others can speak for themselves alone; inside they are called root.
        (folder / "setgroups").write_text("deny")
        for name, own in zip(maps, (os.geteuid(), os.getegid()), strict=True):
            (folder / name).write_text(f"0 {own} 1\n")
    except OSError as problem:
        return problem.errno or 1
    return 0


def _unchanged(line: str) -> str:
    """A range of users or groups that we have here, under the same numbers inside."""
    first, _, count = line.split()
    return f"{first} {first} {count}\n"


def _first(command: Sequence[str], hold: int) -> NoReturn:
    """The first process: starts the command, waits for it, and ends everything by ending."""
    status = REFUSED
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        if not os.read(hold, 1):
            os._exit(status)  # the gate was gone before we could say that we go with it
        os.close(hold)
        syscalls.mount_proc()
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON | {signal.SIGCHLD})
            environment = {**os.environ, MARK: os.readlink("/proc/self/ns/pid")}
            try:
                os.execvpe(command[0], list(command), environment)
            except OSError as problem:
                print(f"{command[0]}: {problem.strerror}", file=sys.stderr, flush=True)
                os._exit(127)
        status = _wait_for(child)
    except OSError as problem:
        print(problem.strerror or problem, file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _wait_for(child: int) -> int:
    """Pass signals on to `child` until it ends; its exit status."""
    while True:
        came = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if came.si_signo == signal.SIGCHLD:
            while True:
                try:
                    number, how = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if number == child:
                    code = os.waitstatus_to_exitcode(how)
                    return code if code >= 0 else 128 - code
                if number == 0:
                    break  # the others were orphans, left to the first process
        elif came.si_code <= 0:
            # From a process (kill), not from the terminal: that reaches the command by itself.
            with suppress(ProcessLookupError):
                os.kill(child, came.si_signo)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
