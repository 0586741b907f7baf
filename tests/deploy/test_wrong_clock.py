"""A leader whose clock is wrong by an hour: it goes on leading, and only its date is another."""

from __future__ import annotations

import json
import time
from pathlib import Path

from deploy.control import Control
from deploy.lab.processes import Cluster
from tests.deploy.small import topology

WITHIN_S = 30.0
HOUR_S = 3600


def test_a_leader_whose_clock_jumps_leads_and_hands_over(tmp_path: Path) -> None:
    with Cluster(topology("clock"), tmp_path, owned=True, movable_clocks=True) as cluster:
        before = cluster.start()
        cluster.set_clock(before, HOUR_S)
        time.sleep(3.0)  # it is seen within two seconds, and no lease may run out meanwhile
        assert cluster.leader() == before
        with Control(cluster.control_endpoints()[before]) as control:
            assert control.handover().started
        after = serving(cluster, before)
        assert HOUR_S - 60 < ahead_s(cluster, before, "follower") < HOUR_S + 60
        assert abs(ahead_s(cluster, after, "serving")) < 60


def serving(cluster: Cluster, before: str) -> str:
    """Wait until another node than `before` leads."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        leader = cluster.leader()
        if leader not in (None, before):
            return str(leader)
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_S:.0f} s: {cluster.log(before).read_text()}")


def ahead_s(cluster: Cluster, node: str, event: str) -> float:
    """How far ahead of ours the clock was by which a node stamped its latest event of this kind."""
    lines = [json.loads(line) for line in cluster.log(node).read_text().splitlines()]
    latest = [line["at_ms"] for line in lines if line["event"] == event][-1]
    return float(latest) / 1000 - time.time()
