"""What a cluster may hope for with the disks it has left.

The protocol promises nothing to a cluster that has lost more disks than a takeover may miss: it
stands still, by design, until people decide. Such a day is judged by what must always hold, and
not by whether it comes right again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from coordinator.configuration import (
    Configuration,
    ReplicaId,
    is_takeover_quorum,
    is_write_quorum,
)

if TYPE_CHECKING:
    from loadtest.sim.world import World


def must_recover(world: World) -> str:
    """Why the cluster need not come right again once faults stop, in words; "" where it must."""
    configuration, _ = world.configuration()
    if configuration is None:
        return ""
    return forlorn(configuration, disks(world))


def disks(world: World) -> set[ReplicaId]:
    """The replicas whose disks are there, and will be accepted when their nodes begin again."""
    return {
        ReplicaId(name, node.disk.disk_id)
        for name, node in world.nodes.items()
        if node.up or not node.disk.lied
    }


def forlorn(configuration: Configuration, there: Collection[ReplicaId]) -> str:
    """Why the replicas `there`, all of them running and connected, cannot be sure to settle
    anything in `configuration`; "" where they can.

    They need a takeover quorum of the active site (T4), and then a write quorum, or the leave to
    evict all that are not there (S5, S6).
    """
    site = configuration.active_site
    left = {
        each: frozenset(members.intersection(there))
        for each, members in configuration.in_sync.items()
    }
    counting = f"{len(left[site])} of the {len(configuration.active_set)} disks that count"
    if not is_takeover_quorum(configuration, site, there):
        return f"{counting} in the active site {site} are left: nobody may take over"
    if is_write_quorum(configuration, there):
        return ""
    kept = configuration
    for each, members in left.items():
        kept = kept.with_set(each, members)
    if kept.copies() < configuration.copies_min:
        return (
            f"{counting} in the active site {site} are left, {len(kept.members)} in all: "
            f"fewer copies than {configuration.copies_min}, so nobody may be evicted"
        )
    return ""
