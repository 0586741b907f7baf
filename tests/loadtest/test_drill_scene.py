"""Faults are done to the right things, and undone in the reverse order, whatever happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from deploy.control import NodeStatus
from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from loadtest.drill.grounds import Ground, Loopback
from loadtest.drill.lookout import DrillFailed, Lookout
from loadtest.drill.scene import Scene
from loadtest.drill.victims import NothingToHurt
from loadtest.faults import (
    AnyFault,
    Cut,
    FailingDisk,
    FullDisk,
    Isolate,
    Kill,
    LoseDisk,
    NetworkFault,
    NobodyToHurt,
    Pause,
    PortDown,
    SlowDisk,
    Start,
    Stop,
    SwitchDown,
    WrongClock,
)
from node.store.faults import DiskFault
from tests.deploy.small import two_sites
from tests.loadtest.test_drill_look import WHOLE

LEADER = replace(WHOLE, in_sync=("a1/d", "a2/d"), standby_in_sync=("b1/d", "b2/d"))


class FakeCluster:
    """Writes down what is done to it; `broken` names what fails, and how."""

    def __init__(self, folder: Path) -> None:
        self.topology = two_sites()
        self.done: list[str] = []
        self.broken: dict[str, BaseException] = {}
        self._folder = folder

    def terminal_endpoints(self) -> dict[str, str]:
        return {node.name: node.terminals for node in self.topology.nodes}

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def lose_disk(self, name: str) -> Path:
        self._act(f"lose_disk {name}")
        return self._folder / "aside"

    def kill(self, names: Iterable[str]) -> None:
        self._act(f"kill {' '.join(names)}")

    def start_node(self, name: str, *, new_disk: bool = False) -> None:
        self._act(f"start_node {name}{' with a new disk' if new_disk else ''}")

    def harm_disk(self, name: str, fault: DiskFault) -> None:
        told = {key: each for key, each in msgspec.to_builtins(fault).items() if each}
        self._act(f"harm_disk {name} {told}")

    def set_clock(self, name: str, offset_s: int) -> None:
        self._act(f"set_clock {name} {offset_s}")

    def __getattr__(self, name: str) -> object:
        return lambda target: self._act(f"{name} {target}")

    def _act(self, words: str) -> None:
        if words in self.broken:
            raise self.broken[words]
        self.done.append(words)


class FakeGround:
    """Writes down what is done to the network."""

    def __init__(self, done: list[str]) -> None:
        self._done = done

    def harm(self, fault: NetworkFault) -> str:
        self._done.append(f"harm {type(fault).__name__} {fault.target}")
        return ""

    def mend(self, fault: NetworkFault) -> None:
        self._done.append(f"mend {type(fault).__name__} {fault.target}")


class FakeLookout:
    """Sees `sees` as the leader."""

    sees: NodeStatus | None = LEADER

    def statuses(self) -> dict[str, NodeStatus | None]:
        return {"a1": LEADER, "b1": replace(LEADER, node="b1", role="follower", last_index=70)}

    def leader(self) -> NodeStatus | None:
        return self.sees


class Stage:
    """A scene on a fake cluster."""

    def __init__(self, folder: Path, *, loopback: bool = False) -> None:
        self.cluster = FakeCluster(folder)
        self.lookout = FakeLookout()
        self.notes: list[str] = []
        ground = Loopback(self.cluster.topology) if loopback else FakeGround(self.cluster.done)
        self.scene = Scene(
            cast("Cluster", self.cluster),
            cast("Ground", ground),
            cast("Lookout", self.lookout),
            self.note,
        )

    def note(self, what: str, detail: str = "") -> None:
        self.notes.append(f"{what}: {detail}")

    def play(self, *faults: AnyFault) -> list[str]:
        """What is done to play these."""
        for fault in faults:
            self.scene.do(fault)
        return self._taken()

    def heal(self, *, everything: bool = False) -> list[str]:
        """What is done to heal."""
        self.scene.heal(everything=everything)
        return self._taken()

    def heal_whatever_happened(self) -> list[str]:
        """What is done to heal at the end."""
        self.scene.heal_whatever_happened()
        return self._taken()

    def _taken(self) -> list[str]:
        done = list(self.cluster.done)
        self.cluster.done.clear()
        return done


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize(
    ("fault", "done", "healed"),
    [
        (Kill("active-site"), ["kill a1 a2 ca e1"], ["start_site a"]),
        (Kill("standby-site"), ["kill b1 b2 cb e2"], ["start_site b"]),
        (Stop("site:witness"), ["stop_site witness"], ["start_site witness"]),
        (Kill("standby-node"), ["kill b1"], ["start_node b1"]),
        (Kill("leader"), ["kill a1"], ["start_node a1"]),
        (LoseDisk("follower"), ["kill a2", "lose_disk a2"], ["start_node a2"]),
        (Pause("etcd-member"), ["pause_etcd e1"], ["resume_etcd e1"]),
        (Cut("between-sites"), ["harm Cut between-sites"], ["mend Cut between-sites"]),
        (Isolate("active-site"), ["harm Isolate site:a"], ["mend Isolate site:a"]),
        (
            SlowDisk("leader", delay_ms=300),
            ["harm_disk a1 {'slow_sync_ms': 300}"],
            ["mend_disk a1", "start_node a1"],
        ),
        (
            FullDisk("follower"),
            ["harm_disk a2 {'full': True}"],
            ["mend_disk a2", "start_node a2"],
        ),
        (
            FailingDisk("leader"),
            ["harm_disk a1 {'io_error': True}"],
            ["stop_node a1", "mend_disk a1", "start_node a1 with a new disk"],
        ),
        (WrongClock("leader", offset_s=3600), ["set_clock a1 3600"], ["set_clock a1 0"]),
    ],
)
def test_a_fault_and_its_healing(
    stage: Stage, fault: AnyFault, done: list[str], healed: list[str]
) -> None:
    assert stage.play(fault) == done
    assert stage.heal() == healed
    assert stage.heal_whatever_happened() == []


def test_what_is_done_together_is_healed_together_and_the_last_first(stage: Stage) -> None:
    stage.play(Kill("standby-node"), Pause("all-etcd"))
    assert stage.heal() == ["resume_etcd e3", "resume_etcd e2", "resume_etcd e1"]
    assert stage.heal(everything=True) == ["start_node b1"]


def test_several_are_killed_at_one_moment_and_nodes_come_back_last(stage: Stage) -> None:
    wanted = Kill("leader", also=("e3", "follower", "standby-site"))
    assert stage.play(wanted) == ["kill a1 a2 b1 b2 cb e2 e3"]
    assert stage.notes == [
        "kill a1, e3, a2, site:b: leader, e3, follower, standby-site",
    ]
    assert stage.scene.done == [Kill("a1"), Kill("e3"), Kill("a2"), Kill("site:b")]
    assert stage.heal() == ["start_etcd e3", "start_site b", "start_node a2", "start_node a1"]


def test_two_parts_at_one_moment_are_two_victims(stage: Stage) -> None:
    assert stage.play(Kill("standby-node", also=("standby-node",))) == ["kill b1 b2"]


def test_the_etcd_leader_is_asked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.lab.etcd_leader.leader", lambda members: "e1")
    assert stage.play(Kill("leader", also=("etcd-leader",))) == ["kill a1 e1"]
    assert stage.play(Pause("etcd-member")) == ["pause_etcd e2"]


def test_what_a_step_starts_again_needs_no_healing(stage: Stage) -> None:
    stage.play(Kill("active-site", also=("standby-site", "site:witness")))
    stage.lookout.sees = None  # the site that was active last is known all the same
    assert stage.play(Start("site:witness"), Start("standby-site")) == [
        "start_site witness",
        "start_site b",
    ]
    assert stage.heal(everything=True) == ["start_site a"]


def test_the_second_victim_at_the_standby_is_another_one(stage: Stage) -> None:
    assert stage.play(Kill("standby-node"), Kill("standby-node")) == ["kill b1", "kill b2"]


def test_nobody_is_hurt_at_a_site_that_is_down(stage: Stage) -> None:
    assert stage.play(Kill("active-site"), Pause("etcd-member")) == [
        "kill a1 a2 ca e1",
        "pause_etcd e2",
    ]


def test_where_the_absent_node_stood_and_where_its_log_ended_are_remembered(stage: Stage) -> None:
    stage.cluster.log("b1").write_text("before\n")
    stage.play(Kill("standby-node"))
    assert stage.scene.absent_index == 70
    stage.scene.heal(everything=False)
    assert (stage.scene.returned, stage.scene.returned_log) == ("b1", 7)


@pytest.mark.parametrize("problem", [ClusterError("b1 is not there"), OSError("no space left")])
def test_everything_is_healed_at_the_end_also_after_one_healing_failed(
    stage: Stage, problem: Exception
) -> None:
    stage.play(Isolate("active-site"), SlowDisk("standby-node", delay_ms=5), Pause("e1"))
    stage.cluster.broken["mend_disk b1"] = problem
    assert stage.heal_whatever_happened() == ["resume_etcd e1", "mend Isolate site:a"]
    assert f"could not mend b1: {problem}" in stage.notes


def test_an_interrupted_healing_is_done_at_the_next_call(stage: Stage) -> None:
    stage.play(Kill("standby-node"), WrongClock("leader", offset_s=-3600))
    stage.cluster.broken["set_clock a1 0"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.scene.heal_whatever_happened()
    stage.cluster.broken.clear()
    assert stage.heal_whatever_happened() == ["set_clock a1 0", "start_node b1"]


def test_a_fault_that_was_interrupted_is_healed(stage: Stage) -> None:
    stage.cluster.broken["kill a1 a2"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.scene.do(Kill("leader", also=("follower",)))
    assert stage.heal_whatever_happened() == ["start_node a2", "start_node a1"]


def test_what_the_ground_or_the_target_does_not_allow_is_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, loopback=True)
    with pytest.raises(DrillFailed, match="netns"):
        stage.play(Cut("between-sites"))
    stage.scene.heal_whatever_happened()
    with pytest.raises(DrillFailed, match="site:a: cannot be the target of pause"):
        stage.play(Pause("active-site"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (SwitchDown("switch-3"), "site a has no switch 3"),
        (PortDown("leader", switch=3), "site a has no switch 3"),
        (Kill("site:moon"), "no part is called 'site:moon'"),
        (Kill("follower", also=("follower",)), "no follower is left"),
    ],
)
def test_equipment_that_is_not_there_when_all_is_well_is_told_apart(
    stage: Stage, fault: AnyFault, words: str
) -> None:
    with pytest.raises(NothingToHurt, match=words) as caught:
        stage.scene.do(fault)
    assert isinstance(caught.value, DrillFailed)
    assert isinstance(caught.value, NobodyToHurt)
    assert stage.heal_whatever_happened() == []


def test_a_part_that_nobody_plays_at_this_moment_is_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.drill.victims._LEADER_WITHIN_S", 0.0)
    stage.lookout.sees = None
    with pytest.raises(DrillFailed, match="there is no leader") as caught:
        stage.scene.do(Kill("leader"))
    assert not isinstance(caught.value, NobodyToHurt)
