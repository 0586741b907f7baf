"""All planted faults, in the order of the matrix, and the drills in which they show."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from loadtest.drill import catalogue
from loadtest.drill.catalogue import Drill
from loadtest.drill.planted import keeping_keys, leading, settling, storing
from loadtest.drill.planted.fault import Fault

FOLDER: Final = Path(__file__).parent / "drills"

FAULTS: Final[tuple[Fault, ...]] = (
    *leading.FAULTS,
    *keeping_keys.FAULTS,
    *storing.FAULTS,
    *settling.FAULTS,
)


def find(name: str) -> Fault:
    """The fault of this name. Raises `KeyError`."""
    return {each.name: each for each in FAULTS}[name]


def drill(name: str) -> Drill:
    """The drill of this name: of ours, not of those in `kessai drill list`. Raises `DrillError`."""
    return catalogue.load(FOLDER / f"{name}.toml")
