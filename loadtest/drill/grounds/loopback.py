"""Every program on this machine's loopback: processes can be hurt, the network cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deploy.lab.parts import Launcher, here
from deploy.topology import Topology
from loadtest.drill.catalogue import CLOCK, DISK_FAULTS
from loadtest.drill.grounds.ports import CannotBeDone, Ground
from loadtest.faults import NetworkFault

OFFERS: Final = frozenset({DISK_FAULTS, CLOCK})
"""What drills may need and find here."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """The topology's own addresses, and programs started as they are."""

    topology: Topology
    launcher: Launcher = here
    offers: frozenset[str] = OFFERS

    def harm(self, fault: NetworkFault) -> str:
        """Raises `CannotBeDone`."""
        raise CannotBeDone('on loopback nothing can be cut; a drill that needs it is on "netns"')

    def mend(self, fault: NetworkFault) -> None:
        """Nothing was harmed."""


@contextmanager
def standing(topology: Topology) -> Iterator[Ground]:
    """The ground for this topology. Nothing has to be built."""
    yield Loopback(topology)
