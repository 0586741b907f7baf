"""`kessai site`, `kessai events`, `kessai audit --continuous`: as typed, against fake nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import deploy.cli.options
from coordinator.recording import record as record_event
from coordinator.records import EventRecord
from deploy.cli import commands
from deploy.cli.sites import site
from deploy.topology import Topology
from deploy.written import ask
from kessai import main
from proto import control_pb2
from tests.deploy.fake_replica import FakeNode, FakeReplica, serving
from tests.deploy.test_giving_up import node
from tests.deploy.two_fakes import Two, status, two_sites
from tests.etcd_cluster import EtcdCluster


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(deploy.cli.options, "HOME", tmp_path / "home")
    return tmp_path / "home"


@contextmanager
def known(topology: Topology) -> Iterator[list[str]]:
    """The options that name this topology on the command line, which checks no port of it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(deploy.cli.options, "find", lambda name: topology)
    try:
        yield ["-t", "fakes"]
    finally:
        patch.undo()


def run(two: Two, *arguments: str, group: str = "site", typed: str | None = None) -> Result:
    with known(two.topology) as option:
        words = [group, *arguments[:1], *option, *arguments[1:]] if group == "site" else []
        return CliRunner().invoke(main, words or [group, *option, *arguments], input=typed)


def test_status_of_the_sites(etcd: EtcdCluster) -> None:
    with two_sites(etcd) as two:
        two.nodes["a1"].says.in_sync.extend(["a1/da1", "a2/da2", "a3/da3"])
        two.nodes["a1"].says.standby_in_sync.extend(["b1/db1", "b2/db2", "b3/db3"])
        result = run(two, "status")
        assert result.exit_code == 0, result.output
        assert f"{two.topology.cluster}: a1 leads epoch 5 in site a, in sync" in result.output
        sites = json.loads(run(two, "status", "--json").output)
        assert [each["role"] for each in sites] == ["active", "standby"]
        whole = run(two, "--json", group="status")
        assert json.loads(whole.output)["sites"] == sites


def test_a_switch_there_and_back(etcd: EtcdCluster) -> None:
    box: list[Two] = []

    def make(name: str) -> FakeNode:
        def switched(to: str) -> control_pb2.SwitchSiteReply:
            box[0].leads(f"{to}1", box[0].nodes[name].says.epoch + 4)
            return control_pb2.SwitchSiteReply(started=True, target=f"{to}1")

        return FakeNode(status(name, leads=name == "a1"), on_switch=switched)

    with two_sites(etcd, make) as two:
        box.append(two)
        there = run(two, "switch", "--to", "b")
        assert there.exit_code == 0, there.output
        assert "site a -> site b: b1 leads epoch 9 after " in there.output
        back = run(two, "switch-back")
        assert back.exit_code == 0, back.output
        assert "site b -> site a: a1 leads epoch 13 after " in back.output
        again = run(two, "switch-back")
        assert again.exit_code == 1
        assert "site a is the active one already" in again.output


def test_refusals_are_one_line(etcd: EtcdCluster) -> None:
    with two_sites(etcd, node, standby=()) as two:
        degraded = run(two, "switch", "--to", "b")
        assert degraded.exit_code == 1
        assert degraded.output.startswith("Error: site b is not in sync")
        assert run(two, "switch").exit_code == 2
        lonely = run(two, "switch", "--to", "b", "--confirm", "b")
        assert lonely.exit_code == 2
        assert "go with --allow-data-loss only" in lonely.output


def test_promotion_with_loss_asks_for_the_name(etcd: EtcdCluster, home: Path) -> None:
    with two_sites(etcd, node, standby=()) as two:
        refused = run(two, "switch", "--to", "b", "--allow-data-loss", typed="a\n")
        assert refused.exit_code == 1
        assert "site b lacks 5 settlements" in refused.output
        assert "Type the name of the site that takes over (b)" in refused.output
        assert "not confirmed" in refused.output

        two.nodes["b1"].on_fence = lambda count: two.leads("b1", 99)
        done = run(two, "switch", "--to", "b", "--allow-data-loss", typed="b\n")
        assert done.exit_code == 0, done.output
        assert "site a is given up" in done.output
        assert "lost: 3 settlements above index 42, 3 of them approved (JPY 300)" in done.output
        assert "b1 leads in site b, epoch 99" in done.output
        assert list((home / two.topology.cluster / "given-up").iterdir())


def test_a_script_says_beforehand_what_it_would_type(etcd: EtcdCluster) -> None:
    with two_sites(etcd, node, standby=(), silent=("a1", "a2", "a3")) as two:
        wrong = run(two, "switch", "--to", "b", "--allow-data-loss", "--confirm", "a")
        assert "not confirmed: site a stays active" in wrong.output
        half = run(two, "switch", "--to", "b", "--allow-data-loss", "--confirm", "b")
        assert half.exit_code == 1
        assert "not confirmed that site a is off" in half.output
        configuration = two.written().configuration
        assert configuration is not None
        assert configuration.active_site == "a"


def test_events(etcd: EtcdCluster) -> None:
    with two_sites(etcd) as two:
        for number in range(3):
            event = EventRecord(1000 + number, "a1", "a", "evicted", 5, 40 + number, f"no {number}")
            ask(two.topology, lambda reg, e=event: record_event(reg, two.topology.cluster, e))  # type: ignore[misc]
        lines = run(two, "-n", "2", group="events").output.splitlines()
        assert len(lines) == 2
        assert lines[1].endswith("a1 at a  evicted (epoch 5, index 42): no 2")
        document = json.loads(run(two, "--json", "-n", "1", group="events").output)
        assert msgspec.convert(document, EventRecord).why == "no 2"
        assert run(two, "-n", "0", group="events").output == ""


def test_events_are_followed(etcd: EtcdCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_sites(etcd) as two:

        def write(number: int) -> None:
            event = EventRecord(1000 + number, "a1", "a", "evicted", 5, 40, f"no {number}")
            ask(two.topology, lambda registry: record_event(registry, two.topology.cluster, event))

        rounds = iter((1, 2, 3))

        def instead_of_sleeping(seconds: float) -> None:
            number = next(rounds)
            if number == 3:
                raise KeyboardInterrupt
            write(number)

        write(0)
        monkeypatch.setattr("deploy.cli.history.time.sleep", instead_of_sleeping)
        lines = run(two, "--follow", group="events").output.splitlines()
        assert [line.rpartition(": ")[2] for line in lines[:3]] == ["no 0", "no 1", "no 2"]


def audited(endpoints: dict[str, str], *arguments: str) -> Result:
    patch = pytest.MonkeyPatch()
    patch.setattr("deploy.lab.processes.Cluster.control_endpoints", lambda cluster: endpoints)
    try:
        return CliRunner().invoke(main, ["audit", "--continuous", *arguments])
    finally:
        patch.undo()


def test_an_audit_that_goes_on() -> None:
    names = ("a1", "a2", "a3", "b1", "b2", "b3")
    with serving(*(FakeReplica(name) for name in names)) as endpoints:
        result = audited(endpoints, "--every", "0.1", "--for", "0.5")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert all(line.endswith("all 6 agree") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} rounds: all replicas agree"


def test_a_round_that_misses_a_replica_is_no_agreement() -> None:
    replicas = (FakeReplica("a1"), FakeReplica("a2"), FakeReplica("b1", applied=12))
    with serving(*replicas) as endpoints:
        result = audited(endpoints, "--for", "0")
    assert result.exit_code == 1
    first, last = result.output.splitlines()
    assert first.endswith("2 of 3 compared  NOT PROVEN  b1 stands at 12, not at 40")
    assert last == "0 of 1 rounds: all replicas agree"


def test_a_round_that_finds_another_history() -> None:
    with serving(FakeReplica("a1"), FakeReplica("b1", fork_at=30)) as endpoints:
        result = audited(endpoints, "--for", "0", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["ok"] is False


def test_every_command_is_mounted() -> None:
    assert {command.name for command in commands} <= set(main.commands)
    assert set(site.commands) == {"switch", "switch-back", "status"}
