"""The drills: TOML files that say what is done to a cluster under load, and what must hold."""

from __future__ import annotations

import enum
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from deploy.topology import Topology
from loadtest.drill.steps import Steady, Step
from loadtest.faults import NEEDS_NETWORK
from node.settings import Limits as NodeLimits
from node.settings import Timings

FOLDER: Final = Path(__file__).parent / "catalogue"


class DrillError(ValueError):
    """A drill that cannot be used; the message names the file and what is wrong."""


class Kind(enum.StrEnum):
    """On what ground: real processes on loopback, or each host in a network namespace."""

    PROCESSES = "processes"
    NETNS = "netns"


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slots a second of all terminals together, and how many terminals."""

    rate: float = 300.0
    terminals: int = 100


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold besides the checkers' answers. A bound that is absent is not judged.

    `longest_gap_ms`: between two acknowledgements of anything, anywhere. `longest_wait_ms`: from
    the intended start, of slots from the first fault to the next steady state. `failed`: requests
    without a final answer by their deadline. `unserved`: slots never served. `new_leader`: whether
    there must, or must not, be a new epoch. `resumed_ms`: from the end of the first healing to the
    next acknowledgement.
    """

    longest_gap_ms: float | None = None
    longest_wait_ms: float | None = None
    p99_ms: float | None = None
    failed: int | None = None
    unserved: int | None = None
    new_leader: bool | None = None
    resumed_ms: float | None = None


class Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What replaces the topology's own, by the names of its [limits] and [timings]."""

    limits: dict[str, int | float] = {}
    timings: dict[str, int] = {}


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One drill. `copies_min` and `overrides` replace the topology's, where given."""

    title: str
    title_ja: str
    about: str
    steps: tuple[Step, ...]
    limits: Limits
    load: Load = Load()
    topology: str = "renewed-3node"
    ground: Kind = Kind.PROCESSES
    copies_min: int | None = None
    overrides: Overrides = Overrides()
    name: str = ""

    def changed(self, topology: Topology) -> Topology:
        """The topology with what this drill replaces in it."""
        copies = topology.copies_min if self.copies_min is None else self.copies_min
        return msgspec.structs.replace(
            topology,
            copies_min=copies,
            limits=msgspec.structs.replace(topology.limits, **self.overrides.limits),
            timings=msgspec.structs.replace(topology.timings, **self.overrides.timings),
        )


def load(path: Path) -> Drill:
    """Read one drill; its name is that of the file. Raises `DrillError`."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        drill = msgspec.convert({**raw, "name": path.stem}, Drill)
    except OSError as problem:
        raise DrillError(f"{path}: cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as problem:
        raise DrillError(f"{path}: is not a drill: {problem}") from problem
    _check(drill, path)
    return drill


def _check(drill: Drill, path: Path) -> None:
    if not any(isinstance(step, Steady) for step in drill.steps):
        raise DrillError(f"{path}: steps: expected a steady state before and after the fault")
    if drill.load.rate <= 0 or drill.load.terminals <= 0:
        raise DrillError(f"{path}: load: expected a rate and a number of terminals above 0")
    for number, step in enumerate(drill.steps):
        if isinstance(step, NEEDS_NETWORK) and drill.ground is not Kind.NETNS:
            raise DrillError(
                f"{path}: steps[{number}]: on loopback nothing can be cut: "
                f'expected ground = "{Kind.NETNS}"'
            )
    _check_names("limits", drill.overrides.limits, NodeLimits, path)
    _check_names("timings", drill.overrides.timings, Timings, path)


def _check_names(
    table: str, given: dict[str, int | float] | dict[str, int], kind: type[msgspec.Struct], at: Path
) -> None:
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError as problem:
        names = ", ".join(kind.__struct_fields__)
        raise DrillError(
            f"{at}: overrides.{table}: {problem}; expected some of {names}"
        ) from problem


def find(name: str) -> Drill:
    """A drill of the catalogue, or of a file. Raises `DrillError` naming what there is."""
    path = FOLDER / f"{name}.toml"
    if path.exists():
        return load(path)
    if Path(name).suffix == ".toml":
        return load(Path(name))
    known = ", ".join(drill.name for drill in catalogue())
    raise DrillError(f"no drill is called {name!r}; there are: {known}")


def catalogue() -> tuple[Drill, ...]:
    """All drills of the catalogue, by name."""
    return tuple(load(path) for path in sorted(FOLDER.glob("*.toml")))
