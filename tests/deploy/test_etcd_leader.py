"""deploy/lab/etcd_leader: which member leads, also after that one was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from deploy.lab.etcd_leader import leader
from deploy.topology import EtcdMember
from tests.etcd_cluster import EtcdCluster

WITHIN_S = 20.0


def test_the_leader_is_known_and_so_is_its_successor(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path) as cluster:
        members = [
            EtcdMember(f"m{number}", "a", at, "") for number, at in enumerate(cluster.endpoints)
        ]
        first = until(members, lambda name: name != "")
        cluster.kill(int(first[1:]))
        second = until(members, lambda name: name not in ("", first))
        cluster.kill(int(second[1:]))
        # One of three leads nobody.
        assert until(members, lambda name: name == "") == ""


def test_where_nobody_answers_nobody_leads() -> None:
    assert leader([EtcdMember("e1", "a", "127.0.0.1:1", "")], timeout_s=0.2) == ""


def until(members: list[EtcdMember], met: Callable[[str], bool]) -> str:
    """The leader as soon as this is true of it."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        found = leader(members)
        if met(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {WITHIN_S:.0f} s")
