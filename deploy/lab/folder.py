"""What a cluster keeps on disk besides its programs' own data: its topology, settings and lock.

topology.json   what was started, for commands that attach later
settings/       one file a node or coordinator, read by its program
data/ log/      one folder or file a program; NODE.lost-1 and so on: disks taken away from a node
run/            one record a process (deploy/lab/program.py)
harm/           how a drill wants a node's disk and clock to misbehave (deploy/lab/machines.py)
lock            held while somebody starts, stops or owns the cluster; names them
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

import coordinator.settings
from deploy.topology import Topology
from node.settings import dump


class ClusterError(RuntimeError):
    """The cluster is not in a state for what was asked; the message says why and what helps."""


class Folder:
    """The folder of one cluster."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def settings(self, name: str) -> Path:
        """The settings file of a node or coordinator."""
        return self.root / "settings" / f"{name}.json"

    def data(self, name: str) -> Path:
        """The data folder of a node or etcd member."""
        return self.root / "data" / name

    def disk_fault(self, node: str) -> Path:
        """The file that says how the disk of a node misbehaves."""
        return self.root / "harm" / f"{node}.disk"

    def clock(self, node: str) -> Path:
        """The file that says how wrong the wall clock of a node is."""
        return self.root / "harm" / f"{node}.clock"

    def topology(self) -> Topology:
        """The topology written here. Raises `ClusterError` if there is none that can be read."""
        path = self.root / "topology.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Topology)
        except FileNotFoundError as problem:
            raise ClusterError(
                f"no cluster was started in {self.root}: `kessai up` starts one"
            ) from problem
        except (OSError, msgspec.MsgspecError) as problem:
            raise ClusterError(f"{path} cannot be read: {problem}") from problem

    def prepare(self, topology: Topology, *, in_use: bool, faulty_disks: bool = False) -> None:
        """Write the topology and the programs' settings; `faulty_disks`: each node's disk goes by
        its fault file.

        Raises `ClusterError` if another topology is written here and `in_use` by processes.
        """
        written = self.root / "topology.json"
        content = msgspec.json.format(msgspec.json.encode(topology), indent=2)
        if in_use and written.exists() and written.read_bytes() != content:
            raise ClusterError(
                f"{self.root} runs a cluster of another topology: `kessai down` stops it"
            )
        self.write(written, content)
        for node in topology.nodes:
            settings = topology.settings(node.name, self.data(node.name))
            if faulty_disks:
                fault_file = str(self.disk_fault(node.name))
                settings = msgspec.structs.replace(settings, disk_fault_file=fault_file)
            self.write(self.settings(node.name), dump(settings))
        for each in topology.coordinators:
            self.write(
                self.settings(each.name),
                coordinator.settings.dump(topology.coordinator_settings(each.name)),
            )
        for name in (*(n.name for n in topology.nodes), *(m.name for m in topology.etcd)):
            # etcd insists that nobody else can read it.
            self.data(name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file so that nobody ever reads half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        incomplete = path.with_name(f"{path.name}.incomplete")
        incomplete.write_bytes(content)
        incomplete.rename(path)

    def put_aside(self, name: str) -> Path:
        """Give a data folder another name, leave an empty one, and return the old one's path."""
        number = 1
        while (aside := self.data(f"{name}.lost-{number}")).exists():
            number += 1
        with suppress(FileNotFoundError):
            self.data(name).rename(aside)
        self.data(name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return aside

    def clear(self) -> None:
        """Delete data, logs, settings, records and harm; what ran must have been ended before."""
        for name in ("data", "log", "settings", "run", "harm"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "topology.json").unlink(missing_ok=True)

    def lock(self, why: str) -> IO[str]:
        """The cluster's lock, held until the file is closed or this process is gone.

        Raises `ClusterError` naming who holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = (self.root / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            lock.close()
            raise ClusterError(f"{self.root.name} is in the hands of {holder}") from problem
        lock.truncate(0)
        with suppress(OSError):
            lock.write(f"process {os.getpid()} ({Path(sys.argv[0]).name} {why})\n")
            lock.flush()
        return lock
