"""The first configuration of a cluster (rule E1), as its topology asks for it."""

from __future__ import annotations

import secrets
from typing import Final

from coordinator.initialise import Initialised, Plan, existing, initialise
from coordinator.ports import Registry
from deploy.topology import Topology
from deploy.written import ask

_WAIT_MS: Final = 20_000  # for the nodes to publish themselves


def first_configuration(topology: Topology) -> Initialised:
    """Make it, unless there is one; `created` of the answer tells which.

    Every node of the topology must be running and empty. Raises `InitialiseError` saying which is
    not, and `RegistryError` where etcd is away.
    """
    return ask(topology, lambda registry: _make(registry, topology))


async def _make(registry: Registry, topology: Topology) -> Initialised:
    plan = Plan(
        sites={site.name: [node.name for node in site.nodes] for site in topology.sites},
        active_site=topology.active_site,
        copies_min=topology.copies_min,
        cluster_id=secrets.token_hex(8),
        in_batches=frozenset(site.name for site in topology.sites if site.batch_every_ms),
    )
    found = await existing(registry, topology.cluster)
    return found or await initialise(registry, topology.cluster, plan, _WAIT_MS)
