"""What the cluster of a drill says of itself, and waiting until it says something."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy import sight
from deploy.alarms import alarms
from deploy.control import NodeStatus, leader_of
from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest.drill.admissions import LAG_MAX, Admissions
from loadtest.drill.steps import Alarm, Await, Frozen, Pruned, SnapshotTaken, Whole

Note = Callable[[str, str], None]

LOOK_EVERY_S: Final = 0.25
"""How often the nodes are asked how they are: asking six costs the load something."""

_STATUS_S: Final = 1.0
_INSTALLING: Final = "installing index"  # what a node writes when it takes in a snapshot


class DrillFailed(RuntimeError):
    """The drill could not be played as written; the message says which step and why."""


class PromiseBroken(DrillFailed):
    """The cluster did not do what a step demands of it: the drill has failed, whatever follows."""


class Lookout:
    """Stands in the control room. `note` puts on record what is seen."""

    def __init__(self, cluster: Cluster, note: Note) -> None:
        self._cluster = cluster
        self._note = note
        self._admissions = Admissions()

    def statuses(self) -> dict[str, NodeStatus | None]:
        """Each node's status, None for a silent one; whoever was newly counted goes on record."""
        found = self._cluster.statuses(timeout_s=_STATUS_S)
        leader = leader_of(found)
        if leader is not None:
            lags = {peer.replica: peer.lag for peer in leader.peers}
            for words in self._admissions.see(leader.counted, lags):
                self._note("newly in sync", words)
        return found

    def leader(self) -> NodeStatus | None:
        """The status of the node that leads and serves; the highest epoch, if several say so."""
        return leader_of(self.statuses())

    def epoch(self) -> int:
        """The highest epoch that any node has promised."""
        return max((each.epoch for each in self.statuses().values() if each), default=0)

    def reasons(self) -> dict[str, str]:
        """Why nodes that answer do not serve, by node."""
        return {
            each.node: each.reason
            for each in self.statuses().values()
            if each and not each.serving and each.reason
        }

    def broken(self) -> str:
        """Replicas that were counted before they had caught up, in words; empty: none."""
        return "; ".join(self._admissions.broken)

    def await_that(self, wanted: Await) -> None:
        """Wait until the leader says all of this. Raises `DrillFailed`."""
        deadline = time.monotonic() + wanted.within_s
        seen = "nobody leads"
        while time.monotonic() < deadline:
            leader = self.leader()
            if leader is not None:
                seen = in_words(leader)
                if fulfils(leader, wanted):
                    self._note("as awaited", seen)
                    return
            time.sleep(LOOK_EVERY_S)
        raise DrillFailed(f"waited {wanted.within_s:.0f} s for {_wish(wanted)}; last seen: {seen}")

    def await_whole(self, wanted: Whole) -> None:
        """Wait until all is as the topology has it. Raises `DrillFailed` where that is required."""
        deadline = time.monotonic() + wanted.within_s
        missing, seen = "a leader", "nobody leads"
        while time.monotonic() < deadline:
            leader = self.leader()
            if leader is not None:
                seen = in_words(leader)
                missing = lacking(leader, self._cluster.topology)
                if not missing:
                    self._note("whole again", seen)
                    return
            time.sleep(LOOK_EVERY_S)
        words = f"waited {wanted.within_s:.0f} s for {missing}; last seen: {seen}"
        if wanted.required:
            raise DrillFailed(words)
        self._note("not whole; going on", words)

    def await_alarm(self, wanted: Alarm) -> None:
        """Wait for an alarm with these words in it. Raises `PromiseBroken`."""
        deadline = time.monotonic() + wanted.within_s
        while True:
            raised = alarms(sight.look(self._cluster.topology))
            found = [each for each in raised if wanted.contains in each]
            if found:
                self._note("alarm", found[0])
                return
            if time.monotonic() >= deadline:
                raise PromiseBroken(
                    f"no alarm says {wanted.contains!r}; there are: {'; '.join(raised) or 'none'}"
                )
            time.sleep(LOOK_EVERY_S)

    def await_frozen(self, wanted: Frozen) -> None:
        """For so long no node at a place may commit anything. Raises `PromiseBroken`."""
        at_start = self._committed(wanted.place)
        time.sleep(wanted.for_s)
        for node, index in self._committed(wanted.place).items():
            before = at_start.get(node, index)
            if index > before:
                raise PromiseBroken(
                    f"{node} was cut off, and its commit index went from {before} to {index}"
                )
        seen = ", ".join(f"{node} at {index}" for node, index in at_start.items())
        self._note(f"{wanted.place} settles nothing", seen or "nobody answers there")

    def _committed(self, place: str) -> dict[str, int]:
        statuses = self._cluster.statuses(timeout_s=_STATUS_S)
        return {
            name: each.commit_index
            for name, each in statuses.items()
            if each and each.site == place
        }

    def await_pruned(self, wanted: Pruned, last_index: int) -> None:
        """Wait until the leader's log begins after what follows `last_index`.

        Raises `DrillFailed`.
        """
        deadline = time.monotonic() + wanted.within_s
        seen = "nobody leads"
        while time.monotonic() < deadline:
            leader = self.leader()
            if leader is not None:
                seen = f"the log of {leader.node} begins after {leader.prune_index}"
                if leader.prune_index > last_index:
                    self._note("pruned", f"{seen}; the absent node stands at {last_index}")
                    return
            time.sleep(LOOK_EVERY_S)
        raise DrillFailed(
            f"waited {wanted.within_s:.0f} s until what follows {last_index} was pruned; {seen}"
        )

    def await_snapshot(self, wanted: SnapshotTaken, node: str, from_byte: int) -> None:
        """Wait until `node` says, after so many bytes of its log, that it installs a snapshot.

        Raises `PromiseBroken`.
        """
        deadline = time.monotonic() + wanted.within_s
        while True:
            words = installed(self._cluster.log(node), from_byte)
            if words:
                self._note(f"{node} takes in a snapshot", words)
                return
            if time.monotonic() >= deadline:
                raise PromiseBroken(f"{node} took in no snapshot within {wanted.within_s:.0f} s")
            time.sleep(LOOK_EVERY_S)


def installed(log: Path, from_byte: int) -> str:
    """The line in which a node says that it installs a snapshot; empty if there is none.

    Its status would not do: a small snapshot is in before anybody can look.
    """
    if not log.exists():
        return ""
    written = log.read_bytes()
    begin = from_byte if from_byte <= len(written) else 0  # the log was begun anew
    lines = written[begin:].decode(errors="replace").splitlines()
    return next((line for line in reversed(lines) if _INSTALLING in line), "")


def fulfils(leader: NodeStatus, wanted: Await) -> bool:
    """Does this leader say all that is asked for?"""
    return (
        wanted.in_sync in (None, len(leader.in_sync))
        and wanted.standby_in_sync in (None, len(leader.standby_in_sync))
        and wanted.mode in ("", leader.mode)
        and wanted.active in ("", leader.active_site)
        and ((wanted.in_sync is None and wanted.standby_in_sync is None) or together(leader))
    )


def lacking(leader: NodeStatus, topology: Topology) -> str:
    """What is not as the topology has it, by this leader's word; empty where all is.

    Every node of the active site is counted; those of the other site, too, unless that is sent what
    was settled once in a while only: then they are connected. Whoever is counted is close.
    """
    counted = {replica.partition("/")[0] for replica in leader.counted}
    connected = {peer.node for peer in leader.peers if peer.connected}
    found = []
    for site in topology.sites:
        in_batches = site.batch_every_ms > 0 and site.name != leader.active_site
        there, wish = (connected, "connected") if in_batches else (counted, "in sync")
        absent = [node.name for node in site.nodes if node.name not in there]
        if absent:
            found.append(f"{', '.join(absent)} {wish}")
    if not found and not together(leader):
        found.append("all that are counted connected and close")
    return "; ".join(found)


def together(leader: NodeStatus) -> bool:
    """Is every counted replica connected and at most a moment behind?

    One that was restarted within the eviction time never left the set, but may still be away.
    """
    return all(
        peer.connected and peer.lag <= LAG_MAX
        for peer in leader.peers
        if peer.replica in leader.counted
    )


def in_words(leader: NodeStatus) -> str:
    """The sets and the mode, as a line for the record."""
    names = ", ".join(replica.partition("/")[0] for replica in leader.in_sync)
    standby = ", ".join(replica.partition("/")[0] for replica in leader.standby_in_sync)
    return (
        f"{leader.node} leads, {leader.active_site} is active; in sync: {names or 'nobody'}"
        + (f"; standby: {standby}" if standby else "")
        + (f"; {leader.mode}" if leader.mode else "")
    )


def _wish(wanted: Await) -> str:
    pairs = (
        ("in sync", wanted.in_sync),
        ("in sync at the standby", wanted.standby_in_sync),
        ("mode", wanted.mode or None),
        ("active site", wanted.active or None),
    )
    asked = [f"{value} {what}" for what, value in pairs if value is not None]
    return ", ".join(asked) or "a leader"
