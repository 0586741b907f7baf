"""Faults of leadership: an answer without a quorum, and a leader that nobody can depose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coordinator.configuration import Configuration, ReplicaId
from loadtest.drill.planted.fault import Fault
from loadtest.sim.planted import catalogue as simulator
from loadtest.sim.planted.plant import Change, Plant
from node.core import etcd, leader, peers
from node.core.inputs import ConfigurationSeen, GuardFailed, Input, LeaderSeen
from node.core.leader import Leader
from node.core.messages import Ack, Append, Fence, Message, Refuse
from node.core.replica import Replica

_receive: Final = peers.receive
_hear: Final = etcd.hear


def _one_disk_is_enough(configuration: Configuration, durable: Mapping[ReplicaId, int]) -> int:
    return max(durable.values(), default=0)


def _receive_without_fences(
    replica: Replica, sender: ReplicaId, message: Message, now: float
) -> None:
    state = replica.state
    if isinstance(replica.role, Leader) and isinstance(message, Append | Fence | Refuse):
        return  # whoever leads now: this one leads on
    if isinstance(message, Append) and message.epoch < state.promised:
        index = message.prev_index + len(message.entries)
        state.send(sender.node, Ack(message.epoch, message.round, index))
        return
    _receive(replica, sender, message, now)


def _hear_no_end(replica: Replica, input: Input, now: float) -> None:
    ends = isinstance(input, LeaderSeen | ConfigurationSeen | GuardFailed)
    if not (ends and isinstance(replica.role, Leader)):
        _hear(replica, input, now)


FAULTS: Final = (
    Fault(
        Plant(
            "answers-before-quorum",
            "T7",
            "a settlement is answered as soon as one disk has it, the leader's own",
            (Change(leader, "quorum_index", _one_disk_is_enough),),
        ),
        "leader-lost-unheard",
        "lost_approval",
    ),
    Fault(simulator.find("standby-not-counted"), "site-lost-unheard", "lost_approval"),
    Fault(
        Plant(
            "ignores-fences",
            "D3",
            "a leader that was deposed leads on, and replicas acknowledge it in spite of their "
            "promise",
            (
                Change(peers, "receive", _receive_without_fences),
                Change(etcd, "hear", _hear_no_end),
            ),
        ),
        "two-leaders-paused",
        "lost_approval",
    ),
)
