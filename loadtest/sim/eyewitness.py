"""What the witness is told of each step, with the disks as they are at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import ReplicaId
from loadtest.history import Heard
from loadtest.sim.ground import Ground
from loadtest.sim.witness import Violation
from node.core import Replica
from node.core.inputs import ConfigurationSeen, GuardPassed, Input, Inquired
from node.core.leader import Leader
from node.core.messages import Entry
from node.core.outputs import ChangeConfiguration, Install, Output

if TYPE_CHECKING:
    from loadtest.sim.node import SimNode
    from loadtest.sim.storage.disk import SimDisk


def see(
    ground: Ground, node: SimNode, me: ReplicaId, replica: Replica, input: Input, output: Output
) -> None:
    """The replica `me` of `node` has taken a step. What must not be ends the day."""
    witness, disk = ground.witness, node.disk
    try:
        if isinstance(input, Inquired):
            witness.asked(node.name, node.life, input.read)
        for write in output.persist:
            if isinstance(write, Install):
                witness.installing(me, write.promised, write.offer, disk)
        for send in output.send:
            witness.sent(me, send.message, disk.promised, disk.entries)
        if output.prune:
            _pruning(ground, me, output.prune)
        if isinstance(replica.role, Leader):
            _leading(ground, node, replica, replica.role, output)
        witness.stepped(node.name, node.life, replica, disk.entries, output, disk.promised)
        if isinstance(replica.role, Leader) and output.apply:
            _committed(ground, node, replica.role, output.apply[-1].index)
        if isinstance(input, GuardPassed | ConfigurationSeen):
            _configured(ground)
    except Violation as violation:
        ground.broken(violation.invariant, violation.words)


def hear(ground: Ground, terminal: str, heard: Heard) -> None:
    """A terminal has heard something."""
    if heard.reply is not None:
        try:
            ground.witness.told(terminal, heard.reply.index)
        except Violation as violation:
            ground.broken(violation.invariant, violation.words)


def _pruning(ground: Ground, me: ReplicaId, index: int) -> None:
    configuration, _ = ground.etcd.configuration()
    if configuration is None or me in configuration.given_up:
        return  # whatever it does, nobody asks for it any more
    logs = _logs(ground)
    there = {member: logs[member] for member in configuration.members if member in logs}
    ground.witness.pruned(me, index, there)


def _leading(
    ground: Ground, node: SimNode, replica: Replica, leader: Leader, output: Output
) -> None:
    """It has begun to lead, or asks for a change of the sets."""
    witness = ground.witness
    if leader.epoch not in witness.leaders and not _has_lied(ground):
        promised = {replica: disk.promised for replica, disk in _disks(ground).items()}
        witness.won(node.name, leader.epoch, leader.configuration, promised)
    for ask in output.ask_registry:
        if isinstance(ask, ChangeConfiguration) and _holds_the_key(ground, leader):
            cover = max(replica.state.commit, leader.start_index)
            chain = replica.state.log.hash_at(cover)
            witness.changing(node.name, cover, chain, ask, _all_logs(ground))


def _committed(ground: Ground, node: SimNode, leader: Leader, index: int) -> None:
    configuration, _ = ground.etcd.configuration()
    if configuration is not None and _holds_the_key(ground, leader):
        ground.witness.counted(node.name, index, configuration, _all_logs(ground))


def _configured(ground: Ground) -> None:
    """Somebody is the first to hear of another configuration: etcd has held it for a moment."""
    witness = ground.witness
    configuration, revision = ground.etcd.configuration()
    if configuration is None or revision <= witness.configured_at:
        return
    witness.configured_at = revision
    _, held = ground.etcd.leader()
    if 0 < held < revision:
        witness.changed(held, revision, configuration)
    if not _has_lied(ground):
        witness.configured(configuration, _all_logs(ground))


def _holds_the_key(ground: Ground, leader: Leader) -> bool:
    """While it does nobody else can have changed the sets, or promised more than it asked for; but
    a disk that lied no longer holds what it rightly vouched for."""
    _, held = ground.etcd.leader()
    return held == leader.epoch and not _has_lied(ground)


def _has_lied(ground: Ground) -> bool:
    return any(disk.lied for node in ground.nodes.values() for disk in node.disks)


def _disks(ground: Ground) -> dict[ReplicaId, SimDisk]:
    """Every disk there ever was."""
    disks = [disk for node in ground.nodes.values() for disk in node.disks]
    return {ReplicaId(disk.name, disk.disk_id): disk for disk in disks}


def _all_logs(ground: Ground) -> dict[ReplicaId, list[Entry]]:
    """What is on every disk there ever was."""
    return {replica: disk.entries for replica, disk in _disks(ground).items()}


def _logs(ground: Ground) -> dict[ReplicaId, list[Entry]]:
    """What is on the disks that the nodes have now."""
    return {
        ReplicaId(node.name, node.disk.disk_id): node.disk.entries for node in ground.nodes.values()
    }
