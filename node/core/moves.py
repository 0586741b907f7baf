"""Planned moves of the leadership: to another replica (H1), or to the other site (H2).

One at a time, and none while the in-sync sets are being changed: both would name the same revision
of the configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import switch_refusal
from node.core import batches
from node.core.handover import HandingOver
from node.core.handover import choose as choose_successor
from node.core.switching import Switching
from node.core.switching import choose as choose_in_site

if TYPE_CHECKING:
    from node.core.leader import Leader


def hand_over(leader: Leader, wanted: str, now: float) -> str:
    """Begin a handover (H1). Returns the target's name, or "" with the reason as an event."""
    busy = why_not(leader)
    if busy:
        leader.state.event("handover", f"not now: {busy}")
        return ""
    members: frozenset[object] = frozenset(leader.configuration.active_set)
    target = choose_successor(leader.peers.values(), members, wanted)
    if target is None:
        leader.state.event("handover", f"no in-sync peer {wanted or 'at all'} to hand over to")
        return ""
    leader.move = HandingOver(leader.state, leader.epoch, target, now)
    leader.move.advance(now)
    return target.node


def switch_site(leader: Leader, site: str, now: float) -> str:
    """Begin a switch (H2). Returns the target's name, or "" with the reason as an event."""
    configuration = leader.configuration
    reason = batches.refusal(leader, site) or switch_refusal(configuration, site) or why_not(leader)
    target = None
    if not reason:
        target = choose_in_site(leader.peers.values(), configuration, site)
        reason = "" if target is not None else f"no replica of site {site} keeps up just now"
    if target is None:
        leader.state.event("switch", f"refused: {reason}")
        return ""
    leader.move = Switching(
        leader.state,
        leader.state.next_attempt(),
        leader.epoch,
        leader.revision,
        configuration,
        site,
        target,
        now,
    )
    leader.move.advance(now)
    return target.node


def tend(leader: Leader, now: float) -> None:
    """Go on with the move under way, or call it off when its time has run out."""
    move = leader.move
    if move is not None:
        move.advance(now)
        if move.is_over(now):
            go_on(leader, "the target did not take over in time")


def go_on(leader: Leader, why: str) -> None:
    """Call the move off: proposals are taken again."""
    kind = "switch" if isinstance(leader.move, Switching) else "handover"
    leader.state.event(kind, f"{why}: going on")
    leader.move = None


def switching_as(leader: Leader, number: int) -> Switching | None:
    """The switch under way whose transaction has this number, if there is one."""
    move = leader.move
    return move if isinstance(move, Switching) and move.number == number else None


def why_not(leader: Leader) -> str:
    """Why no planned move can begin just now, in words; "" where one can."""
    if not leader.serving:
        return "this leader is only starting"
    if leader.move is not None:
        return "a planned move is under way already"
    if leader.change is not None:
        return f"the in-sync sets are being changed ({leader.change.why}); try again"
    return ""
