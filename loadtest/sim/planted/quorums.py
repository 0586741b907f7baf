"""Bugs in counting: what is committed, who may lead, and with which log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from coordinator.configuration import (
    Configuration,
    ReplicaId,
    is_takeover_quorum,
    majority,
    quorum_index,
    takeover_size,
)
from loadtest.sim.planted.plant import Change, Plant
from node.core import leader, takeover
from node.core.leader import Leader
from node.core.progress import Progress
from node.core.takeover import Takeover

_durable: Final = Leader.durable


def _count_any_epoch(role: Leader, now: float) -> None:
    durable = role.durable()
    role.state.advance_commit(min(quorum_index(c, durable) for c in role._configurations()))
    if role.change is not None:
        role.change.advance(durable, max(role.state.commit, role.start_index), now)
    if role.move is not None:
        role.move.advance(now)


def _durable_when_written(role: Leader) -> dict[ReplicaId, int]:
    return _durable(role) | {role.state.me: role.state.log.last_index}


def _quorum_of_the_active_site(
    configuration: Configuration, durable: Mapping[ReplicaId, int]
) -> int:
    ranked = sorted((durable.get(each, 0) for each in configuration.active_set), reverse=True)
    return ranked[majority(len(ranked)) - 1]


def _one_promise_less(
    configuration: Configuration, site: str, replicas: Collection[ReplicaId]
) -> bool:
    members = configuration.in_sync[site]
    needed = takeover_size(len(members)) or 1
    return len(members & frozenset(replicas)) >= max(1, needed - 1)


def _keep_the_own_log(role: Takeover, now: float) -> None:
    site = role.state.identity.site
    if role.state.me in role.promises:
        role.ready = is_takeover_quorum(role.configuration, site, role.promises)


def _only_the_new_set(role: Leader) -> Iterable[Configuration]:
    return (role.configuration if role.change is None else role.change.target,)


def _hear_a_node(peer: Progress, sender: ReplicaId, now: float) -> None:
    peer.heard_at = now
    if peer.replica is None:
        peer.replica, peer.replica_since = sender, now


PLANTS: Final = (
    Plant(
        "older-epoch-counts",
        "T7",
        "an entry of an older epoch is committed by counting its copies",
        (Change(Leader, "count", _count_any_epoch),),
    ),
    Plant(
        "own-fsync-not-waited-for",
        "D4",
        "the leader counts itself before its own fsync",
        (Change(Leader, "durable", _durable_when_written),),
    ),
    Plant(
        "standby-not-counted",
        "X1",
        "a commit asks for a majority of the active site alone",
        (Change(leader, "quorum_index", _quorum_of_the_active_site),),
    ),
    Plant(
        "takeover-quorum-too-small",
        "T4",
        "a takeover begins with one promise less than it needs",
        (Change(takeover, "is_takeover_quorum", _one_promise_less),),
    ),
    Plant(
        "own-log-kept",
        "T5",
        "the winner leads with its own log, whatever the others have",
        (Change(Takeover, "_choose", _keep_the_own_log),),
    ),
    Plant(
        "new-set-counts-early",
        "S1",
        "the new in-sync set counts before etcd has agreed to it",
        (Change(Leader, "_configurations", _only_the_new_set),),
    ),
    Plant(
        "lost-disk-counted",
        "D6",
        "a node that comes back with another disk counts with what the former one had",
        (Change(Progress, "_hear", _hear_a_node),),
    ),
)
