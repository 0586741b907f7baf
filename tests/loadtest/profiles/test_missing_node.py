"""Load at N-1: who is stopped, and that it comes back whatever happens."""

from __future__ import annotations

import signal
from typing import cast

import pytest

from deploy.lab.folder import ClusterError
from deploy.lab.ground import Ground
from deploy.topology import Topology, find
from loadtest.profiles.missing_node import follower, one_less


class Lab:
    """What `one_less` asks of a cluster, in memory."""

    def __init__(self, leader: str | None = "a1", running: str = "a1 a2 a3 b1 b2 b3") -> None:
        self.topology: Topology = find("renewed-3node")
        self.up = running.split()
        self._leader = leader
        self.done: list[str] = []

    def leader(self) -> str | None:
        return self._leader

    def await_leader(self) -> None:
        self.done.append("leader")

    def running(self) -> tuple[str, ...]:
        return tuple(self.up)

    def stop_node(self, name: str) -> None:
        self.up.remove(name)
        self.done.append(f"stop {name}")

    def start_node(self, name: str) -> None:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self.up.append(name)
        self.done.append(f"start {name}")


def ground(lab: Lab) -> Ground:
    return cast(Ground, lab)


@pytest.mark.parametrize(
    ("leader", "running", "chosen"),
    [
        ("a1", "a1 a2 a3 b1", "a2"),
        ("a2", "a1 a2 a3 b1", "a1"),
        ("b2", "a1 a2 a3 b1 b2 b3", "b1"),
        ("a1", "a1 b1 b2", "b1"),
    ],
)
def test_a_follower_at_the_leaders_site_is_chosen_if_there_is_one(
    leader: str, running: str, chosen: str
) -> None:
    assert follower(ground(Lab(leader, running))) == chosen


@pytest.mark.parametrize(("leader", "running"), [(None, "a1 a2"), ("a1", "a2 a3"), ("a1", "a1")])
def test_where_nobody_can_be_spared_nobody_is_stopped(leader: str | None, running: str) -> None:
    lab = Lab(leader, running)
    with pytest.raises(ClusterError), one_less(ground(lab), lambda line: None):
        pass
    assert lab.done == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_it_comes_back_whatever_happens(problem: type[BaseException]) -> None:
    lab, before = Lab(), signal.getsignal(signal.SIGINT)
    with pytest.raises(problem), one_less(ground(lab), lambda line: None):
        raise problem
    assert lab.done == ["stop a2", "leader", "start a2"]
    assert signal.getsignal(signal.SIGINT) is before
