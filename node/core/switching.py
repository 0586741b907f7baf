"""Switching the active site as planned: no failed request, nothing to recover (H2, E5).

Stop proposing, wait until all is committed and acknowledged by the target, then let etcd make the
other site active and take the leader key away, in one transaction. The target has been told to
campaign as soon as it sees that. If nothing comes of it in time, go on: should the transaction
still arrive, it ends this leadership like any other loss of the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from coordinator.configuration import Configuration
from node.core.messages import Handover
from node.core.outputs import SwitchSite
from node.core.progress import Progress
from node.core.state import State


@dataclass(slots=True)
class Switching:
    """One switch under way to `site`, where `target` is to lead. Times are milliseconds."""

    state: State
    number: int
    epoch: int
    revision: int
    configuration: Configuration
    site: str
    target: Progress
    started_at: float
    asked_at: float | None = None

    @property
    def phase(self) -> str:
        """How far it has come, in words."""
        return "draining" if self.asked_at is None else "asking etcd"

    def advance(self, now: float) -> None:
        """Send the transaction once the target has everything and everything is committed."""
        last = self.state.log.last_index
        if self.asked_at is None and self.state.commit == last == self.target.match:
            self.asked_at = now
            # Before the transaction: the target acts on what it sees in etcd, not on this word.
            self.state.send(self.target.node, Handover(self.epoch))
            switched = replace(self.configuration, active_site=self.site)
            self.state.out.ask_registry.append(
                SwitchSite(self.number, self.epoch, self.revision, switched)
            )
            self.state.event(
                "switch", f"site {self.site} is to be active, led by {self.target.node}"
            )

    def is_over(self, now: float) -> bool:
        """Has the time for draining, or for etcd's answer, run out?"""
        timings = self.state.timings
        if self.asked_at is None:
            return now - self.started_at > timings.handover_ms
        return now - self.asked_at > timings.etcd_deadline_ms


def choose(
    candidates: Iterable[Progress], configuration: Configuration, site: str
) -> Progress | None:
    """Who is to lead there: the in-sync replica that is furthest ahead."""
    members = configuration.in_sync[site]
    fit = [peer for peer in candidates if peer.replica in members and not peer.probing]
    return max(fit, key=lambda peer: (peer.match, peer.heard_at), default=None)
