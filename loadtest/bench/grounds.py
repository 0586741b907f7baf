"""What is measured: an echo, a node's front, whole clusters; started here, and stopped again.

Clusters that are compared run at the same time, each on ports of its own, and only one of them has
load. To start each one anew for its round would measure cold caches and first elections.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from deploy.addresses import split
from deploy.control import NodeStatus, leader_of
from deploy.lab.processes import HOME, Cluster
from deploy.topology import EtcdMember, Node, Topology
from loadtest.bench.load import BenchError
from loadtest.bench.rounds import Counters, Ground, Target

PORTS_APART: Final = 1000  # between two clusters whose files name the same ports
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
    process = subprocess.Popen(
        [sys.executable, "-m", module, "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchError(f"{module} did not start")
        ground = Ground(f"127.0.0.1:{port}")
        yield Target(name, lambda: ground, lambda: {"server": (process.pid,)})
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def running(topology: Topology, say: Callable[[str], None]) -> Iterator[Cluster]:
    """A cluster of its own for as long as the block lasts."""
    # Beside the data of other clusters, not in /tmp: that may be memory, where an fsync is free.
    HOME.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=HOME) as folder,
        Cluster(topology, Path(folder), owned=True, say=say) as cluster,
    ):
        cluster.start()
        yield cluster


def target(cluster: Cluster, name: str, within_s: float = 60.0) -> Target:
    """A running cluster as something to measure."""

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

        return Ground(cluster.terminal_endpoints()[leader.node], counters)

    return Target(name, ready, lambda: parts(cluster))


def parts(cluster: Cluster) -> Mapping[str, Sequence[int]]:
    """The cluster's processes: the leader, the other nodes by site, and what is around them."""
    leader = cluster.leader()
    found: dict[str, list[int]] = {}
    for name in cluster.running():
        pid = cluster.pid(name)
        if pid is not None:
            found.setdefault(_part(cluster.topology, name, leader), []).append(pid)
    return found


def _part(topology: Topology, name: str, leader: str | None) -> str:
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
        leader = leader_of(cluster.statuses())
        missing = lacking(cluster.topology, leader)
        if leader is not None and not missing:
            return leader
        if time.monotonic() >= deadline:
            raise BenchError(f"not all replicas are in sync after {within_s:.0f} s: {missing}")
        time.sleep(_LOOK_EVERY_S)


def lacking(topology: Topology, leader: NodeStatus | None) -> str:
    """What keeps a cluster from being whole and quiet, in words; empty: nothing."""
    if leader is None:
        return "no leader serves"
    counted = {each.partition("/")[0] for each in (*leader.in_sync, *leader.standby_in_sync)}
    outside = [node.name for node in topology.nodes if node.name not in counted]
    if outside:
        return f"{', '.join(outside)} not in sync"
    behind = [peer.node for peer in leader.peers if peer.lag]
    return f"{', '.join(behind)} still behind" if behind else ""


def named(topologies: Sequence[Topology]) -> dict[str, Topology]:
    """The clusters by what the output calls them: how many replicas each has."""
    found: dict[str, Topology] = {}
    for topology in topologies:
        name = f"{len(topology.nodes)} replicas"
        found[name if name not in found else f"{name} ({topology.cluster})"] = topology
    if len(found) < len(topologies):
        raise BenchError("two of the topologies cannot be told apart: give their clusters names")
    return found


def apart(topologies: Sequence[Topology]) -> list[Topology]:
    """The topologies with their ports moved where an earlier one has the same."""
    taken: set[str] = set()
    found: list[Topology] = []
    for topology in topologies:
        moved = topology
        while taken & set(_addresses(moved)):
            moved = _moved(moved, PORTS_APART)
        taken |= set(_addresses(moved))
        found.append(moved)
    return found


def _addresses(topology: Topology) -> Iterator[str]:
    for node in topology.nodes:
        yield from (address for _, address in node.addresses())
    for member in topology.etcd:
        yield from (address for _, address in member.addresses())


def _moved(topology: Topology, by: int) -> Topology:
    def further(address: str) -> str:
        host, port = split(address)
        if port + by > 65535:
            raise BenchError(f"no ports left for another cluster beside {address}")
        return f"{host}:{port + by}"

    def node(each: Node) -> Node:
        return msgspec.structs.replace(
            each,
            terminals=further(each.terminals),
            peers=further(each.peers),
            metrics=further(each.metrics),
        )

    def member(each: EtcdMember) -> EtcdMember:
        return msgspec.structs.replace(each, client=further(each.client), peers=further(each.peers))

    return msgspec.structs.replace(
        topology,
        sites=tuple(
            msgspec.structs.replace(site, nodes=tuple(map(node, site.nodes)))
            for site in topology.sites
        ),
        etcd=tuple(map(member, topology.etcd)),
    )
