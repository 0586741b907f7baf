"""deploy/lab/processes: a cluster of real etcd members and stub nodes, started, hurt, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.addresses import split
from deploy.lab import etcd_member
from deploy.lab.folder import ClusterError
from deploy.lab.ports import PortBusy, check_free
from deploy.lab.processes import Cluster
from deploy.lab.program import Program, ProgramFailed
from tests.deploy import small

ALL = ("e1", "e2", "e3", "a1", "a2", "a3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests that put back what they break."""
    with small.stub_cluster(tmp_path_factory.mktemp("cluster")) as made:
        assert made.start() == "a1"
        yield made


def test_everything_runs_and_answers(cluster: Cluster) -> None:
    assert cluster.running() == ALL
    assert all(cluster.statuses().values())
    assert all(etcd_member.healthy(each) for each in cluster.topology.etcd_endpoints)
    assert list(cluster.terminal_endpoints()) == ["a1", "a2", "a3"]
    assert cluster.metrics_endpoints()["a2"] == cluster.topology.nodes[1].metrics
    assert "a2 serves" in cluster.log("a2").read_text()


def test_a_later_process_attaches(cluster: Cluster) -> None:
    later = Cluster.attach(cluster.root)
    assert later.topology == cluster.topology
    assert later.pid("a2") == cluster.pid("a2")
    assert later.leader() == "a1"


def test_nobody_else_may_start_or_stop_an_owned_cluster(cluster: Cluster) -> None:
    other = Cluster.attach(cluster.root)
    for attempt in (other.start, other.stop, other.clear):
        with pytest.raises(ClusterError, match=f"in the hands of process {os.getpid()} "):
            attempt()
    assert cluster.running() == ALL


def test_kill_and_start_a_node(cluster: Cluster) -> None:
    before = cluster.pid("a2")
    cluster.kill(["a2"])
    assert cluster.pid("a2") is None
    assert cluster.statuses()["a2"] is None
    with pytest.raises(ClusterError, match="not running: a2"):
        cluster.kill(["a2"])
    cluster.start_node("a2")
    assert cluster.pid("a2") not in (None, before)
    assert cluster.statuses()["a2"] is not None


def test_pause_and_resume_a_node(cluster: Cluster) -> None:
    cluster.pause_node("a3")
    assert cluster.statuses(timeout_s=0.3)["a3"] is None
    assert "a3" in cluster.running()
    cluster.resume_node("a3")
    assert cluster.statuses(timeout_s=10.0)["a3"] is not None


def test_kill_pause_and_start_etcd_members(cluster: Cluster) -> None:
    cluster.kill(["e1"])
    cluster.pause_etcd("e2")
    third = cluster.topology.etcd[2].client
    assert not etcd_member.healthy(third, timeout_s=3.0)
    cluster.resume_etcd("e2")
    cluster.start_etcd("e1")
    cluster.await_etcd()
    assert etcd_member.healthy(third)


def test_start_again_starts_what_is_missing(cluster: Cluster) -> None:
    kept = cluster.pid("a1")
    cluster.stop_node("a3")
    assert cluster.start() == "a1"
    assert cluster.running() == ALL
    assert cluster.pid("a1") == kept


def test_an_unknown_name(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no 'b9' here; expected one of "):
        cluster.kill(["b9"])


def test_a_node_that_does_not_start_shows_why_and_leaves_nothing(tmp_path: Path) -> None:
    cluster = small.stub_cluster(tmp_path, owned=False)
    (tmp_path / "data" / "a2").mkdir(parents=True)
    (tmp_path / "data" / "a2" / "refuse").touch()
    with pytest.raises(ProgramFailed, match=r"a2 ended while .*\n.*chain hash of entry 12"):
        cluster.start()
    assert cluster.running() == ()


def test_a_busy_port_is_named_with_its_holder(tmp_path: Path) -> None:
    made_of = small.topology()
    address = made_of.nodes[1].metrics
    with socket.create_server(split(address)):
        with pytest.raises(PortBusy) as caught:
            small.stub_cluster(tmp_path, made_of).start()
        assert f"{address} (metrics of a2): held by process {os.getpid()} " in str(caught.value)
    check_free([("metrics of a2", address)])


def test_another_topology_while_one_runs(tmp_path: Path) -> None:
    first = small.stub_cluster(tmp_path, owned=False)
    other = Cluster(
        msgspec.structs.replace(first.topology, copies_min=1),
        tmp_path,
        command=small.stub_command,
        initialise=lambda made: None,
    )
    try:
        first.start()
        with pytest.raises(ClusterError, match="runs a cluster of another topology"):
            other.start()
        assert first.running() == ALL
    finally:
        first.stop()
    assert first.running() == ()


def test_nothing_was_started_here(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no cluster was started in"):
        Cluster.attach(tmp_path)


OWNER = """
import sys, time
from pathlib import Path
import msgspec
from deploy.topology import Topology
from tests.deploy import small
made_of = msgspec.json.decode(sys.stdin.buffer.readline(), type=Topology)
cluster = small.stub_cluster(Path(sys.argv[1]), made_of, owned=sys.argv[2] == "owned")
cluster.start()
print("up", flush=True)
time.sleep(600)
"""


def start_elsewhere(root: Path, how: str) -> subprocess.Popen[bytes]:
    """A process that starts a cluster below `root` and then does nothing."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(root), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write(msgspec.json.encode(small.topology()) + b"\n")
    owner.stdin.flush()
    assert owner.stdout.readline() == b"up\n"
    return owner


def test_an_owned_cluster_ends_with_its_killed_owner(tmp_path: Path) -> None:
    owner = start_elsewhere(tmp_path, "owned")
    cluster = Cluster.attach(tmp_path)
    assert cluster.running() == ALL
    programs = [Program(name, tmp_path) for name in ALL]
    owner.kill()
    owner.communicate()
    assert all(program.wait(timeout_s=20.0) for program in programs)
    # What a crashed run left on disk is no hindrance to the next one.
    cluster.clear()
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "log").exists()


def test_a_cluster_that_is_not_owned_goes_on_without_its_starter(tmp_path: Path) -> None:
    starter = start_elsewhere(tmp_path, "left running")
    starter.send_signal(signal.SIGINT)
    starter.communicate()
    cluster = Cluster.attach(tmp_path)
    assert cluster.running() == ALL
    (tmp_path / "data" / "a1" / "kept").touch()
    cluster.stop()
    assert cluster.running() == ()
    assert (tmp_path / "data" / "a1" / "kept").exists()
