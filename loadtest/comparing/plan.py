"""What a comparison plays: which drills, on which two topologies, how often. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from deploy.topology import Topology
from loadtest.drill.catalogue import Drill, Kind
from loadtest.drill.steps import OnDuty

QUICK: Final = (
    "leader-crash",
    "both-at-once",
    "leader-disk-error",
    "switch-down",
    "switch-lossy",
    "site-loss",
    "power-loss",
    "date-rollover-at-failover",
)
"""The drills of a quick comparison: one of each kind of loss."""


class PlanError(ValueError):
    """A comparison that cannot be played; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class System:
    """One of the two, by the name or the file that it was asked for with."""

    name: str
    topology: Topology


@dataclass(frozen=True, slots=True)
class Playing:
    """One drill, on one of the two systems, with this seed; `number` of `of` playings in all."""

    drill: Drill
    topology: Topology
    seed: int
    rate: float
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole comparison. `rate` None: each drill's own. `files`: of drills that are not in the
    catalogue, by name."""

    drills: tuple[Drill, ...]
    before: System
    after: System
    seed: int = 1
    repeat: int = 1
    rate: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def playings(self) -> Iterator[Playing]:
        """In their order: of each drill first the old system, then the new one, and again.

        Both are played in namespaces, with the same seed: the ground and the load are no excuse.
        """
        of = 2 * self.repeat * len(self.drills)
        number = 0
        for drill in self.drills:
            for again in range(self.repeat):
                for system in (self.before, self.after):
                    number += 1
                    there = msgspec.structs.replace(drill, ground=Kind.NETNS, topology=system.name)
                    yield Playing(
                        drill=there,
                        topology=there.changed(system.topology),
                        seed=self.seed + again,
                        rate=drill.load.rate if self.rate is None else self.rate,
                        number=number,
                        of=of,
                    )

    def command(self, drills: Sequence[str], seed: int, repeat: int) -> str:
        """The command that plays this again; `drills` by name."""
        words = ["kessai", "compare"]
        if tuple(drills) == QUICK:
            words.append("--quick")
        else:
            for name in drills:
                words += ["--drill", self.files.get(name, name)]
        words += ["--before", self.before.name, "--after", self.after.name, "--seed", str(seed)]
        if repeat > 1:
            words += ["--repeat", str(repeat)]
        if self.rate is not None:
            words += ["--rate", f"{self.rate:g}"]
        return shlex.join(words)

    @property
    def whole_command(self) -> str:
        """The command that plays all of it again."""
        return self.command([drill.name for drill in self.drills], self.seed, self.repeat)


def comparable(drills: Sequence[Drill]) -> tuple[Drill, ...]:
    """The drills that can be played on any topology: those that leave it to the people on duty what
    is done for a cluster that does not come back by itself."""
    return tuple(drill for drill in drills if any(isinstance(step, OnDuty) for step in drill.steps))


def chosen(drills: Sequence[Drill], names: Sequence[str], *, quick: bool) -> tuple[Drill, ...]:
    """The drills asked for by name, else the quick ones, else every one that is comparable.

    Raises `PlanError` for a name that is not among them.
    """
    found = {drill.name: drill for drill in comparable(drills)}
    wanted = tuple(dict.fromkeys(names)) or (QUICK if quick else tuple(found))
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise PlanError(
            f"not to be compared: {', '.join(unknown)}; there are: {', '.join(found) or 'none'}"
        )
    return tuple(found[name] for name in wanted)
