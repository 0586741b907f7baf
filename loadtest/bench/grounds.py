"""What is measured: an echo, a node's front, whole clusters; started here, and stopped again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from deploy.control import NodeStatus
from deploy.lab.processes import HOME, Cluster
from deploy.sight import Sight, look
from deploy.topology import Coordinator, Topology
from loadtest.bench.load import BenchError
from loadtest.bench.rounds import Counters, Ground, Ready, Target

FRESH_MS: Final = 2000  # a coordinator that works has reported since
_LOOK_EVERY_S: Final = 0.1


@contextmanager
def echo() -> Iterator[Target]:
    """The no-op that everything is compared with."""
    with _server("echo", "loadtest.bench.echo") as target:
        yield target


@contextmanager
def front(burst_ms: float) -> Iterator[Target]:
    """A node's front over an engine that answers every `burst_ms` milliseconds."""
    with _server("front", "loadtest.bench.front", str(burst_ms)) as target:
        yield target


@contextmanager
def _server(name: str, module: str, *arguments: str) -> Iterator[Target]:
    """One small program; without load it only sleeps, so it runs all the time."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchError(f"{module} did not start")
        ground = Ground(f"127.0.0.1:{port}", {"server": (process.pid,)})
        yield Target(name, lambda: nullcontext(lambda: ground))
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def of_its_own(topology: Topology, say: Callable[[str], None]) -> Iterator[Cluster]:
    """A cluster with a new folder, not started yet; stopped and deleted after the block."""
    # Beside the data of other clusters, not in /tmp: that may be memory, where an fsync is free.
    HOME.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=HOME) as folder,
        Cluster(topology, Path(folder), owned=True, say=say) as cluster,
    ):
        yield cluster


def target(cluster: Cluster, name: str, within_s: float = 60.0) -> Target:
    """A cluster as something to measure; it is started for its part of each turn, and stopped."""

    @asynccontextmanager
    async def at_work() -> AsyncIterator[Ready]:
        # In a thread: the first start runs an event loop of its own.
        await asyncio.to_thread(cluster.start)
        try:
            yield ready
        finally:
            await asyncio.to_thread(cluster.stop)

    def ready() -> Ground:
        leader = await_whole(cluster, within_s)

        def counters() -> Counters:
            status = cluster.statuses()[leader.node]
            if status is None:
                raise BenchError(f"{leader.node}, which led, does not answer")
            if not status.serving:
                raise BenchError(
                    f"{leader.node} no longer serves as {status.role}: {status.reason}"
                )
            return Counters(status.settled, status.fsyncs, status.configuration_revision)

        return Ground(
            cluster.terminal_endpoints()[leader.node], parts(cluster, leader.node), counters
        )

    return Target(name, at_work)


def parts(cluster: Cluster, leader: str) -> Mapping[str, Sequence[int]]:
    """The cluster's processes: the leader, the other nodes by site, and what is around them."""
    found: dict[str, list[int]] = {}
    for name in cluster.running():
        pid = cluster.pid(name)
        if pid is not None:
            found.setdefault(_part(cluster.topology, name, leader), []).append(pid)
    return found


def _part(topology: Topology, name: str, leader: str) -> str:
    if name == leader:
        return "leader"
    if any(node.name == name for node in topology.nodes):
        return f"followers in {topology.site_of(name)}"
    return "etcd" if any(member.name == name for member in topology.etcd) else "coordinators"


def await_whole(cluster: Cluster, within_s: float) -> NodeStatus:
    """Wait until all replicas of all sites are in sync; the leader's status.

    Raises `BenchError` naming what is missing after `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        sight = look(cluster.topology)
        missing = lacking(sight)
        if sight.leader is not None and not missing:
            return sight.leader
        if time.monotonic() >= deadline:
            raise BenchError(f"not all replicas are in sync after {within_s:.0f} s: {missing}")
        time.sleep(_LOOK_EVERY_S)


def lacking(sight: Sight) -> str:
    """What keeps a cluster from being whole and quiet, in words; empty: nothing."""
    leader = sight.leader
    if leader is None:
        return "no leader serves"
    counted = {each.partition("/")[0] for each in leader.counted}
    outside = [node.name for node in sight.topology.nodes if node.name not in counted]
    if outside:
        return f"{', '.join(outside)} not in sync"
    behind = [peer.node for peer in leader.peers if peer.lag]
    if behind:
        return f"{', '.join(behind)} still behind"
    starting = [each.name for each in sight.topology.coordinators if not _reports(sight, each)]
    return f"{', '.join(starting)} only starting" if starting else ""


def _reports(sight: Sight, coordinator: Coordinator) -> bool:
    report = sight.report_of(coordinator.place)
    return report is not None and sight.at_ms - report.at_ms <= FRESH_MS


def named(topologies: Sequence[Topology]) -> dict[str, Topology]:
    """The clusters by what the output calls them: how many replicas each has."""
    found: dict[str, Topology] = {}
    for topology in topologies:
        name = f"{len(topology.nodes)} replicas"
        found[name if name not in found else f"{name} ({topology.cluster})"] = topology
    if len(found) < len(topologies):
        raise BenchError("two of the topologies cannot be told apart: give their clusters names")
    return found
