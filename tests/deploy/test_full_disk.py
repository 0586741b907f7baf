"""A standby whose disk fills: it vouches for nothing, waits for room, and returns by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from deploy.audit import audit
from deploy.control import Control, NodeStatus, leader_of
from deploy.lab.processes import Cluster
from node.store.faults import DiskFault
from tests.deploy.small import two_sites

WITHIN_S = 30.0


def test_a_standby_with_a_full_disk_waits_for_room_and_comes_back(tmp_path: Path) -> None:
    with Cluster(two_sites("full"), tmp_path, owned=True, faulty_disks=True) as cluster:
        cluster.start()
        pid = cluster.pid("b2")
        cluster.harm_disk("b2", DiskFault(full=True))
        hand_over(cluster)  # the new leader's first entry is a write for everybody
        until(cluster, lambda leader: len(leader.standby_in_sync) == 1)
        until(cluster, lambda leader: "waiting for room" in cluster.log("b2").read_text())
        assert "the disk is full" in cluster.log("b2").read_text()

        hand_over(cluster)  # settling goes on without it
        cluster.mend_disk("b2")
        until(cluster, lambda leader: len(leader.standby_in_sync) == 2)
        assert cluster.pid("b2") == pid, "nobody had to start it again"
        found = audit(cluster.control_endpoints())
        assert found.ok, found
        assert len(found.replicas) == 4


def hand_over(cluster: Cluster) -> None:
    """Another leader, and with it another entry."""
    before = until(cluster, lambda leader: True)
    with Control(cluster.control_endpoints()[before.node]) as control:
        assert control.handover().started
    until(cluster, lambda leader: leader.epoch > before.epoch)


def until(cluster: Cluster, met: Callable[[NodeStatus], bool]) -> NodeStatus:
    """Wait until a leader serves of which this is true."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        leader = leader_of(cluster.statuses(timeout_s=1.0))
        if leader is not None and met(leader):
            return leader
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_S:.0f} s; b2: {cluster.log('b2').read_text()}")
