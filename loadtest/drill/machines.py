"""Faults of machines done to a real cluster, and mended: what becomes of the node, too."""

from __future__ import annotations

from deploy.lab.processes import Cluster
from loadtest.drill.lookout import Note
from loadtest.faults import FailingDisk, FullDisk, MachineFault, SlowDisk, WrongClock
from node.store.faults import DiskFault


def harm(cluster: Cluster, fault: MachineFault) -> None:
    """Do it to the machine of the node that is the target. Raises `ClusterError`."""
    match fault:
        case SlowDisk(target, delay_ms):
            cluster.harm_disk(target, DiskFault(slow_sync_ms=delay_ms))
        case FullDisk(target):
            cluster.harm_disk(target, DiskFault(full=True))
        case FailingDisk(target):
            cluster.harm_disk(target, DiskFault(io_error=True))
        case WrongClock(target, offset_s):
            cluster.set_clock(target, offset_s)


def mend(cluster: Cluster, fault: MachineFault, note: Note) -> None:
    """The machine is well again, and its node answers.

    A node whose disk failed vouches for nothing until it is started anew. Its disk is replaced, as
    the runbook has it: it comes back with an empty one, as another replica. All others go on by
    themselves. Raises `ClusterError` and `ProgramFailed`.
    """
    match fault:
        case WrongClock(target):
            cluster.set_clock(target, 0)
        case FailingDisk(target):
            cluster.stop_node(target)
            cluster.mend_disk(target)
            cluster.start_node(target, new_disk=True)
            note(f"{target} has a new disk", "the old one is kept aside")
        case SlowDisk(target) | FullDisk(target):
            cluster.mend_disk(target)
            cluster.start_node(target)
