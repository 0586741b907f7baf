"""Bugs in what is changed in etcd: the in-sync sets, the active site, and who leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coordinator import switching, translate
from coordinator.ballot import PutConfiguration, Request
from coordinator.configuration import Configuration, ReplicaId
from coordinator.keyvalue import Unchanged
from coordinator.ports import Registry
from coordinator.records import EventRecord, Keys
from coordinator.stamp import Stamp
from coordinator.switching import Switched
from coordinator.translate import Transaction
from loadtest.sim.planted.plant import Change, Plant
from node.core import etcd, keeping, reconfigure
from node.core.follower import Follower
from node.core.inputs import ConfigurationSeen, GuardUnknown, Input, LeaderSeen
from node.core.leader import Leader
from node.core.progress import Progress
from node.core.replica import Replica

_transaction: Final = translate.transaction
_hear: Final = etcd.hear
_send: Final = switching._send


def _never_cover(
    change: reconfigure.Change, durable: Mapping[ReplicaId, int], cover: int, now: float
) -> None:
    if change.phase is reconfigure.Phase.COVERING:
        change._send(now)


def _without_the_epoch(keys: Keys, request: Request) -> Transaction:
    guards, then, otherwise = _transaction(keys, request)
    if isinstance(request, PutConfiguration):
        guards = tuple(guard for guard in guards if guard.key != keys.leader)
    return guards, then, otherwise


def _admit_whoever_answers(leader: Leader, peer: Progress, now: float) -> Configuration | None:
    if peer.replica is None or peer.is_silent(peer.replica, now):
        return None
    former = [m for m in leader.configuration.members if m.node == peer.node]
    if not all(peer.is_silent(disk, now) for disk in former):
        return None
    site = leader.state.identity.peers[peer.node]
    return reconfigure.admitting(leader.configuration, site, peer.replica)


def _cover_the_active_site(
    change: reconfigure.Change, durable: Mapping[ReplicaId, int], cover: int, now: float
) -> None:
    active = change.target.active_set
    covered = sum(durable.get(member, 0) >= cover for member in active) * 2 > len(active)
    if change.phase is reconfigure.Phase.COVERING and covered:
        change._send(now)


def _give_up_what_is_unknown(replica: Replica, input: Input, now: float) -> None:
    role = replica.role
    if isinstance(input, GuardUnknown) and isinstance(role, Leader) and role.change is not None:
        role.change = None
    else:
        _hear(replica, input, now)


def _go_on_leading(replica: Replica, input: Input, now: float) -> None:
    _hear(replica, input, now)
    state, role = replica.state, replica.role
    if (
        isinstance(role, Follower)
        and isinstance(input, LeaderSeen | ConfigurationSeen)
        and (role.leader, role.leader_epoch) == (state.me.node, state.promised)
        and state.configuration is not None
        and state.is_member()
    ):
        leader = Leader(state, state.promised, state.configuration, state.revision)
        replica.role = leader
        leader.begin(now)


async def _send_without_more(
    registry: Registry,
    keys: Keys,
    revision: int,
    planned: Configuration,
    event: EventRecord,
    stamp: Stamp,
    *more: Unchanged,
) -> Switched:
    return await _send(registry, keys, revision, planned, event, stamp)


PLANTS: Final = (
    Plant(
        "change-not-covered",
        "S2",
        "an eviction or admission is sent before the new set has what is committed",
        (Change(reconfigure.Change, "advance", _never_cover),),
    ),
    Plant(
        "change-not-guarded",
        "E4",
        "an eviction or admission does not compare the leader's epoch, the revision alone",
        (Change(translate, "transaction", _without_the_epoch),),
        ("handovers", "etcd"),
    ),
    Plant(
        "standby-back-too-early",
        "S6",
        "a standby counts again as soon as it answers, without what is committed",
        (
            Change(keeping, "_admission", _admit_whoever_answers),
            Change(reconfigure.Change, "advance", _cover_the_active_site),
        ),
    ),
    Plant(
        "unknown-taken-for-failure",
        "S4",
        "a set change of unknown outcome is given up as if it had failed",
        (Change(etcd, "hear", _give_up_what_is_unknown),),
    ),
    Plant(
        "epoch-resumed",
        "T8",
        "a restarted process that finds the key in its own name leads on in that epoch",
        (Change(etcd, "hear", _go_on_leading),),
    ),
    Plant(
        "promotion-not-guarded",
        "X4",
        "a promotion with loss does not look whether the leader key changed hands since the fence",
        (Change(switching, "_send", _send_without_more),),
        ("promotion",),
    ),
)
