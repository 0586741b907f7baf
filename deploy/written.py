"""What etcd holds of a cluster, as an operator's command reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from coordinator.configuration import Configuration, ConfigurationError
from coordinator.keyvalue import Get
from coordinator.records import Keys, LeaderRecord, NodeRecord, RecordError, ReportRecord
from coordinator.registry import Registry
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
        registry = Registry(topology.etcd_endpoints, topology.timings.etcd_deadline_ms)
        try:
            return await question(registry)
        finally:
            await registry.close()

    return asyncio.run(asked())


def read(topology: Topology) -> Written:
    """What is there now. Raises `RegistryError` where etcd is away."""
    return ask(topology, lambda registry: _read(registry, topology.cluster))


async def _read(registry: Registry, cluster: str) -> Written:
    keys = Keys(cluster)
    found = (await registry.transact((), (Get(keys.configuration), Get(keys.leader)))).found
    configuration: Configuration | None = None
    revision = 0
    leader: LeaderRecord | None = None
    if keys.configuration in found:
        revision = found[keys.configuration].mod_revision
        with suppress(ConfigurationError):
            configuration = Configuration.from_json(found[keys.configuration].value)
    if keys.leader in found:
        pair = found[keys.leader]
        with suppress(RecordError):
            leader = LeaderRecord.from_json(pair.value, pair.mod_revision)
    nodes: list[NodeRecord] = []
    for pair in (await registry.list(keys.nodes)).pairs:
        with suppress(RecordError):
            nodes.append(NodeRecord.from_json(pair.value))
    reports: list[ReportRecord] = []
    for pair in (await registry.list(keys.reports)).pairs:
        with suppress(RecordError):
            reports.append(ReportRecord.from_json(pair.value))
    return Written(configuration, revision, leader, tuple(nodes), tuple(reports))
