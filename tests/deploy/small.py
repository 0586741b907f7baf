"""Topologies of one and two sites on free ports, and clusters of stub programs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from deploy.lab.parts import Launcher, here
from deploy.lab.processes import Cluster
from deploy.topology import Coordinator, EtcdMember, Node, Site, Topology


def free_addresses(count: int) -> list[str]:
    """Addresses that nobody listened on a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def topology(cluster: str = "small") -> Topology:
    """Nodes a1, a2, a3 and etcd members e1, e2, e3."""
    address = iter(free_addresses(15))
    nodes = tuple(
        Node(name, next(address), next(address), next(address)) for name in ("a1", "a2", "a3")
    )
    members = tuple(
        EtcdMember(name, "a", next(address), next(address)) for name in ("e1", "e2", "e3")
    )
    return Topology(
        cluster=cluster,
        active_site="a",
        copies_min=2,
        sites=(Site("a", nodes),),
        etcd=members,
    )


def two_sites(cluster: str = "small") -> Topology:
    """Nodes a1, a2, b1, b2, an etcd member and a coordinator in each site and in a third place."""
    address = iter(free_addresses(18))

    def site(name: str) -> Site:
        return Site(
            name,
            tuple(
                Node(f"{name}{number}", next(address), next(address), next(address))
                for number in (1, 2)
            ),
        )

    places = ("a", "b", "witness")
    return Topology(
        cluster=cluster,
        active_site="a",
        copies_min=2,
        sites=(site("a"), site("b")),
        etcd=tuple(
            EtcdMember(f"e{number}", place, next(address), next(address))
            for number, place in enumerate(places, 1)
        ),
        coordinators=tuple(Coordinator(f"c{place[0]}", place) for place in places),
    )


def stub_watcher(settings: Path) -> Sequence[str]:
    """Runs tests/deploy/stub_coordinator.py in the place of a coordinator."""
    return [sys.executable, "-m", "tests.deploy.stub_coordinator", str(settings)]


def stub_command(settings: Path) -> Sequence[str]:
    """Runs tests/deploy/stub_node.py in the place of a node."""
    return [sys.executable, "-m", "tests.deploy.stub_node", str(settings)]


def stub_cluster(
    root: Path,
    made_of: Topology | None = None,
    *,
    owned: bool = True,
    launcher: Launcher = here,
) -> Cluster:
    """A cluster of stubs and real etcd members; its first configuration is not made."""
    return Cluster(
        made_of or topology(),
        root,
        owned=owned,
        initialise=lambda made: None,
        command=stub_command,
        watcher=stub_watcher,
        launcher=launcher,
    )
