"""Faults done to a real cluster, and undone: always, in the reverse order, whatever happened."""

from __future__ import annotations

import time
from collections.abc import Callable

from deploy.control import Control, NodeStatus
from deploy.lab.folder import ClusterError
from deploy.lab.processes import Cluster
from deploy.lab.program import ProgramFailed
from loadtest.faults import (
    AnyFault,
    HandOver,
    Kill,
    NobodyToHurt,
    Pause,
    Resume,
    Stage,
    Start,
    Stop,
    cast,
    healing,
)

Note = Callable[[str, str], None]

_LOOK_EVERY_S = 0.1
_STATUS_S = 1.0
_LEADER_WITHIN_S = 5.0  # a busy machine may not answer at the first look
_LAG_MAX = 50  # entries


class DrillFailed(RuntimeError):
    """The drill could not be played as written; the message says which step and why."""


class Scene:
    """The cluster of one drill. `note` puts on record what is done, when it is done."""

    def __init__(self, cluster: Cluster, note: Note) -> None:
        self._cluster = cluster
        self._note = note
        self._to_heal: list[AnyFault] = []
        self._together: list[int] = []  # how many healings each fault left
        self._touched: set[str] = set()

    def leader(self) -> NodeStatus | None:
        """The status of the node that leads and serves; the highest epoch, if several say so."""
        found = [each for each in self._statuses() if each.role == "leader" and each.serving]
        return max(found, key=lambda status: status.epoch, default=None)

    def epoch(self) -> int:
        """The highest epoch that any node has promised."""
        return max((status.epoch for status in self._statuses()), default=0)

    def reasons(self) -> dict[str, str]:
        """Why nodes that answer do not serve, by node."""
        return {
            each.node: each.reason for each in self._statuses() if not each.serving and each.reason
        }

    def do(self, fault: AnyFault) -> None:
        """Do it now. Its healing waits for `heal`. Raises `DrillFailed`."""
        names = self._victims(fault.target)
        self._note(f"{type(fault).__name__.lower()} {', '.join(names)}", fault.target)
        if healing(fault) is not None:
            self._together.append(len(names))
        for name in names:
            self._touched.add(name)
            single = type(fault)(name)
            undo = healing(single)
            if undo is not None:
                self._to_heal.append(undo)
            self._perform(single)

    def heal(self, *, everything: bool) -> None:
        """Undo the latest fault, or all of them. Raises `DrillFailed` if that does not work."""
        if not self._to_heal:
            return
        count = len(self._to_heal) if everything else self._together[-1]
        self._together = [] if everything else self._together[:-1]
        for _ in range(count):
            undo = self._to_heal[-1]
            self._perform(undo)
            self._to_heal.pop()
            self._note(f"{type(undo).__name__.lower()} {undo.target}", "healed")

    def heal_whatever_happened(self) -> None:
        """At the end, also after a failure: try every healing, and go on when one fails."""
        while self._to_heal:
            undo = self._to_heal.pop()
            try:
                self._perform(undo)
                self._note(f"{type(undo).__name__.lower()} {undo.target}", "healed at the end")
            except (ClusterError, ProgramFailed, DrillFailed) as problem:
                self._note(f"could not {type(undo).__name__.lower()} {undo.target}", str(problem))

    def await_in_sync(self, count: int, within_s: float) -> None:
        """Wait until the leader counts so many replicas in, all of them there and close behind.

        Raises `DrillFailed`.
        """
        seen = "nobody leads"
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            leader = self.leader()
            if leader is not None:
                seen = ", ".join(replica.partition("/")[0] for replica in leader.in_sync)
                if len(leader.in_sync) == count and _together(leader):
                    self._note(f"{count} in sync", seen)
                    return
            time.sleep(_LOOK_EVERY_S)
        raise DrillFailed(f"waited {within_s:.0f} s for {count} in sync; last seen: {seen}")

    def _perform(self, fault: AnyFault) -> None:
        cluster, name = self._cluster, fault.target
        node = name in cluster.terminal_endpoints()
        match fault:
            case Kill():
                (cluster.kill_node if node else cluster.kill_etcd)(name)
            case Pause():
                (cluster.pause_node if node else cluster.pause_etcd)(name)
            case Resume():
                (cluster.resume_node if node else cluster.resume_etcd)(name)
            case Stop():
                if not node:
                    raise DrillFailed(f"{name}: a member of etcd can be killed or paused")
                cluster.stop_node(name)
            case Start():
                (cluster.start_node if node else cluster.start_etcd)(name)
            case HandOver():
                self._hand_over(name)

    def _victims(self, target: str) -> tuple[str, ...]:
        deadline = time.monotonic() + _LEADER_WITHIN_S
        while True:
            stage = self._stage()
            try:
                if stage.leader is not None or target != "follower":
                    return cast(target, stage)
                words = "nobody leads, so nobody follows"
            except NobodyToHurt as problem:
                words = str(problem)
            if time.monotonic() >= deadline:
                raise DrillFailed(words)
            time.sleep(_LOOK_EVERY_S)

    def _hand_over(self, leader: str) -> None:
        with Control(self._cluster.control_endpoints()[leader]) as control:
            answer = control.handover()
        if not answer.started:
            raise DrillFailed(f"{leader} refused to hand over: {answer.reason}")
        self._note(f"{leader} hands over to {answer.target}", answer.reason)

    def _stage(self) -> Stage:
        leader = self.leader()
        return Stage(
            leader=leader.node if leader else None,
            nodes=tuple(self._cluster.terminal_endpoints()),
            etcd=tuple(member.name for member in self._cluster.topology.etcd),
            down=frozenset(undo.target for undo in self._to_heal),
            touched=frozenset(self._touched),
        )

    def _statuses(self) -> list[NodeStatus]:
        statuses = self._cluster.statuses(timeout_s=_STATUS_S).values()
        return [status for status in statuses if status is not None]


def _together(leader: NodeStatus) -> bool:
    """Is every replica of the set connected and at most a moment behind?

    One that was restarted within the eviction time never left the set, but may still be away.
    """
    return all(
        peer.connected and peer.lag <= _LAG_MAX
        for peer in leader.peers
        if f"{peer.node}/{peer.disk_id}" in leader.in_sync
    )
