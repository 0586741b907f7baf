"""What etcd holds of a cluster, as an operator's command reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from coordinator import translate
from coordinator.configuration import Configuration
from coordinator.keyvalue import Get
from coordinator.ports import Registry
from coordinator.records import Keys, LeaderRecord, NodeRecord, RecordError, ReportRecord
from coordinator.registry import Registry as Etcd
from deploy.topology import Topology

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Written:
    """`revision` is the configuration's. Records that cannot be read are left out."""

    configuration: Configuration | None
    revision: int
    leader: LeaderRecord | None
    nodes: tuple[NodeRecord, ...]
    reports: tuple[ReportRecord, ...]


def ask(topology: Topology, question: Callable[[Registry], Awaitable[_Answer]]) -> _Answer:
    """The answer of etcd to `question`, over a connection of its own. Raises what it raises."""

    async def asked() -> _Answer:
        registry = Etcd(topology.etcd_endpoints, topology.timings.etcd_deadline_ms)
        try:
            return await question(registry)
        finally:
            await registry.close()

    return asyncio.run(asked())


def read(topology: Topology) -> Written:
    """What is there now. Raises `RegistryError` where etcd is away."""
    return ask(topology, lambda registry: read_from(registry, topology.cluster))


async def read_from(registry: Registry, cluster: str) -> Written:
    """What is there now, over a connection that there is. Raises `RegistryError`."""
    keys = Keys(cluster)
    outcome = await registry.transact((), (Get(keys.configuration), Get(keys.leader)))
    seen = translate.seen_in_outcome(keys, outcome)
    pairs = (await registry.list(keys.nodes)).pairs
    nodes = (translate.node_record(keys, pair.key, pair.value) for pair in pairs)
    reports: list[ReportRecord] = []
    for pair in (await registry.list(keys.reports)).pairs:
        with suppress(RecordError):
            reports.append(ReportRecord.from_json(pair.value))
    return Written(
        seen.configuration,
        seen.configuration_revision,
        seen.leader,
        tuple(node for node in nodes if node is not None),
        tuple(reports),
    )
