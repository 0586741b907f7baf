"""deploy/lab: what stands at one place is hurt and started together; disks that are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.lab import etcd_member, readiness
from deploy.lab.folder import ClusterError
from deploy.lab.ports import check_free
from deploy.lab.processes import Cluster
from tests.deploy import small

ALL = ("e1", "e2", "e3", "a1", "a2", "b1", "b2", "ca", "cb", "cw")


class Launched:
    """A launcher that writes down what it was asked, and changes nothing but the environment."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def __call__(self, name: str, command: Sequence[str]) -> Sequence[str]:
        self.hosts.append(name)
        return ["env", f"KESSAI_HOST={name}", *command]


@pytest.fixture(scope="module")
def launched() -> Launched:
    return Launched()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, launched: Launched) -> Iterator[Cluster]:
    """Two sites; the tests put back what they break."""
    root = tmp_path_factory.mktemp("places")
    with small.stub_cluster(root, small.two_sites(), launcher=launched) as made:
        assert made.start() == "a1"
        yield made
    assert made.running() == ()


def on_its_host(cluster: Cluster, name: str) -> bool:
    environment = Path(f"/proc/{cluster.pid(name)}/environ").read_bytes().split(b"\0")
    return f"KESSAI_HOST={name}".encode() in environment


def test_everything_is_started_on_its_host(cluster: Cluster, launched: Launched) -> None:
    assert cluster.running() == ALL
    assert set(launched.hosts) == set(ALL)
    # The launcher's command turns into the program a moment after it was started.
    readiness.await_that(
        "all to be on their hosts", (), 20.0, lambda: all(on_its_host(cluster, n) for n in ALL)
    )


def test_coordinators_are_started_by_their_names(cluster: Cluster) -> None:
    before = cluster.pid("cw")
    cluster.start_coordinator("cw")
    assert cluster.pid("cw") == before  # it runs already
    with pytest.raises(ClusterError, match="no 'a1' here; expected one of ca, cb, cw"):
        cluster.start_coordinator("a1")


def test_a_site_is_killed_at_once_and_comes_back(cluster: Cluster) -> None:
    at_a = cluster.topology.at("a")
    assert cluster.kill(at_a) == ("a1", "a2", "e1", "ca")
    assert cluster.running() == ("e2", "e3", "b1", "b2", "cb", "cw")
    with pytest.raises(ClusterError, match="not running: a1, a2, e1, ca"):
        cluster.kill(at_a)
    cluster.start_site("a")
    assert cluster.running() == ALL
    assert all(cluster.statuses().values())
    cluster.await_etcd()


def test_the_witness_is_a_place_too(cluster: Cluster) -> None:
    cluster.stop_site("witness")
    assert cluster.running() == tuple(name for name in ALL if name not in ("e3", "cw"))
    assert etcd_member.healthy(cluster.topology.etcd[0].client, timeout_s=5.0)
    cluster.start_site("witness")
    cluster.await_etcd()
    assert cluster.running() == ALL


def test_an_unknown_place(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no place 'c' here; expected one of a, b, witness"):
        cluster.stop_site("c")


def test_a_lost_disk_is_kept_aside(cluster: Cluster) -> None:
    data = cluster.root / "data" / "b2"
    with pytest.raises(ClusterError, match="b2 is running"):
        cluster.lose_disk("b2")
    for number in (1, 2):
        (data / "ledger").write_text(f"disk {number}")
        cluster.stop_node("b2")
        assert cluster.lose_disk("b2") == cluster.root / "data" / f"b2.lost-{number}"
        assert list(data.iterdir()) == []
        assert data.stat().st_mode & 0o777 == 0o700
        cluster.start_node("b2")
    assert (cluster.root / "data" / "b2.lost-1" / "ledger").read_text() == "disk 1"
    assert (cluster.root / "data" / "b2.lost-2" / "ledger").read_text() == "disk 2"


def test_a_node_is_told_to_begin_with_a_new_disk(cluster: Cluster) -> None:
    (cluster.root / "data" / "b2" / "refuse").touch()
    cluster.stop_node("b2")
    cluster.start_node("b2", new_disk=True)
    assert cluster.statuses()["b2"] is not None


def test_an_address_on_a_host_of_its_own_counts_as_free() -> None:
    # This host has no such address: whoever has it is not looked at.
    check_free([("terminals of a1", "198.18.250.1:17501")])
