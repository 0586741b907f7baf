"""Changing the in-sync sets: one change at a time, in the guarded order S1 to S6.

From its first moment a change is *joint*: an index needs the write quorums of both configurations
(S1). It is *covering* until everything committed is durable on the new quorum (S2), then *sent* to
etcd (S3) until etcd's answer is certain (S4). Only a change that was never sent may be given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from coordinator.configuration import Configuration, ReplicaId, quorum_index
from node.core.outputs import ChangeConfiguration
from node.core.state import State


class Phase(StrEnum):
    """How far a change has come."""

    COVERING = "covering"
    SENT = "sent"


@dataclass(slots=True)
class Change:
    """A change under way from the leader's configuration (at `revision`) to `target`."""

    state: State
    number: int
    epoch: int
    revision: int
    target: Configuration
    why: str
    started_at: float
    phase: Phase = Phase.COVERING
    sent_at: float = -1e18

    def advance(self, durable: Mapping[ReplicaId, int], cover: int, now: float) -> None:
        """Send the guarded transaction once index `cover` is durable on `W(target)` (S2, S3)."""
        if self.phase is Phase.COVERING and quorum_index(self.target, durable) >= cover:
            self._send(now)

    def resend(self, now: float) -> None:
        """Outcome unknown: the transaction may still arrive, so only the very same one is safe."""
        if self.phase is Phase.SENT and now - self.sent_at >= self.state.timings.etcd_deadline_ms:
            self._send(now)

    @property
    def is_sent(self) -> bool:
        """May etcd have made it?"""
        return self.phase is Phase.SENT

    def may_be_given_up(self, now: float) -> bool:
        """Never sent, and too long on its way (S4)."""
        waited = now - self.started_at
        return self.phase is Phase.COVERING and waited > self.state.timings.eviction_ms

    def _send(self, now: float) -> None:
        self.phase = Phase.SENT
        self.sent_at = now
        self.state.out.ask_registry.append(
            ChangeConfiguration(self.number, self.epoch, self.revision, self.target)
        )


def evicting(
    configuration: Configuration, leader: ReplicaId, silent: frozenset[ReplicaId]
) -> Configuration | None:
    """The configuration without the silent members, or None if there is nothing to do or the
    copies left would be fewer than `copies_min` (S6): then writes stop and nothing is lost.
    """
    target = configuration
    for site, members in configuration.in_sync.items():
        left = members - (silent - {leader})
        if site == configuration.active_site and leader not in left:
            return None
        if left != members:
            target = target.with_set(site, left)
    if target is configuration or target.copies() < target.copies_min:
        return None
    return target


def admitting(configuration: Configuration, site: str, replica: ReplicaId) -> Configuration | None:
    """The configuration with `replica` a member in `site`, or None if it is one already, or its
    disk was given up (X4).

    It takes the place of another disk of its node: no node counts twice.
    """
    members = configuration.in_sync.get(site, frozenset())
    if replica in members or replica in configuration.given_up:
        return None
    others = {member for member in members if member.node != replica.node}
    return configuration.with_set(site, others | {replica})
