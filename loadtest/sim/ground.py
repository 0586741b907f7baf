"""What everybody in a world stands on: time, chance, wires, etcd, and whoever watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from loadtest.sim.coordination.etcd import SimEtcd
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.network import Network
from loadtest.sim.setup import Setup
from loadtest.sim.timeline import Dice, Timeline
from loadtest.sim.witness import Violation, Witness
from node.settings import Limits, Peer, Settings, Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.sim.happening import Listener
    from loadtest.sim.node import SimNode

CLUSTER: Final = "sim"
ETCD: Final = "etcd"
UNIX_AT_ZERO_MS: Final = 1_900_000_000_000
"""What honest wall clocks show when a day begins."""


@dataclass(slots=True)
class Ground:
    """One world's ground. `violation` is the first thing that should not have been."""

    setup: Setup
    dice: Dice
    listeners: Sequence[Listener]
    timeline: Timeline = field(default_factory=Timeline)
    witness: Witness = field(default_factory=Witness)
    nodes: dict[str, SimNode] = field(default_factory=dict)
    violation: Violation | None = None
    promoted_ms: float = -1.0  # when a site was last promoted with loss
    network: Network = field(init=False)
    etcd: SimEtcd = field(init=False)

    def __post_init__(self) -> None:
        setup = self.setup
        self.network = Network(self.timeline, self.dice, self.tell, setup.manners)
        self.etcd = SimEtcd(self.timeline, self.dice, self.tell, setup.etcd, cluster=CLUSTER)
        self.network.attach(self.etcd)

    def tell(self, told: Told) -> None:
        """Tell everybody who listens."""
        if isinstance(told, Happened):
            self.timeline.note(f"{told.kind} {told.who} {told.detail}")
            if told.kind is Kind.PROMOTED:
                self.promoted_ms = told.at_ms
        for listener in self.listeners:
            listener(told)

    def happened(self, kind: Kind, who: str, detail: str = "") -> None:
        """Tell everybody of something that happens now."""
        self.tell(Happened(self.timeline.now, kind, who, detail))

    def broken(self, invariant: str, words: str) -> None:
        """Something is that must not be: the day ends here."""
        if self.violation is None:
            self.violation = Violation(invariant, words)
            self.timeline.halt()

    def wall_ms(self, error_ms: float = 0.0) -> int:
        """What a wall clock shows that is wrong by so much."""
        return UNIX_AT_ZERO_MS + int(self.timeline.now + error_ms)

    def settings(self, node: str) -> Settings:
        """A node's settings; a host's name is its address."""
        setup, timings = self.setup, self.setup.timings
        return Settings(
            cluster=CLUSTER,
            node=node,
            site=setup.nodes[node],
            folder="",
            terminals=node,
            peers=f"{node}:peers",
            metrics="",
            etcd=(ETCD,),
            others=tuple(
                Peer(other, site, f"{other}:peers", other)
                for other, site in setup.nodes.items()
                if other != node
            ),
            timings=Timings(
                heartbeat_ms=timings.heartbeat_ms,
                suspicion_ms=timings.suspicion_ms,
                eviction_ms=timings.eviction_ms,
                etcd_deadline_ms=timings.etcd_deadline_ms,
                lease_ms=setup.lease_ms,
                handover_ms=timings.handover_ms,
                retransmit_ms=timings.retransmit_ms,
            ),
            limits=Limits(
                batch_commands=setup.batch_commands,
                batch_interval_ms=setup.batch_interval_ms,
                append_bytes=timings.append_bytes,
                entries_in_memory=timings.entries_in_memory,
                log_keep_entries=timings.log_keep_entries,
            ),
        )
