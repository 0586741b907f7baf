"""What a day is like before anything goes wrong: who stands where, and how fast everything is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.settings import Switching
from loadtest.sim.network import Manners
from node.core import Timings

WITNESS = "w"
"""The third place (X5): a coordinator stands there, and no node."""


@dataclass(frozen=True, slots=True)
class DiskManners:
    """How fast disks sync, in milliseconds; `stall`: the share of syncs that take up to
    `stall_ms`."""

    least_ms: float = 0.5
    most_ms: float = 4.0
    stall: float = 0.005
    stall_ms: float = 150.0


@dataclass(frozen=True, slots=True)
class EtcdManners:
    """How etcd treats requests: `answer_lost` is the share of requests that take effect unheard,
    `late` that of requests that take effect when their sender has long given them up. `slack_ms`:
    a lease may outlive its time by so much, and a watch may lag by `watch_ms`."""

    least_ms: float = 0.5
    most_ms: float = 6.0
    answer_lost: float = 0.01
    late: float = 0.01
    late_ms: float = 3_000.0
    slack_ms: float = 800.0
    watch_ms: float = 40.0


@dataclass(frozen=True, slots=True)
class Setup:
    """One day's cluster, its terminals, and how long its two phases last (virtual milliseconds).

    `sites` maps each site to its nodes' names; the first site is active at the beginning. In the
    liveness phase (`calm_ms`) nothing goes wrong any more.
    """

    sites: Mapping[str, tuple[str, ...]]
    copies_min: int
    timings: Timings
    lease_ms: int = 3_000
    switching: Switching = field(default_factory=Switching)
    manners: Manners = field(default_factory=Manners)
    disk: DiskManners = field(default_factory=DiskManners)
    etcd: EtcdManners = field(default_factory=EtcdManners)
    terminals: int = 6
    rate: float = 12.0  # payments a second, of all terminals together
    batch_commands: int = 64
    batch_interval_ms: float = 20.0
    safety_ms: float = 20_000.0
    calm_ms: float = 15_000.0

    @property
    def nodes(self) -> dict[str, str]:
        """Every node and its site."""
        return {node: site for site, nodes in self.sites.items() for node in nodes}

    @property
    def places(self) -> tuple[str, ...]:
        """Where coordinators stand; nowhere if there is but one site."""
        return (*self.sites, WITNESS) if len(self.sites) > 1 else ()
