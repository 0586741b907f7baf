"""libfaketime, under which a program's wall clock can be moved while the program runs.

Its monotonic clock stays right, as it does on a machine whose date is wrong: waits and deadlines
are measured on that one. It has a price: a gRPC server takes several times the processor time, and
Python's `time.sleep` fails under the version of Debian 12.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.lab import apt
from deploy.lab.folder import ClusterError
from deploy.lab.tools import TOOLS, alone, put, unpacked

_PACKAGE: Final = "libfaketime"
_INSIDE: Final = "usr/lib/*/faketime/libfaketimeMT.so.1"  # the one for programs with threads
_HOW: Final = "install libfaketime (Debian and Ubuntu have it), or set KESSAI_FAKETIME to its path"

_TRIAL_S: Final = 86_400
_CLOSE_S: Final = 60.0
_TRIAL: Final = "import time; print(time.time(), time.monotonic())"


class FaketimeMissing(ClusterError):
    """No libfaketime that works here; the message says what was tried and what helps."""


def find(
    tools: Path = TOOLS, say: Callable[[str], None] = lambda line: None, system: Path = Path("/")
) -> Path:
    """The path of a libfaketime that works; installs one below `tools` if there is none.

    Looks at the KESSAI_FAKETIME variable (nothing else when it is set), at what `system` has
    installed, at `tools`, and last asks apt. `say` hears a line about each step that takes time.
    Raises `FaketimeMissing`.
    """
    asked = os.environ.get("KESSAI_FAKETIME")
    if asked:
        check(Path(asked))
        return Path(asked)
    for library in system.glob(_INSIDE):
        if _works(library):
            return library
    with alone(tools):
        own = tools / "faketime"
        for library in own.glob(_INSIDE):
            if _works(library):
                return library
        return _install(own, tools, say)


def check(library: Path) -> None:
    """Raises `FaketimeMissing` unless this library moves the wall clock, and that one only."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "clock"
        clock.write_bytes(moved_by(_TRIAL_S))
        command = [*under(library, clock), sys.executable, "-c", _TRIAL]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=20, check=True
            ).stdout
            wall, monotonic = (float(each) for each in answer.split())
        except (OSError, subprocess.SubprocessError, ValueError) as problem:
            raise FaketimeMissing(f"{library} cannot be used here: {problem}; {_HOW}") from problem
    moved_s = wall - time.time()
    if abs(moved_s - _TRIAL_S) > _CLOSE_S or abs(monotonic - time.monotonic()) > _CLOSE_S:
        raise FaketimeMissing(
            f"{library} does not move the wall clock alone: by {moved_s:.0f} s instead of "
            f"{_TRIAL_S}; {_HOW}"
        )


def under(library: Path, clock: Path) -> Sequence[str]:
    """What comes before the command of a program whose wall clock goes by the file `clock`.

    It ends in an exec: the process is the program's. A change is seen within two seconds.
    """
    return (
        "/usr/bin/env",
        f"LD_PRELOAD={library}",
        f"FAKETIME_TIMESTAMP_FILE={clock}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME_CACHE_DURATION=1",
        "FAKETIME_DISABLE_SHM=1",  # every program has a clock of its own
        "NO_FAKE_STAT=1",
    )


def moved_by(offset_s: int) -> bytes:
    """What stands in a clock file for a clock that is so many seconds ahead (below 0: behind)."""
    return f"{offset_s:+d}\n".encode()


def _works(library: Path) -> bool:
    try:
        check(library)
    except FaketimeMissing:
        return False
    return True


def _install(folder: Path, tools: Path, say: Callable[[str], None]) -> Path:
    say(f"no libfaketime here; fetching the package {_PACKAGE} with apt")
    try:
        with unpacked("faketime", _PACKAGE, tools, say) as root:
            for library in root.glob(_INSIDE):
                check(library)
            put(root, folder)
    except apt.AptFailed as problem:
        raise FaketimeMissing(f"libfaketime could not be fetched: {problem}; {_HOW}") from problem
    for library in folder.glob(_INSIDE):
        say(f"libfaketime is in {folder}")
        return library
    raise FaketimeMissing(f"the package {_PACKAGE} has no {_INSIDE}; {_HOW}")


if __name__ == "__main__":
    try:
        print(find(say=lambda line: print(f"kessai: {line}", file=sys.stderr, flush=True)))
    except FaketimeMissing as refusal:
        sys.exit(f"kessai: {refusal}")
