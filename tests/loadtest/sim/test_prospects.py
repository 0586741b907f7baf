"""How many disks a cluster may lose before nothing can be expected of it."""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from loadtest.sim.weather.prospects import forlorn, must_recover
from tests.loadtest.sim.stage import Stage, configuration


def _there(names: str) -> set[ReplicaId]:
    return {ReplicaId(name, "disk1") for name in names.split()}


def test_with_every_disk_it_goes_on() -> None:
    assert forlorn(configuration(), _there("a1 a2 a3 b1 b2 b3")) == ""


def test_without_the_standby_it_goes_on() -> None:
    assert forlorn(configuration(), _there("a1 a2 a3")) == ""


def test_two_of_three_may_take_over() -> None:
    assert forlorn(configuration(), _there("a2 a3 b1 b2 b3")) == ""


def test_one_of_three_may_not() -> None:
    assert "nobody may take over" in forlorn(configuration(), _there("a3 b1 b2 b3"))


def test_one_of_two_may_take_over_but_not_evict_below_copies_min() -> None:
    alone = configuration(a="a1 a2", b="")
    assert "fewer copies than 2" in forlorn(alone, _there("a1"))
    assert forlorn(configuration(a="a1 a2"), _there("a1 b1 b2 b3")) == ""


def test_another_disk_of_the_same_node_is_no_member() -> None:
    there = _there("a3 b1 b2 b3") | {ReplicaId("a1", "disk2"), ReplicaId("a2", "disk2")}
    assert forlorn(configuration(), there) != ""


def test_a_disk_that_lied_counts_while_its_process_runs() -> None:
    stage = Stage()
    for name in ("a1", "a2"):
        stage.nodes[name].disk.lied = True
    assert must_recover(stage.world) == ""
    for name in ("a1", "a2"):
        stage.nodes[name].crash()
    assert "nobody may take over" in must_recover(stage.world)


def test_before_there_is_a_configuration_there_is_nothing_to_lose() -> None:
    stage = Stage()
    stage.record = None
    assert must_recover(stage.world) == ""
