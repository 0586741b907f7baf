"""deploy/lab/machines: the disks and clocks of a cluster's nodes, through files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from deploy.lab import faketime
from deploy.lab.folder import ClusterError, Folder
from deploy.lab.machines import Machines
from deploy.lab.processes import Cluster
from node.settings import load
from node.store.faults import DiskFault
from tests.deploy import small

COMMAND = ["python", "-m", "node", "a1.json"]


def made(root: Path, *, faulty_disks: bool = False, movable_clocks: bool = False) -> Cluster:
    return Cluster(
        small.topology(),
        root,
        command=small.stub_command,
        faulty_disks=faulty_disks,
        movable_clocks=movable_clocks,
    )


def test_without_being_asked_for_nothing_can_be_harmed(tmp_path: Path) -> None:
    cluster = made(tmp_path)
    with pytest.raises(ClusterError, match="the disk of a1 cannot be harmed"):
        cluster.harm_disk("a1", DiskFault(full=True))
    with pytest.raises(ClusterError, match="the clock of a1 cannot be moved"):
        cluster.set_clock("a1", 60)
    machines = Machines(Folder(tmp_path), faulty_disks=False, movable_clocks=False, say=print)
    assert machines.command("a1", COMMAND) == COMMAND


def test_every_node_has_a_fault_file_of_its_own(tmp_path: Path) -> None:
    cluster, folder = made(tmp_path, faulty_disks=True), Folder(tmp_path)
    folder.prepare(cluster.topology, in_use=False, faulty_disks=True)
    files = [Path(load(folder.settings(name)).disk_fault_file) for name in ("a1", "a2", "a3")]
    assert len(set(files)) == 3
    cluster.harm_disk("a2", DiskFault(slow_sync_ms=300))
    found = [msgspec.json.decode(each.read_bytes()) if each.exists() else None for each in files]
    assert found == [
        None,
        {"slow_sync_ms": 300, "full": False, "io_error": False, "read_error": False},
        None,
    ]
    cluster.mend_disk("a2")
    cluster.mend_disk("a2")
    assert not files[1].exists()
    with pytest.raises(ClusterError, match="no 'b9' here"):
        cluster.harm_disk("b9", DiskFault(full=True))


def test_every_node_has_a_clock_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Path] = []

    def find(say: object) -> Path:
        found.append(tmp_path / "lib.so")
        return found[-1]

    monkeypatch.setattr(faketime, "find", find)
    folder = Folder(tmp_path)
    machines = Machines(folder, faulty_disks=False, movable_clocks=True, say=print)
    commands: dict[str, Sequence[str]] = {}
    for name in ("a1", "a2"):
        commands[name] = machines.command(name, COMMAND)
        assert commands[name][-4:] == tuple(COMMAND)
        assert f"FAKETIME_TIMESTAMP_FILE={folder.clock(name)}" in commands[name]
        assert f"LD_PRELOAD={found[0]}" in commands[name]
    assert len(found) == 1  # it is looked for once
    assert folder.clock("a1").read_bytes() == b"+0\n"
    machines.set_clock("a1", -3600)
    machines.command("a1", COMMAND)  # a node that starts again finds its clock as wrong as before
    assert folder.clock("a1").read_bytes() == b"-3600\n"
    assert folder.clock("a2").read_bytes() == b"+0\n"


def test_clocks_and_disks_cannot_both_be_harmed(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="not both at once"):
        made(tmp_path, faulty_disks=True, movable_clocks=True)
