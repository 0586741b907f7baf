"""The first configuration of a cluster (E1): made once, by a person's command, never by a node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator import translate
from coordinator.configuration import Configuration, ConfigurationError, ReplicaId
from coordinator.keyvalue import Get, Listing, OutcomeUnknown, Put, Unchanged
from coordinator.ports import Registry
from coordinator.records import Keys, NodeRecord

_LOOK_S: Final = 0.2


class InitialiseError(Exception):
    """The cluster cannot be initialised (yet); the message says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: the nodes of each site, and the settings of the first configuration.

    `cluster_id` is new and random, and kept by whoever may have to ask again. `in_batches`: the
    sites of which nobody counts, since they are fed in batches (X6).
    """

    sites: Mapping[str, Sequence[str]]
    active_site: str
    copies_min: int
    cluster_id: str
    in_batches: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Initialised:
    """The configuration and its revision; `created` is False where it was there before."""

    configuration: Configuration
    revision: int
    created: bool


async def existing(registry: Registry, cluster: str) -> Initialised | None:
    """The configuration the cluster already has, or None.

    Raises `InitialiseError` for one that cannot be read, `RegistryError` where etcd is away.
    """
    key = Keys(cluster).configuration
    pair = (await registry.transact((), (Get(key),))).found.get(key)
    if pair is None:
        return None
    try:
        return Initialised(Configuration.from_json(pair.value), pair.mod_revision, created=False)
    except ConfigurationError as problem:
        raise InitialiseError(f"{key} in etcd: {problem}") from problem


async def initialise(registry: Registry, cluster: str, plan: Plan, wait_ms: int) -> Initialised:
    """Create the configuration, once every node of the plan has published and all are empty.

    A configuration with the plan's own cluster id is returned as it is. Waits up to `wait_ms` for
    the nodes. Raises `InitialiseError` naming the nodes that are missing or not empty, or the
    cluster id that is there instead; `RegistryError` where etcd is away.
    """
    if not plan.sites.get(plan.active_site):
        raise InitialiseError(f"the active site {plan.active_site!r} has no nodes")
    clock = asyncio.get_running_loop().time
    until = clock() + wait_ms / 1000
    keys = Keys(cluster)
    created = False
    while True:
        found = await existing(registry, cluster)
        if found is not None:
            if found.configuration.cluster_id != plan.cluster_id:
                raise InitialiseError(
                    f"the cluster {cluster!r} exists already, with the cluster id "
                    f"{found.configuration.cluster_id}"
                )
            return replace(found, created=created)
        listing = await registry.list(keys.nodes)
        nodes = _nodes(keys, listing)
        missing = [name for names in plan.sites.values() for name in names if name not in nodes]
        if not missing:
            await _create(registry, keys, plan, listing, nodes)
            created = True
        elif clock() >= until:
            raise InitialiseError(
                f"not (yet) published under {keys.nodes} in etcd: {', '.join(missing)}; "
                "are these nodes running?"
            )
        else:
            await asyncio.sleep(_LOOK_S)


def _nodes(keys: Keys, listing: Listing) -> dict[str, NodeRecord]:
    records = (translate.node_record(keys, pair.key, pair.value) for pair in listing.pairs)
    return {record.node: record for record in records if record is not None}


def _configuration(plan: Plan, nodes: Mapping[str, NodeRecord]) -> Configuration:
    """The first configuration. Raises `InitialiseError` unless every node fits and is empty."""
    full = [
        f"{name} (last index {nodes[name].last_index})"
        for names in plan.sites.values()
        for name in names
        if nodes[name].last_index
    ]
    if full:
        raise InitialiseError(
            f"a new cluster begins with empty nodes, but these hold a log: {', '.join(full)}"
        )
    for site, names in plan.sites.items():
        for name in names:
            if nodes[name].site != site:
                raise InitialiseError(
                    f"{name} says that it is in site {nodes[name].site!r}, not {site!r}"
                )
    in_sync = {
        site: frozenset(
            ReplicaId(name, nodes[name].disk) for name in names if site not in plan.in_batches
        )
        for site, names in plan.sites.items()
    }
    try:
        return Configuration(plan.cluster_id, plan.active_site, in_sync, plan.copies_min)
    except ConfigurationError as problem:
        raise InitialiseError(str(problem)) from problem


async def _create(
    registry: Registry,
    keys: Keys,
    plan: Plan,
    listing: Listing,
    nodes: Mapping[str, NodeRecord],
) -> None:
    """Put the configuration if there is none, and if no node has said anything new meanwhile.

    The caller reads what came of it, which is also the answer to an unknown outcome.
    """
    configuration = _configuration(plan, nodes)
    planned = {keys.node(name) for names in plan.sites.values() for name in names}
    guards = [Unchanged(keys.configuration, 0)] + [
        Unchanged(pair.key, pair.mod_revision) for pair in listing.pairs if pair.key in planned
    ]
    with contextlib.suppress(OutcomeUnknown):
        await registry.transact(guards, (Put(keys.configuration, configuration.to_json()),))
