"""Plays the planted faults, each in its drill, and healthy nodes in the same drills."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.lab.folder import ClusterError
from deploy.lab.ground import node_command
from deploy.lab.program import ProgramFailed
from deploy.topology import Topology, find
from loadtest.drill.grounds import ground_of
from loadtest.drill.planted import catalogue
from loadtest.drill.planted.fault import Fault, Trial
from loadtest.drill.planted.matrix import Row, judged
from loadtest.drill.runner import Run, Teller, Wanted
from loadtest.drill.verdict import Ruling
from loadtest.generator import GeneratorFailed

COMMAND: Final = "kessai drill run --planted"


@dataclass(frozen=True, slots=True)
class Court:
    """Where trials are held: below `root`, with a seed, and told to `teller`.

    `topology` replaces the drills' own, where given.
    """

    root: Path
    seed: int
    teller: Teller
    topology: Topology | None = None


def trials(faults: Iterable[Fault]) -> Iterator[Trial]:
    """Each fault, then each drill of theirs with healthy nodes."""
    accused = [Trial(fault, fault.drill) for fault in faults]
    yield from accused
    yield from (Trial(None, drill) for drill in dict.fromkeys(each.drill for each in accused))


def guilty(fault: Fault) -> Callable[[Path], Sequence[str]]:
    """How the program of a node with this fault is started, as a cluster asks for it."""
    program = [sys.executable, "-m", "loadtest.drill.planted.node", "--fault", fault.name]
    return lambda settings: [*program, str(settings)]


def hold(trial: Trial, court: Court) -> Row:
    """Play it, and say what came of it. What cannot be played convicts and acquits nobody."""
    began = time.monotonic()
    drill = catalogue.drill(trial.drill)
    topology = drill.changed(court.topology or find(drill.topology))
    wanted = Wanted(
        seed=court.seed,
        rate=drill.load.rate,
        root=court.root / "cluster",
        evidence=court.root / "evidence",
        command=COMMAND if trial.fault is None else f"{COMMAND} --fault {trial.name}",
    )
    command = node_command if trial.fault is None else guilty(trial.fault)
    try:
        with ground_of(drill, topology) as ground:
            verdict = Run(drill, ground, wanted, court.teller, command=command).play().verdict
    except (ClusterError, ProgramFailed, GeneratorFailed) as problem:
        elapsed_s = time.monotonic() - began
        return Row(trial, Ruling.INCONCLUSIVE, (), str(problem), elapsed_s)
    return judged(trial, verdict, time.monotonic() - began)
