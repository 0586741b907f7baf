"""Handing over: a planned change of leader without a failed request (H1).

Stop proposing, wait until all is committed and acknowledged by the target, ask it to campaign,
and, if nothing happens in time, go on as if nothing had been asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.core.messages import Handover
from node.core.progress import Progress
from node.core.state import State


@dataclass(slots=True)
class HandingOver:
    """One handover under way to `target`. Times are milliseconds."""

    state: State
    epoch: int
    target: Progress
    started_at: float
    asked_at: float | None = None

    def advance(self, now: float) -> None:
        """Ask the target once it has everything and everything is committed."""
        last = self.state.log.last_index
        if self.asked_at is None and self.state.commit == last == self.target.match:
            self.asked_at = now
            self.state.send(self.target.node, Handover(self.epoch))
            self.state.event("handover", f"{self.target.node} is asked to lead")

    def is_over(self, now: float) -> bool:
        """Has the time for draining, or for the target's campaign, run out?"""
        limit = self.state.timings.handover_ms
        if self.asked_at is None:
            return now - self.started_at > limit
        return now - self.asked_at > limit


def choose(
    candidates: Iterable[Progress], members: frozenset[object], wanted: str
) -> Progress | None:
    """The in-sync peer to hand over to: the one wanted, else the one furthest ahead."""
    fit = [
        peer
        for peer in candidates
        if peer.replica in members and wanted in ("", peer.node) and not peer.probing
    ]
    return max(fit, key=lambda peer: (peer.match, peer.heard_at), default=None)
