"""A Spin that runs here: the one asked for, the one on PATH, our own, or a fresh download.

Spin turns the model into a C program, so a C compiler (gcc) is needed, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.lab import apt
from deploy.lab.tools import TOOLS, alone, put, unpacked

_INSIDE: Final = Path("usr/bin/spin")
_HOW: Final = "put spin (Debian and Ubuntu have it) on PATH, or set KESSAI_SPIN to its path"


class SpinMissing(RuntimeError):
    """There is no Spin, or no C compiler; the message says what was tried and what helps."""


def find(tools: Path = TOOLS, say: Callable[[str], None] = lambda line: None) -> Path:
    """The path of a Spin that runs; installs one below `tools` if there is none.

    Looks at the KESSAI_SPIN variable (nothing else when it is set), PATH, `tools`, and last asks
    apt. `say` hears a line about each step that takes time. Raises `SpinMissing`.
    """
    asked = os.environ.get("KESSAI_SPIN")
    if asked:
        if version(Path(asked)) is None:
            raise SpinMissing(f"{asked} (KESSAI_SPIN) is no Spin that runs here")
        return Path(asked)
    found = shutil.which("spin")
    if found and version(Path(found)) is not None:
        return Path(found)
    with alone(tools):
        own = tools / "spin" / _INSIDE
        if version(own) is None:
            _install(tools, say)
        return own


def compiler() -> str:
    """The C compiler. Raises `SpinMissing`."""
    found = shutil.which("gcc")
    if found is None:
        raise SpinMissing("Spin needs gcc to compile the model, and there is none here")
    return found


def version(spin: Path) -> str | None:
    """What `spin` calls its version; None if it is no Spin, or does not run here."""
    try:
        answer = subprocess.run(
            [spin, "-V"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"Spin Version (\S+)", answer.stdout)
    return match.group(1) if match else None


def _install(tools: Path, say: Callable[[str], None]) -> None:
    say("no spin here; fetching the package spin with apt")
    try:
        with unpacked("spin", "spin", tools, say) as root:
            if version(root / _INSIDE) is None:
                raise SpinMissing(f"the spin that apt has does not run here: {_HOW}")
            put(root, tools / "spin")
    except apt.AptFailed as problem:
        raise SpinMissing(f"spin could not be fetched: {problem}; {_HOW}") from problem
    say(f"spin is in {tools / 'spin'}")
