"""What the witness is told of each step, with the disks as they are at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import ReplicaId
from loadtest.sim.ground import Ground
from loadtest.sim.witness import Violation
from node.core import Replica
from node.core.inputs import ConfigurationSeen, GuardPassed, Input, Inquired
from node.core.leader import Leader
from node.core.messages import Entry
from node.core.outputs import Install, Output

if TYPE_CHECKING:
    from loadtest.sim.node import SimNode


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
        witness.stepped(node.name, node.life, replica, disk.entries, output, disk.promised)
        changed = isinstance(input, GuardPassed | ConfigurationSeen)
        if isinstance(replica.role, Leader) and (output.apply or changed):
            committed = output.apply[-1].index if output.apply else 0
            _quorums(ground, node, replica.role, committed, changed=changed)
    except Violation as violation:
        ground.broken(violation.invariant, violation.words)


def _pruning(ground: Ground, me: ReplicaId, index: int) -> None:
    configuration, _ = ground.etcd.configuration()
    if configuration is None or me in configuration.given_up:
        return  # whatever it does, nobody asks for it any more
    logs = _logs(ground)
    there = {member: logs[member] for member in configuration.members if member in logs}
    ground.witness.pruned(me, index, there)


def _quorums(
    ground: Ground, node: SimNode, leader: Leader, committed: int, *, changed: bool
) -> None:
    """While the key is the leader's nobody else can have changed the sets."""
    _, held = ground.etcd.leader()
    configuration, _ = ground.etcd.configuration()
    disks = [disk for each in ground.nodes.values() for disk in each.disks]
    if held != leader.epoch or configuration is None or any(disk.lied for disk in disks):
        return  # a disk that lied no longer holds what it rightly vouched for
    logs = {ReplicaId(disk.name, disk.disk_id): disk.entries for disk in disks}
    if committed:
        ground.witness.counted(node.name, committed, configuration, logs)
    if changed:
        ground.witness.configured(configuration, logs)


def _logs(ground: Ground) -> dict[ReplicaId, list[Entry]]:
    """What is on the disks that the nodes have now."""
    return {
        ReplicaId(node.name, node.disk.disk_id): node.disk.entries for node in ground.nodes.values()
    }
