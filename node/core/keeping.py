"""Keeping the in-sync sets true: who is evicted, who is admitted, and when (S5, S6, X2).

A standby that is silent as a whole is dropped like any silent member: its set becomes empty, which
asks for nothing; its replicas are taken back one by one as they catch up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import Configuration, ReplicaId, is_write_quorum
from node.core import batches, reconfigure
from node.core.progress import Progress
from node.core.state import State
from node.core.switching import Switching

if TYPE_CHECKING:
    from node.core.leader import Leader


def tend(leader: Leader, now: float) -> None:
    """Go on with the change under way, or begin one that is due: evictions first."""
    change = leader.change
    if change is not None:
        if change.may_be_given_up(now):
            leader.state.event("set-change", f"given up before it was sent: {change.why}")
            leader.change = None
        else:
            leader.count(now)
            change.resend(now)
        return
    if isinstance(leader.move, Switching):
        return  # both would name the same revision of the configuration
    target = _without_the_silent(leader, now) or batches.without(leader)
    if target is not None and is_write_quorum(target, _answering(leader, now)):
        gone = leader.configuration.members - target.members
        names = " ".join(sorted(str(member) for member in gone))
        leader.begin_change(target, f"evict {names}", now)
        return
    for peer in leader.peers.values():
        target = _admission(leader, peer, now)
        # One whose new quorum does not answer is never covered (S2): perhaps another's is.
        if target is not None and is_write_quorum(target, leader.live(now)):
            leader.begin_change(target, f"admit {peer.replica}", now)
            return


def _without_the_silent(leader: Leader, now: float) -> Configuration | None:
    configuration, me = leader.configuration, leader.state.me
    silent = frozenset(
        member
        for member in configuration.members - {me}
        if (peer := leader.peers.get(member.node)) is None or peer.is_silent(member, now)
    )
    return reconfigure.evicting(configuration, me, silent)


def _answering(leader: Leader, now: float) -> set[ReplicaId]:
    """Who answered within the suspicion time, this replica included. A leader that is cut off hears
    its peers fall silent one by one: it must not evict them so, for whoever it left out could not
    campaign, and those that it left in are not there."""
    suspicion_ms = leader.state.timings.suspicion_ms
    return {leader.state.me} | {
        peer.replica
        for peer in leader.peers.values()
        if peer.replica is not None and now - peer.heard_at <= suspicion_ms
    }


def _admission(leader: Leader, peer: Progress, now: float) -> Configuration | None:
    """S6: only a live replica that has caught up in this epoch; S2 covers the rest.

    It has what others may have pruned already: who counts never needs that from anybody.
    """
    caught_up = peer.close and peer.match >= max(leader.start_index, leader.floor_told)
    if peer.replica is None or not caught_up or peer.is_silent(peer.replica, now):
        return None
    if leader.state.identity.batch_every_ms(peer.node):
        return None  # X6
    former = [m for m in leader.configuration.members if m.node == peer.node]
    if not all(peer.is_silent(disk, now) for disk in former):
        return None  # a member already, or its former disk is not given up yet
    site = leader.state.identity.peers[peer.node]
    if site not in leader.configuration.in_sync:
        return None
    return reconfigure.admitting(leader.configuration, site, peer.replica)


def tell_of_standby(state: State, before: Configuration, after: Configuration) -> None:
    """Tell the operator whether the standby has ceased to count, or counts again (X2, X6)."""
    standby = after.standby_site
    if standby is None:
        return
    counted, counts = len(before.in_sync[standby]), len(after.in_sync[standby])
    if counts and not counted:
        state.event("in-sync", f"site {standby} counts again, with {counts} replica")
    elif counted and not counts and standby in state.identity.batches:
        state.event("batches", f"site {standby} is fed in batches from here on (X6)")
    elif counted and not counts:
        state.event("alarm", f"degraded: site {standby} does not count any more (X2)")
