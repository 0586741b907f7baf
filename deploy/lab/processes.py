"""A cluster of real processes on this machine: etcd members, settlement nodes, coordinators.

What it keeps on disk is described in deploy/lab/folder.py; a later command attaches to it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from deploy.first import first_configuration
from deploy.lab import etcd_binary, readiness
from deploy.lab.folder import Folder
from deploy.lab.ground import GRACE_S, PROJECT, Ground, coordinator_command, node_command
from deploy.lab.guardian import Guardian, end_all
from deploy.lab.parts import Launcher, here
from deploy.lab.ports import check_free
from deploy.topology import Topology

HOME: Final = PROJECT / ".kessai"


class Cluster(Ground):
    """Starts, watches, hurts and stops one cluster. Not for use by two threads at once.

    `owned`: the cluster ends with this process, even if that is killed, and nobody else may start
    or stop it meanwhile. Otherwise it goes on running after this process. `initialise` makes the
    first configuration once all nodes answer; it does nothing if there is one. Every program is
    started through `launcher`. `faulty_disks`, `movable_clocks`: what `harm_disk` and `set_clock`
    need; not both.
    """

    def __init__(
        self,
        topology: Topology,
        root: Path,
        *,
        owned: bool = False,
        initialise: Callable[[Topology], object] = first_configuration,
        command: Callable[[Path], Sequence[str]] = node_command,
        watcher: Callable[[Path], Sequence[str]] = coordinator_command,
        launcher: Launcher = here,
        faulty_disks: bool = False,
        movable_clocks: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(
            topology,
            root,
            command=command,
            watcher=watcher,
            launcher=launcher,
            faulty_disks=faulty_disks,
            movable_clocks=movable_clocks,
            say=say,
        )
        self._faulty_disks = faulty_disks
        self._owned = owned
        self._initialise = initialise
        self._guardian: Guardian | None = None
        self._lock: IO[str] | None = None

    @classmethod
    def attach(cls, root: Path, launcher: Launcher = here) -> Cluster:
        """The cluster that an earlier process started below `root`. Raises `ClusterError`."""
        return cls(Folder(root).topology(), root, launcher=launcher)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # All of it

    def start(self, timeout_s: float = 60.0) -> str:
        """Start whatever does not run, in order, and return the name of the serving leader.

        etcd, its health, the nodes, their answers, the first configuration, a leader; coordinators
        after that, since they would take a cluster without a leader for a lost site. If that
        fails or is interrupted, what this call started is stopped again. Raises `ClusterError`,
        `ProgramFailed`, `PortBusy`, `EtcdRefused`, `FaketimeMissing`.
        """
        with self._alone("start"):
            before = self.running()
            self._folder.prepare(
                self.topology, in_use=bool(before), faulty_disks=self._faulty_disks
            )
            self._etcd_path = etcd_binary.find(say=self._say)
            self._machines.prepare()
            check_free(self._addresses(set(before)))
            if self._owned and self._guardian is None:
                self._guardian = Guardian(self.root)
            try:
                return self._start_all(timeout_s)
            except BaseException:
                self._stop([each for each in self._programs() if each.name not in before], 2.0)
                raise

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Stop coordinators, nodes, etcd: SIGTERM, and SIGKILL for what is left after `grace_s`."""
        with self._alone("stop"):
            # First those who would switch sites when the nodes fall silent.
            self._stop(self._coordinators.programs, grace_s)
            self._stop(self._nodes.programs, grace_s)
            # Together they would wait for one another: each tries to pass its leadership on.
            for member in self._etcd.programs:
                self._stop([member], grace_s)
            if self._guardian is not None:
                self._guardian.dismiss()
                self._guardian = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def clear(self) -> None:
        """End whatever a crashed run left here and delete its data and logs, for a fresh start."""
        with self._alone("clear"):
            end_all(self.root)
            self._folder.clear()

    # How

    def _addresses(self, running: set[str]) -> Iterator[tuple[str, str]]:
        """The addresses of what does not run yet."""
        for node in self.topology.nodes:
            if node.name not in running:
                yield from node.addresses()
        for member in self.topology.etcd:
            if member.name not in running:
                yield from member.addresses()

    def _start_all(self, timeout_s: float) -> str:
        """Each step may take `timeout_s`."""
        self._say(f"starting etcd: {', '.join(self._etcd)}")
        for name in self._etcd:
            self.start_etcd(name)
        self.await_etcd(timeout_s)
        self._say(f"starting the nodes: {', '.join(self._nodes)}")
        for name in self._nodes:
            self.start_node(name, ready_s=0)
        readiness.await_that(
            "the nodes to answer",
            self._nodes.programs,
            timeout_s,
            lambda: all(self.statuses().values()),
        )
        self._initialise(self.topology)
        self._say("waiting for a leader")
        leader = self.await_leader(timeout_s)
        self._say(f"{leader} leads")
        if self.topology.coordinators:
            self._say(f"starting the coordinators: {', '.join(self._coordinators)}")
        for name in self._coordinators:
            self.start_coordinator(name)
        return leader

    @contextmanager
    def _alone(self, why: str) -> Iterator[None]:
        """Under the cluster's lock; an owned cluster keeps it until it is stopped."""
        if self._lock is not None:
            yield
            return
        lock = self._folder.lock(why)
        if self._owned and why != "stop":
            self._lock = lock
            yield
            return
        with lock:
            yield
