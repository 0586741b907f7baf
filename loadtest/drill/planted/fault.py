"""What a planted fault is to the drills: what is wrong, where it shows, and who must find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.sim.planted.plant import Plant

HEALTHY: Final = "healthy"
"""The name of no fault: the control."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`plant` is in every node of a cluster for as long as it lives.

    `drill` is the stem of a file in loadtest/drill/planted/drills. `checker` is the one of the
    panel whose question the fault answers wrongly: a conviction for another reason is none.
    """

    plant: Plant
    drill: str
    checker: str

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.plant.name

    @property
    def wrong(self) -> str:
        """In a sentence."""
        return self.plant.wrong


@dataclass(frozen=True, slots=True)
class Trial:
    """One drill played with one fault; None: with healthy nodes, the control."""

    fault: Fault | None
    drill: str

    @property
    def name(self) -> str:
        """Of the fault, as on the command line."""
        return self.fault.name if self.fault is not None else HEALTHY
