"""The programs of a topology on this machine, one by one and place by place.

Who may do what to the whole of it, and in which order, is in deploy/lab/processes.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.control import NodeStatus, leader_of
from deploy.lab import etcd_binary, etcd_member, readiness
from deploy.lab.folder import ClusterError, Folder
from deploy.lab.machines import Machines
from deploy.lab.parts import Launcher, Parts, kill_at_once
from deploy.lab.program import Program
from deploy.topology import Topology
from node.store.faults import DiskFault

PROJECT: Final = Path(__file__).resolve().parents[2]

GRACE_S: Final = 10.0
"""How long a program may take to end by itself."""


def node_command(settings: Path) -> Sequence[str]:
    """How the program of a node is started."""
    return [sys.executable, "-m", "node", str(settings)]


def coordinator_command(settings: Path) -> Sequence[str]:
    """How the program of a coordinator is started."""
    return [sys.executable, "-m", "coordinator", str(settings)]


class Ground:
    """Looks at, starts, hurts and stops programs. `command` and `watcher` give the command lines of
    a node and of a coordinator; every program is started through `launcher`."""

    def __init__(
        self,
        topology: Topology,
        root: Path,
        *,
        command: Callable[[Path], Sequence[str]],
        watcher: Callable[[Path], Sequence[str]],
        launcher: Launcher,
        faulty_disks: bool,
        movable_clocks: bool,
        say: Callable[[str], None],
    ) -> None:
        self.topology = topology
        self._folder = Folder(root)
        self._say = say
        self._machines = Machines(
            self._folder, faulty_disks=faulty_disks, movable_clocks=movable_clocks, say=say
        )
        self._etcd_path: Path | None = None
        settings = self._folder.settings
        names = [each.name for each in topology.nodes]
        self._nodes = Parts(
            names,
            self.root,
            PROJECT,
            lambda name: self._machines.command(name, command(settings(name))),
            launcher,
        )
        names = [each.name for each in topology.coordinators]
        self._coordinators = Parts(
            names, self.root, PROJECT, lambda name: watcher(settings(name)), launcher
        )
        names = [each.name for each in topology.etcd]
        self._etcd = Parts(names, self.root, self.root, self._etcd_command, launcher)

    @property
    def root(self) -> Path:
        """The folder below which everything of this cluster is kept."""
        return self._folder.root

    # What it is

    def terminal_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that terminals speak to."""
        return {node.name: node.terminals for node in self.topology.nodes}

    def control_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that operators speak to."""
        return self.topology.control_endpoints

    def metrics_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that Prometheus reads."""
        return {node.name: node.metrics for node in self.topology.nodes}

    def pid(self, name: str) -> int | None:
        """The process number of a program by its name; None if it is not running."""
        return self._program(name).pid()

    def log(self, name: str) -> Path:
        """Where a node, etcd member or coordinator writes what it does."""
        return self._program(name).log

    def running(self) -> tuple[str, ...]:
        """The names of the programs that run now (paused ones too)."""
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

    # One program

    def start_node(self, name: str, ready_s: float = 20.0, *, new_disk: bool = False) -> None:
        """Start a node and wait up to `ready_s` until it answers (0: do not wait).

        `new_disk`: it puts its files aside and begins as another replica. Raises `ProgramFailed`
        with the end of its log if it does not answer.
        """
        self._nodes.start(name, *(["--new-disk"] if new_disk else []))
        if ready_s:
            self._await_nodes([name], ready_s)

    def stop_node(self, name: str, grace_s: float = GRACE_S) -> None:
        """SIGTERM a node and wait for its end; SIGKILL after `grace_s`."""
        self._nodes.stop(name, grace_s)

    def pause_node(self, name: str) -> None:
        """SIGSTOP a node. Raises `ClusterError` if it was not running."""
        self._nodes.pause(name)

    def resume_node(self, name: str) -> None:
        """SIGCONT a node. Raises `ClusterError` if it was not running."""
        self._nodes.resume(name)

    def lose_disk(self, name: str) -> Path:
        """Take a stopped node's data folder away: it starts with an empty disk. Returns where the
        old one is kept. Raises `ClusterError` if the node runs."""
        if self._nodes.one(name).running():
            raise ClusterError(f"{name} is running: its disk cannot be taken away; stop it first")
        return self._folder.put_aside(name)

    def harm_disk(self, node: str, fault: DiskFault) -> None:
        """From now on a node's disk misbehaves so, also when the node starts anew. Raises
        `ClusterError` unless this cluster's disks can be harmed."""
        self._machines.harm_disk(self._nodes.one(node).name, fault)

    def mend_disk(self, node: str) -> None:
        """A node's disk is well again; what it holds stays what it was."""
        self._machines.mend_disk(self._nodes.one(node).name)

    def set_clock(self, node: str, offset_s: int) -> None:
        """A node's wall clock goes so many seconds ahead of ours (below 0: behind) within two
        seconds. Raises `ClusterError` unless this cluster's clocks can be moved."""
        self._machines.set_clock(self._nodes.one(node).name, offset_s)

    def start_etcd(self, name: str) -> None:
        """Start an etcd member; `await_etcd` waits for its health, which needs a majority."""
        self._etcd.start(name)

    def await_etcd(self, timeout_s: float = 20.0) -> None:
        """Wait until every etcd member is healthy. Raises `ProgramFailed`."""
        readiness.await_that(
            "etcd to be healthy",
            self._etcd.programs,
            timeout_s,
            lambda: all(etcd_member.healthy(each) for each in self.topology.etcd_endpoints),
        )

    def pause_etcd(self, name: str) -> None:
        """SIGSTOP an etcd member. Raises `ClusterError` if it was not running."""
        self._etcd.pause(name)

    def resume_etcd(self, name: str) -> None:
        """SIGCONT an etcd member. Raises `ClusterError` if it was not running."""
        self._etcd.resume(name)

    def start_coordinator(self, name: str) -> None:
        """Start a coordinator; it listens nowhere, and what it sees is in etcd."""
        self._coordinators.start(name)

    # Many at one moment, and all that stands at one place

    def kill(self, names: Iterable[str]) -> tuple[str, ...]:
        """SIGKILL programs of any kind at one moment, such as all at a place; the names of those
        that ran. Raises `ClusterError` if none did."""
        programs = [self._program(name) for name in names]
        hit = kill_at_once(programs)
        if not hit:
            raise ClusterError(f"not running: {', '.join(each.name for each in programs)}")
        return hit

    def stop_site(self, place: str, grace_s: float = GRACE_S) -> None:
        """SIGTERM everything at `place`, and SIGKILL for what is left after `grace_s`."""
        self._stop(self._at(place), grace_s)

    def start_site(self, place: str, ready_s: float = 20.0) -> None:
        """Start what does not run at `place`, all at once, and wait up to `ready_s` until the nodes
        answer (0: do not wait). Raises `ProgramFailed`."""
        for program in self._at(place):
            for parts in (self._etcd, self._nodes, self._coordinators):
                if program.name in parts:
                    parts.start(program.name)
        nodes = [name for name in self.topology.at(place) if name in self._nodes]
        if ready_s and nodes:
            self._await_nodes(nodes, ready_s)

    # How

    def _programs(self) -> tuple[Program, ...]:
        return (*self._etcd.programs, *self._nodes.programs, *self._coordinators.programs)

    def _program(self, name: str) -> Program:
        programs = {each.name: each for each in self._programs()}
        if name not in programs:
            raise ClusterError(f"no {name!r} here; expected one of {', '.join(programs)}")
        return programs[name]

    def _at(self, place: str) -> tuple[Program, ...]:
        if place not in self.topology.places():
            places = ", ".join(self.topology.places())
            raise ClusterError(f"no place {place!r} here; expected one of {places}")
        return tuple(self._program(name) for name in self.topology.at(place))

    def _etcd_command(self, name: str) -> Sequence[str]:
        member = next(each for each in self.topology.etcd if each.name == name)
        if self._etcd_path is None:
            self._etcd_path = etcd_binary.find(say=self._say)
        return etcd_member.command(self._etcd_path, self.topology, member, self._folder.data(name))

    def _await_nodes(self, names: Sequence[str], ready_s: float) -> None:
        endpoints = {name: self.control_endpoints()[name] for name in names}
        readiness.await_that(
            f"{', '.join(f'{name} to answer at {at}' for name, at in endpoints.items())}",
            [self._nodes.one(name) for name in names],
            ready_s,
            lambda: all(readiness.statuses(endpoints, 0.5).values()),
        )

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
