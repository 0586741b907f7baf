"""What a person on duty types, and vouches for: the commands of the runbooks, on a drill's cluster.

Each is one command at a terminal, with the names that it asks for typed after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.configuration import switch_refusal
from coordinator.keyvalue import RegistryError
from coordinator.switching import SwitchRefused
from deploy import moving, written
from deploy.control import ControlError
from deploy.giving_up import Promotion
from deploy.lab.processes import Cluster

BY: Final = "on-duty@drill"
"""Who typed it, in the cluster's own events."""


class CommandRefused(Exception):
    """The command did not do what it was typed for; the message says why."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """Site `to` shall be the active one; `loss`: without what it lacks."""

    to: str
    loss: bool

    @property
    def words(self) -> str:
        """As it is typed."""
        return f"kessai site switch --to {self.to}" + " --allow-data-loss" * self.loss


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A node shall begin with an empty disk, as another replica."""

    node: str

    @property
    def words(self) -> str:
        """As it is typed."""
        return f"kessai new-disk {self.node}"


Command = Takeover | NewDisk


@dataclass(frozen=True, slots=True)
class Vouching:
    """A person who wants the site to take over, and vouches for what can be seen: a site is off
    when none of its settlement nodes runs any more."""

    cluster: Cluster

    def gives_up(self, site: str) -> bool:
        """Yes: whoever is asked has waited, and decided."""
        return True

    def vouches_off(self, site: str) -> bool:
        """Only if it is so."""
        nodes = [each.name for each in self.cluster.topology.nodes]
        here = [name for name in self.cluster.topology.at(site) if name in nodes]
        return not any(self.cluster.pid(name) for name in here)


class Hands:
    """Types at `cluster`; `keep` is the folder for the lists of what is given up."""

    def __init__(self, cluster: Cluster, keep: Path) -> None:
        self._cluster = cluster
        self._keep = keep

    def takeover(self, to: str) -> Takeover:
        """The command for it: with loss only where that cannot be helped.

        Raises `CommandRefused` where etcd does not say.
        """
        try:
            configuration = written.read(self._cluster.topology).configuration
        except RegistryError as problem:
            raise CommandRefused(str(problem)) from problem
        return Takeover(to, loss=configuration is None or bool(switch_refusal(configuration, to)))

    def type(self, command: Command) -> str:
        """Carry it out; returns what came of it.

        Raises `CommandRefused`, and `ProgramFailed` for a node that does not come up.
        """
        try:
            match command:
                case NewDisk(node):
                    self._cluster.stop_node(node)
                    self._cluster.start_node(node, new_disk=True)
                    return f"{node} begins with an empty disk"
                case Takeover(to, loss=False):
                    moved = moving.switch(self._cluster.topology, to, by=BY)
                    return f"{moved.leader} leads in site {to}"
                case Takeover(to):
                    return self._promote(to)
        except (SwitchRefused, RegistryError, ControlError) as problem:
            raise CommandRefused(str(problem)) from problem

    def _promote(self, to: str) -> str:
        topology = self._cluster.topology
        done = Promotion(
            topology,
            to,
            by=BY,
            person=Vouching(self._cluster),
            keep=self._keep,
            say=lambda line: None,
        ).run()
        leader = moving.await_leader_in(topology, to, moving.WAIT_S, None)
        lacks = done.lost.words() if done.lost else "what nobody there could list"
        return f"{leader.node} leads in site {to}, without {lacks}"
