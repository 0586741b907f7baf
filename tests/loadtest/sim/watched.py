"""The core's in-memory world, told to listeners as a simulated day is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.sim.happening import Happened, Kind, Listener, Step, glance
from node.core import Timings
from node.core.inputs import Input
from node.core.outputs import Output
from node.ledger.commands import encode_batch
from tests.node.core.world import World

TIMINGS = Timings(
    heartbeat_ms=50,
    suspicion_ms=200,
    eviction_ms=400,
    etcd_deadline_ms=200,
    handover_ms=200,
    retransmit_ms=100,
    append_bytes=200,
    appends_under_way=3,
    entries_in_memory=4,
    log_keep_entries=2,
)
"""Short, and memory and disk so small that the log leaves them all the time."""


class Watched(World):
    """Every step, crash, restart, pause and lost disk is told to `listeners`."""

    def __init__(
        self, sites: Mapping[str, Sequence[str]], *listeners: Listener, copies_min: int = 1
    ) -> None:
        self.listeners = listeners
        self.stamp_ms = 1_000
        super().__init__(sites, copies_min=copies_min, timings=TIMINGS)

    def tell(self, kind: Kind, who: str, detail: str = "") -> None:
        """Tell the listeners that something happened."""
        for listener in self.listeners:
            listener(Happened(self.now, kind, who, detail))

    def step(self, name: str, input: Input) -> Output:
        """See `World.step`."""
        replica = self.replica(name)
        before = glance(replica)
        output = super().step(name, input)
        told = Step(self.now, name, self.nodes[name].life, input, before, glance(replica), output)
        for listener in self.listeners:
            listener(told)
        return output

    def propose(self, name: str, payload: bytes = b"") -> int:
        """A batch as an intake makes it, but of no commands."""
        return super().propose(name, payload or encode_batch(self.stamp_ms, ()))

    def crash(self, name: str, *, refuse: bool = False) -> None:
        """See `World.crash`."""
        super().crash(name, refuse=refuse)
        self.tell(Kind.CRASH, name)

    def restart(self, name: str) -> None:
        """See `World.restart`."""
        super().restart(name)
        self.tell(Kind.RESTART, name)

    def pause(self, name: str) -> None:
        """See `World.pause`."""
        super().pause(name)
        self.tell(Kind.PAUSE, name)

    def lose_disk(self, name: str) -> None:
        """See `World.lose_disk`."""
        super().lose_disk(name)
        self.tell(Kind.DISK_LOST, name)

    def work(self, count: int = 8) -> None:
        """The leader settles so many batches, each at a later time."""
        for _ in range(count):
            self.stamp_ms += 20
            self.propose(self.serving()[0])
            self.run(20)
