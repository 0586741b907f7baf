"""Keeping the in-sync sets true: who is evicted, who is admitted, and when (S5, S6, X2).

A standby that is silent as a whole is dropped like any silent member: its set becomes empty, which
asks for nothing; its replicas are taken back one by one as they catch up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import Configuration, is_write_quorum
from node.core import reconfigure
from node.core.progress import Progress
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
    target = _without_the_silent(leader, now)
    if target is not None:
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


def _admission(leader: Leader, peer: Progress, now: float) -> Configuration | None:
    """S6: only a live replica that has caught up in this epoch; S2 covers the rest.

    It has what others may have pruned already: who counts never needs that from anybody.
    """
    caught_up = peer.close and peer.match >= max(leader.start_index, leader.floor_told)
    if peer.replica is None or not caught_up or peer.is_silent(peer.replica, now):
        return None
    former = [m for m in leader.configuration.members if m.node == peer.node]
    if not all(peer.is_silent(disk, now) for disk in former):
        return None  # a member already, or its former disk is not given up yet
    site = leader.state.identity.peers[peer.node]
    if site not in leader.configuration.in_sync:
        return None
    return reconfigure.admitting(leader.configuration, site, peer.replica)
