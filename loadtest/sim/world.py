"""The cluster, its terminals and its operators, put together; and the attendants who put right what
broke: they restart, replace and mend as the runbooks tell them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from coordinator.configuration import Configuration
from loadtest.history import History, Line, gathered
from loadtest.sim.ground import Ground
from loadtest.sim.happening import Happened, Kind, Listener, Told
from loadtest.sim.network import Host
from loadtest.sim.node import SimNode
from loadtest.sim.people.desk import Desk
from loadtest.sim.people.headquarters import Headquarters
from loadtest.sim.people.places import SimWatch
from loadtest.sim.people.terminals import SimTerminal
from loadtest.sim.setup import Setup
from loadtest.sim.timeline import Dice
from node.store import FULL

_OPENING_MS: Final = 600.0
"""When the terminals are switched on: the cluster is being initialised then."""

_ATTENDED_MS: Final = (800.0, 4_000.0)
"""How long it takes until somebody attends to a node that fell silent: least and most."""


class World:
    """One day's world, from one seed; `listeners` are told of everything that happens in it."""

    def __init__(self, seed: int, setup: Setup, listeners: Sequence[Listener] = ()) -> None:
        self.setup = setup
        self.ground = Ground(setup, Dice(seed), (*listeners, self._attend))
        self.timeline = self.ground.timeline
        self.dice = self.ground.dice
        self.network = self.ground.network
        self.etcd = self.ground.etcd
        self.witness = self.ground.witness
        self.tell = self.ground.tell
        self.nodes = self.ground.nodes
        for name in setup.nodes:
            self.nodes[name] = SimNode(name, self.ground)
            self.network.attach(self.nodes[name])
        self.lines: list[Line] = []
        self.desk = Desk(self.ground)
        self.watches = {place: SimWatch(place, self.ground) for place in setup.places}
        self.terminals = [
            SimTerminal(number, self.ground, self.lines.append) for number in range(setup.terminals)
        ]
        self.headquarters = Headquarters(self.ground, self.lines)
        hosts: list[Host] = [self.desk, self.headquarters, *self.watches.values(), *self.terminals]
        for host in hosts:
            self.network.attach(host)

    # -- the day ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Switch everything on; somebody initialises the cluster (E1)."""
        for node in self.nodes.values():
            node.start()
        self.desk.initialise()
        for watch in self.watches.values():
            watch.start()
        self.headquarters.start()
        for terminal in self.terminals:
            self.timeline.at(_OPENING_MS, terminal.start, f"{terminal.name} is switched on")

    def run(self, until_ms: float) -> None:
        """Let the time pass. Raises `Violation` if something is that must not be, `Defect` if a
        program raised what nobody caught."""
        self.timeline.run(until_ms)
        if self.ground.violation is not None:
            raise self.ground.violation

    def heal(self) -> None:
        """Calm: nothing goes wrong any more, and everybody is there again."""
        self.network.mend()
        self.network.recover()
        self.network.manners = replace(self.network.manners, loss=0.0, repeat=0.0)
        self.etcd.manners = replace(self.etcd.manners, answer_lost=0.0, late=0.0)
        self.etcd.back()
        for node in self.nodes.values():
            node.clock_error_ms, node.clock_rate = 0.0, 1.0
            node.disk.repair()
            node.returns = True
            node.wake()
            node.start()
        for watch in self.watches.values():
            watch.wake()
            watch.start()
        self.ground.happened(Kind.PHASE, "the world", "calm")

    def close(self) -> None:
        """The day is over: whatever still runs ends, and leaves nothing behind."""
        for host in self.network.hosts.values():
            if host.loop is not None:
                host.loop.kill()

    # -- looking at it ---------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """What the terminals intended and heard so far."""
        return gathered(self.lines)

    def configuration(self) -> tuple[Configuration | None, int]:
        """As etcd has it, with its revision."""
        return self.etcd.configuration()

    def leader(self) -> str:
        """The node that holds the leader key, "" for nobody."""
        record, _ = self.etcd.leader()
        return record.node if record is not None else ""

    # -- attendants ------------------------------------------------------------------------------

    def _attend(self, told: Told) -> None:
        """Somebody sees to a node whose replica fell silent: a disk that was given up is put aside,
        any other node is begun again."""
        if not isinstance(told, Happened) or told.kind is not Kind.SILENT or FULL in told.detail:
            return
        node, life = self.nodes[told.who], self.nodes[told.who].life
        given_up = "given up" in told.detail

        def put_right() -> None:
            if node.life != life or not node.up:
                return
            if given_up:
                node.lose_disk()
            else:
                node.crash("begun again by its operator")
            node.start()

        wait = self.dice.of("attendants").uniform(*_ATTENDED_MS)
        self.timeline.after(wait, put_right, f"somebody attends to {node.name}")
