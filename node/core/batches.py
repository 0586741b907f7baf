"""A standby fed in batches: sent once in a while what is committed by then, and never counted (X6).

In between it hears heartbeats: the leader is there, and nobody need be suspected. It lags by what
is settled between two batches, so it can take over with loss only (X4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import Configuration
from node.core import reconfigure

if TYPE_CHECKING:
    from node.core.leader import Leader


def tend(leader: Leader, now: float) -> None:
    """Begin the batches that are due."""
    for peer in leader.peers.values():
        every_ms = leader.state.identity.batch_every_ms(peer.node)
        if not every_ms:
            continue
        if leader.counts(peer.node):
            peer.until = None  # commits wait for it, whatever it is meant to be: see `without`
        elif peer.until is None or now >= peer.batch_at:
            peer.until, peer.batch_at = leader.state.commit, now + every_ms


def without(leader: Leader) -> Configuration | None:
    """The configuration without those who count and should not: a switch back from a site leaves
    its replicas in their set. None if there are none, or too few copies would be left (S6)."""
    identity = leader.state.identity
    counted = frozenset(
        member
        for member in leader.configuration.members - {leader.state.me}
        if identity.batch_every_ms(member.node)
    )
    return reconfigure.evicting(leader.configuration, leader.state.me, counted)


def refusal(leader: Leader, site: str) -> str:
    """Why a planned switch to `site` cannot be, in words; "" for a site that is kept in sync."""
    every_ms = leader.state.identity.batches.get(site, 0)
    if not every_ms or leader.configuration.in_sync.get(site):
        return ""
    return (
        f"site {site} is fed in batches, every {every_ms / 1000:g} s, and lags: "
        f"it can take over with loss only"
    )
