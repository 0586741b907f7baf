"""What a ground is: what a drill may ask of the place where it is played."""

from __future__ import annotations

from typing import Protocol

from deploy.lab.parts import Launcher
from deploy.topology import Topology
from loadtest.faults import NetworkFault


class CannotBeDone(RuntimeError):
    """This ground does not allow it, or cannot be had; the message says why and what would help."""


class Ground(Protocol):
    """A place for one cluster and its terminals, for as long as a drill lasts."""

    @property
    def topology(self) -> Topology:
        """The cluster with the addresses that it has here."""

    @property
    def launcher(self) -> Launcher:
        """Puts a program, by its name, on its host; `terminals` is the load generator."""

    @property
    def offers(self) -> frozenset[str]:
        """Which of the needs that a drill may have (loadtest/drill/catalogue.py) it meets."""

    def harm(self, fault: NetworkFault) -> str:
        """Do this to the network; with which means, in words, where there is more than one.

        Its target is a name, not a part. Raises `CannotBeDone`, and then nothing was done.
        """

    def mend(self, fault: NetworkFault) -> None:
        """Undo it, and nothing else; a fault that was not done needs no mending. Raises
        `CannotBeDone`."""
