"""The drills: TOML files that say what is done to a cluster under load, and what must hold."""

from __future__ import annotations

import difflib
import enum
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.topology import Topology
from loadtest.drill.steps import Rate, Steady, Step, read
from loadtest.faults import NEEDS_NETWORK, FailingDisk, Fault, FullDisk, SlowDisk, WrongClock
from node.settings import Limits as NodeLimits
from node.settings import Timings

FOLDER: Final = Path(__file__).parent / "catalogue"

NETWORK: Final = "network"
DISK_FAULTS: Final = "disk-faults"
CLOCK: Final = "clock"
NEEDS: Final[Mapping[str, tuple[type[Fault], ...]]] = {
    NETWORK: NEEDS_NETWORK,
    DISK_FAULTS: (SlowDisk, FullDisk, FailingDisk),
    CLOCK: (WrongClock,),
}
"""What a drill may need of the place where it is played, and the faults that take it: cables and
switches of its own, disks that fail when told to, a wall clock for each node."""


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
    next acknowledgement. `services`: so many of the seven must be offered whenever they are asked
    for.
    """

    longest_gap_ms: float | None = None
    longest_wait_ms: float | None = None
    p99_ms: float | None = None
    failed: int | None = None
    unserved: int | None = None
    new_leader: bool | None = None
    resumed_ms: float | None = None
    services: int | None = None


class Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What replaces the topology's own, by the names of its [limits] and [timings]."""

    limits: dict[str, int | float] = {}
    timings: dict[str, int] = {}


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One drill. `copies_min` and `overrides` replace the topology's, where given.

    `longest_s`: after so long the drill is given up, healed, and inconclusive.
    """

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
    longest_s: float = 300.0
    name: str = ""

    @property
    def needs(self) -> frozenset[str]:
        """What it takes beyond processes that can be killed: some of `NEEDS`."""
        kinds = tuple(type(step) for step in self.steps)
        return frozenset(need for need, faults in NEEDS.items() if set(kinds) & set(faults))

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
        steps = _steps(raw.pop("steps", None), path)
        drill = msgspec.convert({**raw, "steps": (), "name": path.stem}, Drill)
    except OSError as problem:
        raise DrillError(f"{path}: cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as problem:
        raise DrillError(f"{path}: is not a drill: {problem}") from problem
    drill = msgspec.structs.replace(drill, steps=steps)
    _check(drill, path)
    return drill


def _steps(raw: object, path: Path) -> tuple[Step, ...]:
    if not isinstance(raw, list) or not raw:
        raise DrillError(f"{path}: is not a drill: expected its steps as [[steps]]")
    found = []
    for number, each in enumerate(raw, start=1):
        try:
            found.append(read(each))
        except ValueError as problem:
            raise DrillError(f"{path}: step {number}: {problem}") from problem
    return tuple(found)


def _check(drill: Drill, path: Path) -> None:
    if not any(isinstance(step, Steady) for step in drill.steps):
        raise DrillError(f"{path}: steps: expected a steady state before and after the fault")
    if drill.load.rate <= 0 or drill.load.terminals <= 0:
        raise DrillError(f"{path}: load: expected a rate and a number of terminals above 0")
    if drill.longest_s <= 0:
        raise DrillError(f"{path}: longest_s: expected seconds above 0")
    for number, step in enumerate(drill.steps, start=1):
        if isinstance(step, Rate) and step.times <= 0:
            raise DrillError(f"{path}: step {number}: times: expected a number above 0")
        if isinstance(step, NEEDS_NETWORK) and drill.ground is not Kind.NETNS:
            raise DrillError(
                f"{path}: step {number}: on loopback nothing can be cut: "
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
    return load(path_of(name))


def path_of(name: str) -> Path:
    """Where this drill is written. Raises `DrillError` naming what there is."""
    path = FOLDER / f"{name}.toml"
    if path.exists():
        return path
    if Path(name).suffix == ".toml":
        return Path(name)
    known = [each.stem for each in _files()]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise DrillError(f"no drill is called {name!r}{meant}; there are: {', '.join(known)}")


def catalogue() -> tuple[Drill, ...]:
    """All drills of the catalogue, by name."""
    return tuple(load(path) for path in _files())


def _files() -> list[Path]:
    return sorted(FOLDER.glob("*.toml"))
