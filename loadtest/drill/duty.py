"""The people on duty during a drill: what the runbooks (docs/operations) ask of them, and no more.

They watch whether settling goes on by itself. Where it does not, and the standby does not take over
by itself either, they decide, and let it; what was given up so comes back with new disks. Every
command that they type is one event, which is what a drill counts as an operator's step.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coordinator.settings import Mode
from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest.drill.hands import Command, CommandRefused, Hands, NewDisk
from loadtest.drill.lookout import Lookout, Note
from loadtest.drill.steps import OnDuty
from loadtest.faults import NEEDS_NETWORK, AnyFault

OPERATOR: Final = "operator"
"""The event of one command that a person typed; its detail is the command."""

SEEN: Final = "on duty"
"""The event of anything else that the people on duty saw, or decided."""

_LOOK_EVERY_S: Final = 0.5
_GOES_ON: Final = 2
"""So many looks in a row must find more settled than the one before: one could be what was left."""

_COUNTED_S: Final = 15.0
"""So long a node with a new disk may take until it counts, before the next one gets its own."""


class Way(enum.StrEnum):
    """How settling can come back where it has stopped; the value is what goes on record."""

    ONE_SITE = "there is no other site: only a repair helps"
    BY_ITSELF = "the standby takes over by itself, or nobody can help it"
    REPAIR = "the standby is not for failures of the network: only the repair helps"
    PEOPLE = "a person has to let the standby take over"


def way_back(topology: Topology, done: Sequence[AnyFault]) -> Way:
    """What the people on duty can wait for, or do, after these faults."""
    if len(topology.sites) < 2:
        return Way.ONE_SITE
    if topology.coordinators and topology.switching.mode is Mode.AUTOMATIC:
        return Way.BY_ITSELF
    of_network = bool(done) and all(isinstance(fault, NEEDS_NETWORK) for fault in done)
    if of_network and not topology.operators.network_failures:
        return Way.REPAIR
    return Way.PEOPLE


class Duty:
    """The people on duty at `cluster`. They look through `lookout`, `note` puts on record what they
    see and type, and lists of what is given up go into a folder below `keep`."""

    def __init__(
        self,
        cluster: Cluster,
        lookout: Lookout,
        note: Note,
        keep: Path,
        hands: Hands | None = None,
    ) -> None:
        self._topology = cluster.topology
        self._lookout = lookout
        self._note = note
        self._hands = hands or Hands(cluster, keep / "given-up")

    def act(self, step: OnDuty, done: Sequence[AnyFault]) -> None:
        """Do what has to be done now, `done` being the faults of this drill so far.

        Raises `ClusterError`, `ProgramFailed` where a program does not do as it is told.
        """
        began = time.monotonic()
        if not self._goes_on(began + step.within_s):
            way = way_back(self._topology, done)
            self._note(SEEN, f"settling has stopped; {way}")
            if way is Way.PEOPLE:
                self._let_take_over(began + self._topology.operators.decide_s)
        self._give_new_disks()

    # An outage ----------------------------------------------------------------------------------

    def _goes_on(self, until: float) -> bool:
        """Does more and more get settled, as seen before `until` at the latest?"""
        before: tuple[str, int, int] | None = None
        found = 0
        while True:
            leader = self._lookout.leader()
            now = (leader.node, leader.epoch, leader.settled) if leader else None
            same = before is not None and now is not None and now[:2] == before[:2]
            more = before is not None and now is not None and now[2] > before[2]
            found = found + 1 if same and more else 0
            if found == _GOES_ON:
                return True
            if time.monotonic() >= until:
                return False
            before = now
            time.sleep(_LOOK_EVERY_S)

    def _let_take_over(self, decided: float) -> None:
        if self._goes_on(decided):
            self._note(SEEN, "settling came back before anybody had decided")
            return
        try:
            self._type(self._hands.takeover(self._standby()))
        except CommandRefused as problem:
            self._note(SEEN, f"the standby cannot take over: {problem}")

    def _standby(self) -> str:
        """The site that does not settle, by whatever node still answers."""
        said = [each for each in self._lookout.statuses().values() if each and each.active_site]
        newest = max(said, key=lambda each: each.epoch, default=None)
        active = newest.active_site if newest else self._topology.active_site
        return next(site.name for site in self._topology.sites if site.name != active)

    # Afterwards ---------------------------------------------------------------------------------

    def _give_new_disks(self) -> None:
        """To the nodes that are back with a disk that was given up, one after the other."""
        leader = self._lookout.leader()
        if leader is None:
            return
        for name, status in self._lookout.statuses().items():
            if status is None or status.replica not in leader.given_up:
                continue
            try:
                self._type(NewDisk(name))
            except CommandRefused as problem:
                self._note(SEEN, f"{name} keeps its disk: {problem}")
                continue
            if not self._counts(name):
                self._note(SEEN, f"{name} does not count yet after {_COUNTED_S:.0f} s; going on")

    def _counts(self, name: str) -> bool:
        deadline = time.monotonic() + _COUNTED_S
        while time.monotonic() < deadline:
            leader = self._lookout.leader()
            if leader is not None and name in {each.partition("/")[0] for each in leader.counted}:
                return True
            time.sleep(_LOOK_EVERY_S)
        return False

    def _type(self, command: Command) -> None:
        self._note(OPERATOR, command.words)
        self._note(SEEN, self._hands.type(command))
