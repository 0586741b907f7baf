"""The drills: TOML files that say what is done to a cluster under load, and what must hold."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from loadtest.faults import HandOver, Kill, Pause, Resume, Start, Stop

FOLDER: Final = Path(__file__).parent / "catalogue"


class DrillError(ValueError):
    """A drill that cannot be used; the message names the file and what is wrong."""


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slots a second of all terminals together, and how many terminals."""

    rate: float = 300.0
    terminals: int = 100


class Steady(msgspec.Struct, frozen=True, tag_field="do", tag="steady", forbid_unknown_fields=True):
    """Wait until terminals are served at the full rate, then so long again.

    `required` false: a machine too slow for the rate is told of, and the drill goes on.
    """

    for_s: float
    within_s: float = 30.0
    required: bool = True


class Hold(msgspec.Struct, frozen=True, tag_field="do", tag="hold", forbid_unknown_fields=True):
    """Let the fault last."""

    for_s: float


class Heal(msgspec.Struct, frozen=True, tag_field="do", tag="heal", forbid_unknown_fields=True):
    """Undo what was done last and not undone yet; `all` of it, or the latest only."""

    all: bool = False


class Await(msgspec.Struct, frozen=True, tag_field="do", tag="await", forbid_unknown_fields=True):
    """Wait until the leader has so many replicas in sync and close. Fails after `within_s`."""

    in_sync: int
    within_s: float = 30.0


class Stalled(
    msgspec.Struct, frozen=True, tag_field="do", tag="stalled", forbid_unknown_fields=True
):
    """Settling must stop (too few copies), and a node must say why in its status."""

    within_s: float = 10.0


Step = Steady | Hold | Heal | Await | Stalled | Kill | Pause | Stop | Start | Resume | HandOver


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


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One drill. `copies_min` replaces the topology's, where given."""

    title: str
    title_ja: str
    about: str
    steps: tuple[Step, ...]
    limits: Limits
    load: Load = Load()
    topology: str = "renewed-3node"
    copies_min: int | None = None
    name: str = ""


def load(path: Path) -> Drill:
    """Read one drill; its name is that of the file. Raises `DrillError`."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        drill = msgspec.convert({**raw, "name": path.stem}, Drill)
    except OSError as problem:
        raise DrillError(f"{path}: cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as problem:
        raise DrillError(f"{path}: is not a drill: {problem}") from problem
    if not any(isinstance(step, Steady) for step in drill.steps):
        raise DrillError(f"{path}: steps: expected a steady state before and after the fault")
    if drill.load.rate <= 0 or drill.load.terminals <= 0:
        raise DrillError(f"{path}: load: expected a rate and a number of terminals above 0")
    return drill


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
