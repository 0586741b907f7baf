"""Let Spin explore one instance: generate the verifier, compile it, run it, read what it says."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.model import spin_binary
from loadtest.model.instances import Instance

MODEL: Final = Path(__file__).with_name("protocol.pml")

MEMORY_MB: Final = 3500
PATIENCE_S: Final = 1800.0
_DEEPEST: Final = 1_000_000
"""Steps of the longest run; a deeper one would be told as not finished."""

# Only assertions matter, and every step is of one process: there is nothing to reduce.
_OPTIONS: Final = ("-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}")
_CUT_SHORT: Final = (
    "Search not completed",
    "max search depth too small",
    "out of memory",
    "reached -DMEMLIM bound",
    "hash table is full",
)


class SpinFailed(RuntimeError):
    """Spin or the compiler did not do its work; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of a search. `violated` names the assertion that failed, "" if none did.

    `depth` is the longest run in steps; `complete`: every state was visited, or a violation ended
    it. `trail` are the steps to the violation, in sentences.
    """

    states: int
    transitions: int
    depth: int
    memory_mb: float
    seconds: float
    complete: bool
    violated: str
    witnesses: tuple[str, ...]
    trail: tuple[str, ...] = ()


def explore(instance: Instance, spin: Path, *bugs: str) -> Explored:
    """Visit every state of `instance`, with the rules of `bugs` broken, until one is wrong.

    Takes seconds to minutes and up to `MEMORY_MB`. Raises `SpinFailed`, `SpinMissing`.
    """
    # What is broken is found at once, so there the compiler's time counts more than the search's.
    effort = "-O0" if bugs else "-O1"
    with tempfile.TemporaryDirectory(prefix="kessai-model-") as folder:
        work = Path(folder)
        _run([str(spin), "-a", *instance.definitions(*bugs), str(MODEL)], work)
        _run([spin_binary.compiler(), effort, *_OPTIONS, "-o", "pan", "pan.c"], work)
        began = time.monotonic()
        said = _run([str(work / "pan"), "-E", "-n", f"-m{_DEEPEST}"], work)
        found = parse(said, time.monotonic() - began)
        if not found.violated:
            return found
        told = _run([str(work / "pan"), "-r", "-S", f"{MODEL.name}.trail"], work)
        return parse(said, found.seconds, trail(told))


def parse(said: str, seconds: float, trail: tuple[str, ...] = ()) -> Explored:
    """The figures in what the verifier printed. Raises `SpinFailed` where they are missing."""
    numbers = {  # from a hundred million on they are written 1.6226953e+08
        "states": r"^\s*([\d.e+]+) states, stored",
        "transitions": r"^\s*([\d.e+]+) transitions",
        "depth": r"depth reached (\d+)",
        "errors": r"errors: (\d+)",
        "memory": r"^\s*([\d.]+)\s+total actual memory usage",
    }
    found: dict[str, str] = {}
    for name, pattern in numbers.items():
        match = re.search(pattern, said, re.MULTILINE)
        if match is None:
            raise SpinFailed(f"the verifier did not say its {name}: {_last_words(said)}")
        found[name] = match.group(1)
    failed = re.search(r"assertion violated \(?(\w+)", said)
    if int(found["errors"]) and failed is None:
        raise SpinFailed(f"an error that is no assertion: {_last_words(said)}")
    violated = failed.group(1) if failed else ""
    return Explored(
        states=int(float(found["states"])),
        transitions=int(float(found["transitions"])),
        depth=int(found["depth"]),
        memory_mb=float(found["memory"]),
        seconds=seconds,
        complete=bool(violated) or not any(words in said for words in _CUT_SHORT),
        violated=violated,
        witnesses=tuple(re.findall(r"^witness: (.+)$", said, re.MULTILINE)),
        trail=trail,
    )


def trail(told: str) -> tuple[str, ...]:
    """The steps of a replayed run, one sentence each."""
    steps: list[str] = []
    for line in told.splitlines():
        if line.startswith(("pan:", "spin:")):
            break
        if line.strip() and not line.startswith("witness: "):
            line = re.sub(r"\[(\d+)\]", lambda match: _log(match.group(1)), line)
            steps.append(re.sub(r"\{(\d+)\}", lambda match: _members(int(match.group(1))), line))
    return tuple(steps)


def _log(digits: str) -> str:
    """A log as the epochs of its entries, the first one first; the model keeps that one lowest."""
    return f"[{' '.join(reversed(digits.lstrip('0')))}]"


def _members(mask: int) -> str:
    return "{" + " ".join(f"R{bit}" for bit in range(8) if mask >> bit & 1) + "}"


def _run(command: list[str], work: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SpinFailed(f"{Path(command[0]).name}: {problem}") from problem
    if done.returncode != 0:
        raise SpinFailed(
            f"{Path(command[0]).name} ended with status {done.returncode}: "
            f"{_last_words(done.stdout + done.stderr)}"
        )
    return done.stdout + done.stderr


def _last_words(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines()[-5:] if line.strip())
