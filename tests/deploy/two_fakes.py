"""Six fake nodes in two sites on a real etcd, to switch between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from coordinator.configuration import Configuration, ReplicaId
from coordinator.recording import events
from coordinator.records import EventRecord, Keys, LeaderRecord
from deploy.topology import EtcdMember, Node, Site, Topology
from deploy.written import Written, ask, read
from proto import control_pb2
from tests.deploy.fake_replica import FakeNode, serving
from tests.etcd_cluster import EtcdCluster

NAMES = ("a1", "a2", "a3", "b1", "b2", "b3")
_clusters = itertools.count(1)


def status(name: str, *, leads: bool = False, active: str = "a") -> control_pb2.NodeStatus:
    """As a healthy node says it."""
    return control_pb2.NodeStatus(
        node=name,
        disk_id=f"d{name}",
        site=name[0],
        role="leader" if leads else "follower",
        serving=leads,
        epoch=5,
        active_site=active,
        copies_min=2,
        commit_index=40,
        mode="in sync",
    )


def fence(
    name: str, *, index: int = 40, epoch: int = 5, promised: bool = True
) -> control_pb2.FenceReply:
    """A vow."""
    return control_pb2.FenceReply(
        promised=promised,
        promised_epoch=0 if promised else 1 << 40,
        last_epoch=epoch,
        last_index=index,
        commit_index=index,
        disk_id=f"d{name}",
    )


def record(index: int) -> str:
    """A settlement of 100 yen."""
    fields = {"kind": "record", "key": f"k{index}", "index": index, "outcome": 1}
    return json.dumps({**fields, "amount_minor": 100})


@dataclass
class Two:
    """The nodes by name, the topology that names them, and what is said to the operator."""

    nodes: dict[str, FakeNode]
    topology: Topology
    said: list[str] = field(default_factory=list)

    def written(self) -> Written:
        """What is in etcd."""
        return read(self.topology)

    def events(self) -> list[EventRecord]:
        """What was recorded."""
        return ask(self.topology, lambda registry: events(registry, self.topology.cluster))

    def take_key(self, name: str) -> None:
        """The node wins the leader key, whoever has it."""
        record = LeaderRecord(name, f"d{name}", name[0], "", "nonce").to_json()
        key = Keys(self.topology.cluster).leader
        ask(self.topology, lambda registry: registry.put(key, record))

    def leads(self, name: str, epoch: int) -> None:
        """Another node leads from now on, in an active site of its own."""
        for node in self.nodes.values():
            node.says = status(node.name, leads=node.name == name, active=name[0])
            node.says.epoch = epoch


@contextmanager
def two_sites(
    etcd: EtcdCluster,
    make: Callable[[str], FakeNode] = lambda name: FakeNode(status(name, leads=name == "a1")),
    *,
    silent: tuple[str, ...] = (),
    standby: tuple[str, ...] = ("b1", "b2", "b3"),
) -> Iterator[Two]:
    """`silent` nodes are not there; `standby` are the replicas of site b that count."""
    nodes = {name: make(name) for name in NAMES}
    with serving(*(node for name, node in nodes.items() if name not in silent)) as endpoints:
        # Where nobody listens any more: port 1 of loopback.
        at = {name: endpoints.get(name, "127.0.0.1:1") for name in NAMES}
        topology = Topology(
            cluster=f"fakes{next(_clusters)}",
            active_site="a",
            copies_min=2,
            sites=tuple(
                Site(site, tuple(Node(n, at[n], at[n], at[n]) for n in NAMES if n[0] == site))
                for site in ("a", "b")
            ),
            etcd=tuple(
                EtcdMember(f"e{number}", place, client, client)
                for number, (place, client) in enumerate(
                    zip(("a", "b", "witness"), etcd.endpoints, strict=True)
                )
            ),
        )
        configuration = Configuration(
            "c1",
            "a",
            {
                "a": frozenset(ReplicaId(n, f"d{n}") for n in ("a1", "a2", "a3")),
                "b": frozenset(ReplicaId(n, f"d{n}") for n in standby),
            },
            2,
        )
        key = Keys(topology.cluster).configuration
        ask(topology, lambda registry: registry.put(key, configuration.to_json()))
        yield Two(nodes, topology)
