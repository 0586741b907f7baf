"""A cluster of real processes on this machine: etcd members and settlement nodes.

What it keeps on disk is described in deploy/lab/folder.py; a later command attaches to it there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from deploy.control import NodeStatus, leader_of
from deploy.first import first_configuration
from deploy.lab import etcd_binary, etcd_member, readiness
from deploy.lab.folder import ClusterError, Folder
from deploy.lab.guardian import Guardian, end_all
from deploy.lab.ports import check_free
from deploy.lab.program import Program
from deploy.topology import Topology

PROJECT: Final = Path(__file__).resolve().parents[2]
HOME: Final = PROJECT / ".kessai"

_GRACE_S: Final = 10.0


def node_command(settings: Path) -> Sequence[str]:
    """How the program of a node is started."""
    return [sys.executable, "-m", "node", str(settings)]


class Cluster:
    """Starts, watches, hurts and stops one cluster. Not for use by two threads at once.

    `owned`: the cluster ends with this process, even if that is killed, and nobody else may start
    or stop it meanwhile. Otherwise it goes on running after this process. `initialise` makes the
    first configuration once all nodes answer; it does nothing if there is one.
    """

    def __init__(
        self,
        topology: Topology,
        root: Path,
        *,
        owned: bool = False,
        initialise: Callable[[Topology], object] = first_configuration,
        command: Callable[[Path], Sequence[str]] = node_command,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.topology = topology
        self._folder = Folder(root)
        self._owned = owned
        self._initialise = initialise
        self._command = command
        self._say = say
        self._guardian: Guardian | None = None
        self._lock: IO[str] | None = None
        self._etcd_path: Path | None = None
        self._nodes = {each.name: Program(each.name, self.root) for each in topology.nodes}
        self._etcd = {each.name: Program(each.name, self.root) for each in topology.etcd}

    @classmethod
    def attach(cls, root: Path) -> Cluster:
        """The cluster that an earlier process started below `root`. Raises `ClusterError`."""
        return cls(Folder(root).topology(), root)

    @property
    def root(self) -> Path:
        """The folder below which everything of this cluster is kept."""
        return self._folder.root

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # What it is

    def terminal_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that terminals speak to."""
        return {node.name: node.terminals for node in self.topology.nodes}

    def control_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that operators speak to."""
        return {node.name: node.peers for node in self.topology.nodes}

    def metrics_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that Prometheus reads."""
        return {node.name: node.metrics for node in self.topology.nodes}

    def pid(self, name: str) -> int | None:
        """The process number of a node or etcd member; None if it is not running."""
        return _one({**self._nodes, **self._etcd}, name).pid()

    def log(self, name: str) -> Path:
        """Where a node or etcd member writes what it does."""
        return _one({**self._nodes, **self._etcd}, name).log

    def running(self) -> tuple[str, ...]:
        """The names of the nodes and etcd members that run now (paused ones too)."""
        return tuple(each.name for each in self._programs() if each.running())

    def statuses(self, timeout_s: float = 1.0) -> dict[str, NodeStatus | None]:
        """Each node's status; None for one that does not answer."""
        return readiness.statuses(self.control_endpoints(), timeout_s)

    def leader(self) -> str | None:
        """The name of the node that says that it leads and serves, the highest epoch if several."""
        leader = leader_of(self.statuses())
        return leader.node if leader else None

    def await_leader(self, timeout_s: float = 30.0) -> str:
        """Wait for a serving leader and return its name. Raises `ProgramFailed`."""
        found: list[str] = []

        def there() -> bool:
            leader = self.leader()
            found.extend([leader] if leader else [])
            return bool(found)

        readiness.await_that("a leader", (), timeout_s, there)
        return found[0]

    # All of it

    def start(self, timeout_s: float = 60.0) -> str:
        """Start whatever does not run, in order, and return the name of the serving leader.

        etcd, its health, the nodes, their answers, the first configuration, a leader. If that
        fails or is interrupted, what this call started is stopped again. Raises `ClusterError`,
        `ProgramFailed`, `PortBusy`, `EtcdRefused`.
        """
        with self._alone("start"):
            before = self.running()
            self._folder.prepare(self.topology, in_use=bool(before))
            self._etcd_path = etcd_binary.find(say=self._say)
            check_free(self._addresses(set(before)))
            if self._owned and self._guardian is None:
                self._guardian = Guardian(self.root)
            try:
                return self._start_all(timeout_s)
            except BaseException:
                self._stop([each for each in self._programs() if each.name not in before], 2.0)
                raise

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Stop the nodes, then etcd: SIGTERM, and SIGKILL for what is left after `grace_s`."""
        with self._alone("stop"):
            self._stop(self._nodes.values(), grace_s)
            # Together they would wait for one another: each tries to pass its leadership on.
            for member in self._etcd.values():
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

    # One node or member

    def start_node(self, name: str, ready_s: float = 20.0) -> None:
        """Start a node and wait up to `ready_s` until it answers (0: do not wait).

        Raises `ProgramFailed` with the end of its log if it does not.
        """
        program = _one(self._nodes, name)
        program.start(self._command(self._folder.settings(name)), PROJECT, _environment())
        if ready_s:
            endpoint = self.control_endpoints()[name]
            readiness.await_that(
                f"{name} to answer at {endpoint}",
                [program],
                ready_s,
                lambda: readiness.status(endpoint, 0.5) is not None,
            )

    def stop_node(self, name: str, grace_s: float = _GRACE_S) -> None:
        """SIGTERM a node and wait for its end; SIGKILL after `grace_s`."""
        _one(self._nodes, name).stop(grace_s)

    def kill_node(self, name: str) -> None:
        """SIGKILL a node. Raises `ClusterError` if it was not running."""
        _must(_one(self._nodes, name).kill(), name)

    def pause_node(self, name: str) -> None:
        """SIGSTOP a node. Raises `ClusterError` if it was not running."""
        _must(_one(self._nodes, name).signal(signal.SIGSTOP), name)

    def resume_node(self, name: str) -> None:
        """SIGCONT a node. Raises `ClusterError` if it was not running."""
        _must(_one(self._nodes, name).signal(signal.SIGCONT), name)

    def start_etcd(self, name: str) -> None:
        """Start an etcd member; `await_etcd` waits for its health, which needs a majority."""
        program = _one(self._etcd, name)
        member = next(each for each in self.topology.etcd if each.name == name)
        if self._etcd_path is None:
            self._etcd_path = etcd_binary.find(say=self._say)
        command = etcd_member.command(
            self._etcd_path, self.topology, member, self._folder.data(name)
        )
        program.start(command, self.root, _environment())

    def await_etcd(self, timeout_s: float = 20.0) -> None:
        """Wait until every etcd member is healthy. Raises `ProgramFailed`."""
        readiness.await_that(
            "etcd to be healthy",
            self._etcd.values(),
            timeout_s,
            lambda: all(etcd_member.healthy(each) for each in self.topology.etcd_endpoints),
        )

    def kill_etcd(self, name: str) -> None:
        """SIGKILL an etcd member. Raises `ClusterError` if it was not running."""
        _must(_one(self._etcd, name).kill(), name)

    def pause_etcd(self, name: str) -> None:
        """SIGSTOP an etcd member. Raises `ClusterError` if it was not running."""
        _must(_one(self._etcd, name).signal(signal.SIGSTOP), name)

    def resume_etcd(self, name: str) -> None:
        """SIGCONT an etcd member. Raises `ClusterError` if it was not running."""
        _must(_one(self._etcd, name).signal(signal.SIGCONT), name)

    # How

    def _programs(self) -> tuple[Program, ...]:
        return (*self._etcd.values(), *self._nodes.values())

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
            self._nodes.values(),
            timeout_s,
            lambda: all(self.statuses().values()),
        )
        self._initialise(self.topology)
        self._say("waiting for a leader")
        leader = self.await_leader(timeout_s)
        self._say(f"{leader} leads")
        return leader

    def _stop(self, programs: Iterable[Program], grace_s: float) -> None:
        """All at once, in one grace."""
        programs = list(programs)
        for program in programs:
            program.ask_to_stop()
        deadline = time.monotonic() + grace_s
        for program in programs:
            if not program.wait(max(0.0, deadline - time.monotonic())):
                self._say(f"{program.name} did not stop within {grace_s:.0f} s; killing it")
                program.kill()
            program.forget()

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


def _one(programs: Mapping[str, Program], name: str) -> Program:
    if name not in programs:
        raise ClusterError(f"no {name!r} here; expected one of {', '.join(programs)}")
    return programs[name]


def _must(was_running: bool, name: str) -> None:
    if not was_running:
        raise ClusterError(f"{name} is not running")


def _environment() -> dict[str, str]:
    """Ours, without what etcd would take for options of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
