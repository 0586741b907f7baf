"""Between the election's words and etcd's keys: requests to transactions, pairs to what was seen.

Pure. Every transaction of the election also reads the leader key and the configuration, in both
branches, so that whatever happens the election learns how things stand.
"""

from __future__ import annotations

from coordinator.ballot import (
    ConfigurationChanged,
    Confirm,
    DeleteLeader,
    LeaderChanged,
    PutConfiguration,
    PutLeader,
    ReadBack,
    Request,
    Seen,
)
from coordinator.configuration import Configuration, ConfigurationError
from coordinator.keyvalue import (
    Changed,
    Delete,
    Get,
    KeyValue,
    Listing,
    Operation,
    Outcome,
    Put,
    Unchanged,
)
from coordinator.records import Keys, LeaderRecord, NodeRecord, RecordError

Transaction = tuple[tuple[Unchanged, ...], tuple[Operation, ...], tuple[Operation, ...]]
"""Guards, what to do if they hold, what to do if not."""


def transaction(keys: Keys, request: Request) -> Transaction:
    """The transaction that carries out `request`."""
    look = (Get(keys.leader), Get(keys.configuration))
    guards: tuple[Unchanged, ...]
    match request:
        case PutLeader(record, suspected, revision, lease):
            guards = (Unchanged(keys.leader, suspected), Unchanged(keys.configuration, revision))
            return guards, (Put(keys.leader, record.to_json(), lease), *look), look
        case DeleteLeader(epoch):
            return (Unchanged(keys.leader, epoch),), (Delete(keys.leader), *look), look
        case PutConfiguration(_, epoch, revision, configuration, resigning):
            guards = (Unchanged(keys.leader, epoch), Unchanged(keys.configuration, revision))
            put = Put(keys.configuration, configuration.to_json())
            # Before the reads, so that they show the switch as it stands: the key has gone (E5).
            away = (Delete(keys.leader),) if resigning else ()
            return guards, (put, *away, *look), look
        case Confirm() | ReadBack():
            return (), look, ()


def seen_in_outcome(keys: Keys, outcome: Outcome) -> Seen:
    """What a transaction's reads found."""
    return _seen(keys, outcome.revision, outcome.found)


def seen_in_listing(keys: Keys, listing: Listing) -> Seen:
    """What a listing of the cluster's prefix shows."""
    return _seen(keys, listing.revision, {pair.key: pair for pair in listing.pairs})


def seen_in_change(keys: Keys, change: Changed) -> LeaderChanged | ConfigurationChanged | None:
    """What a watched change means to the election; None where it means nothing."""
    if change.key == keys.leader:
        if change.value is None:
            return LeaderChanged(change.mod_revision, 0, None)
        leader = _leader(change.value, change.mod_revision)
        return LeaderChanged(change.mod_revision, change.mod_revision, leader)
    if change.key == keys.configuration and change.value is not None:
        configuration = _configuration(change.value)
        if configuration is not None:
            return ConfigurationChanged(change.mod_revision, configuration)
    return None


def node_record(keys: Keys, key: str, value: bytes) -> NodeRecord | None:
    """The node's record in a pair; None where it is another kind of key, or cannot be read."""
    if not key.startswith(keys.nodes):
        return None
    try:
        return NodeRecord.from_json(value)
    except RecordError:
        return None


def _seen(keys: Keys, revision: int, found: dict[str, KeyValue]) -> Seen:
    leader = found.get(keys.leader)
    configuration = found.get(keys.configuration)
    return Seen(
        revision=revision,
        epoch=leader.mod_revision if leader else 0,
        leader=_leader(leader.value, leader.mod_revision) if leader else None,
        configuration_revision=configuration.mod_revision if configuration else 0,
        configuration=_configuration(configuration.value) if configuration else None,
    )


def _leader(value: bytes, epoch: int) -> LeaderRecord | None:
    try:
        return LeaderRecord.from_json(value, epoch)
    except RecordError:
        return None


def _configuration(value: bytes) -> Configuration | None:
    try:
        return Configuration.from_json(value)
    except ConfigurationError:
        return None
