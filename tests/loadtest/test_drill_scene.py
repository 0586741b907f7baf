"""Faults are done to the right things, and undone in the reverse order, whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from deploy.control import NodeStatus
from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from loadtest.drill.grounds import CannotBeDone, Ground, Loopback
from loadtest.drill.lookout import DrillFailed, Lookout
from loadtest.drill.scene import Scene
from loadtest.faults import AnyFault, Cut, Isolate, Kill, LoseDisk, Pause, Stop
from tests.deploy.small import two_sites
from tests.loadtest.test_drill_look import WHOLE

LEADER = replace(WHOLE, in_sync=("a1/d", "a2/d"), standby_in_sync=("b1/d", "b2/d"))


class FakeCluster:
    """Writes down what is done to it; `broken` names what fails."""

    def __init__(self, folder: Path) -> None:
        self.topology = two_sites()
        self.done: list[str] = []
        self.broken = ""
        self._folder = folder

    def terminal_endpoints(self) -> dict[str, str]:
        return {node.name: node.terminals for node in self.topology.nodes}

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def lose_disk(self, name: str) -> Path:
        self.done.append(f"lose_disk {name}")
        return self._folder / "aside"

    def __getattr__(self, name: str) -> object:
        def act(target: str) -> None:
            if f"{name} {target}" == self.broken:
                raise ClusterError(f"{target} is not running")
            self.done.append(f"{name} {target}")

        return act


class FakeGround:
    """Writes down what is cut."""

    def __init__(self, done: list[str]) -> None:
        self._done = done

    def cut_sites(self) -> None:
        self._done.append("cut_sites")

    def isolate(self, site: str) -> None:
        self._done.append(f"isolate {site}")

    def restore(self) -> None:
        self._done.append("restore")


class FakeLookout:
    """Always sees the same leader."""

    def statuses(self) -> dict[str, NodeStatus | None]:
        return {"a1": LEADER, "b1": replace(LEADER, node="b1", role="follower", last_index=70)}

    def leader(self) -> NodeStatus | None:
        return LEADER


class Stage:
    """A scene on a fake cluster."""

    def __init__(self, folder: Path, *, loopback: bool = False) -> None:
        self.cluster = FakeCluster(folder)
        self.notes: list[str] = []
        ground = Loopback(self.cluster.topology) if loopback else FakeGround(self.cluster.done)
        self.scene = Scene(
            cast("Cluster", self.cluster),
            cast("Ground", ground),
            cast("Lookout", FakeLookout()),
            self.note,
        )

    def note(self, what: str, detail: str = "") -> None:
        self.notes.append(f"{what}: {detail}")

    def play(self, *faults: AnyFault) -> list[str]:
        for fault in faults:
            self.scene.do(fault)
        return self.cluster.done


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize(
    ("fault", "done", "healed"),
    [
        (Kill("active-site"), ["kill_site a"], ["start_site a"]),
        (Kill("standby-site"), ["kill_site b"], ["start_site b"]),
        (Stop("site:witness"), ["stop_site witness"], ["start_site witness"]),
        (Kill("standby-node"), ["kill_node b1"], ["start_node b1"]),
        (Kill("leader"), ["kill_node a1"], ["start_node a1"]),
        (LoseDisk("follower"), ["kill_node a2", "lose_disk a2"], ["start_node a2"]),
        (Pause("etcd-member"), ["pause_etcd e1"], ["resume_etcd e1"]),
        (Cut("between-sites"), ["cut_sites"], ["restore"]),
        (Isolate("active-site"), ["isolate a"], ["restore"]),
    ],
)
def test_a_fault_and_its_healing(
    stage: Stage, fault: AnyFault, done: list[str], healed: list[str]
) -> None:
    assert stage.play(fault) == done
    stage.scene.heal(everything=False)
    assert stage.cluster.done == done + healed


def test_what_is_done_together_is_healed_together_and_the_last_first(stage: Stage) -> None:
    stage.play(Kill("standby-node"), Pause("all-etcd"))
    stage.cluster.done.clear()
    stage.scene.heal(everything=False)
    assert stage.cluster.done == ["resume_etcd e3", "resume_etcd e2", "resume_etcd e1"]
    stage.scene.heal(everything=True)
    assert stage.cluster.done[-1] == "start_node b1"


def test_the_second_victim_at_the_standby_is_another_one(stage: Stage) -> None:
    assert stage.play(Kill("standby-node"), Kill("standby-node")) == [
        "kill_node b1",
        "kill_node b2",
    ]


def test_nobody_is_hurt_at_a_site_that_is_down(stage: Stage) -> None:
    stage.play(Kill("active-site"), Pause("etcd-member"))
    assert stage.cluster.done == ["kill_site a", "pause_etcd e2"]


def test_where_the_absent_node_stood_and_where_its_log_ended_are_remembered(stage: Stage) -> None:
    stage.cluster.log("b1").write_text("before\n")
    stage.play(Kill("standby-node"))
    assert stage.scene.absent_index == 70
    stage.scene.heal(everything=False)
    assert (stage.scene.returned, stage.scene.returned_log) == ("b1", 7)


def test_everything_is_healed_at_the_end_also_after_one_healing_failed(stage: Stage) -> None:
    stage.play(Isolate("active-site"), Kill("standby-node"), Pause("e1"))
    stage.cluster.broken = "start_node b1"
    stage.cluster.done.clear()
    stage.scene.heal_whatever_happened()
    assert stage.cluster.done == ["resume_etcd e1", "restore"]
    assert any(words.startswith("could not start b1") for words in stage.notes)


def test_what_the_ground_or_the_target_does_not_allow_is_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, loopback=True)
    with pytest.raises(DrillFailed, match="netns"):
        stage.play(Cut("between-sites"))
    stage.scene.heal_whatever_happened()
    for fault in (Pause("active-site"), Cut("leader"), Isolate("a1")):
        with pytest.raises(DrillFailed):
            stage.play(fault)


def test_a_ground_says_why_it_cannot() -> None:
    with pytest.raises(CannotBeDone):
        Loopback(two_sites()).isolate("a")
