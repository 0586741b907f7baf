"""Signs of the protocol's rules that only show in view of what was told before.

That a campaign lost to another's win, that a commit came while etcd was away, that a node counts
again on another disk: one step does not say it, a day does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from coordinator.configuration import Configuration
from loadtest.sim.happening import Happened, Kind, Step
from node.core.inputs import (
    CampaignLost,
    ConfigurationSeen,
    LeaderSeen,
    Proposed,
    Received,
    Won,
)
from node.core.outputs import Campaign, Placed
from node.ledger.commands import PayloadError, decode_batch

STAMP_MS: Final = 1.0
"""Batches so far apart bear another stamp, unless the clock is behind the last one (C3)."""

CAMPAIGN: Final = "write of leader"
"""What a campaign asks of etcd, as etcd tells of it."""

HEARD: Final = re.compile(r".*, from (?P<node>\w+), attempt (?P<attempt>\d+)")
"""An answer as terminals tell of it."""


class Hindsight:
    """Remembers what later signs are judged by, and counts those in `seen`."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._configuration: Configuration | None = None
        self._revision = 0
        self._switched_at = 0
        """The revision at which another site became active as planned; 0 once that is told."""
        self._sites: dict[str, str] = {}
        self._disks: dict[str, str] = {}
        """The disk on which each node has counted last."""
        self._leading: dict[str, int] = {}
        """Who thinks it leads, and which epoch."""
        self._campaigns: dict[str, tuple[int, int]] = {}
        """By attempt: the epoch it suspected, and how many wins there had been."""
        self._wins = 0
        self._winners: dict[int, tuple[str, int]] = {}
        """Which life of which node won an epoch."""
        self._former: dict[str, int] = {}
        """The epoch of a former life of the node, whose key it has seen at its start."""
        self._unheard: set[str] = set()
        """Whose campaign etcd may have carried out without an answer."""
        self._placed: dict[str, int] = {}
        """The last index each leader has placed a proposal at."""
        self._stamp_ms = 0
        self._stamped_at = 0.0
        self._down: set[str] = set()
        self._etcd_is_away = False
        self._inputs: dict[type, Callable[[Step, Any], None]] = {
            Proposed: self._proposed,
            Won: self._won,
            CampaignLost: self._campaign_lost,
            LeaderSeen: self._leader_seen,
            ConfigurationSeen: self._configuration_seen,
        }
        self._happenings: dict[Kind, Callable[[Happened], None]] = {
            Kind.CRASH: self._crashed,
            Kind.RESTART: self._restarted,
            Kind.DISK_REFUSED: self._disk_refused,
            Kind.ETCD_AWAY: self._etcd_went,
            Kind.ETCD_BACK: self._etcd_came,
            Kind.ANSWER_LOST: self._answer_lost,
            Kind.LEASE_EXPIRED: self._lease_expired,
            Kind.ANSWERED: self._answer_heard,
        }

    def happened(self, told: Happened) -> None:
        """Something beside the steps of replicas."""
        look = self._happenings.get(told.kind)
        if look is not None:
            look(told)

    def step(self, step: Step) -> None:
        """A step was taken."""
        given = step.input
        look = self._inputs.get(type(given))
        if look is not None:
            look(step, given)
        before, after, output = step.before, step.after, step.output
        if before.phase != after.phase or before.role != after.role:
            self._turned(step)
        if output.apply and before.role == "leader":
            self._committed(step)
        if output.ask_registry:
            for ask in output.ask_registry:
                if isinstance(ask, Campaign):
                    self._campaigns[ask.attempt] = ask.suspected, self._wins
                    self._unheard.discard(step.node)
        if output.abandon and self._placed.pop(step.node, 0) > after.applied:
            self._seen["T9"] += 1

    # -- by what came in ------------------------------------------------------------------------

    def _proposed(self, step: Step, proposed: Proposed) -> None:
        for answer in step.output.answer:
            if isinstance(answer, Placed):
                self._placed[step.node] = answer.index
                self._stamped(step.at_ms, proposed.payload)

    def _stamped(self, at_ms: float, payload: bytes) -> None:
        try:
            stamp_ms = decode_batch(payload).stamp_ms
        except PayloadError:
            return  # not from a node's intake
        if stamp_ms == self._stamp_ms:
            if at_ms - self._stamped_at > STAMP_MS:
                self._seen["C3"] += 1
        else:
            self._stamp_ms, self._stamped_at = stamp_ms, at_ms

    def _won(self, step: Step, won: Won) -> None:
        suspected, _ = self._campaigns.pop(won.attempt, (0, 0))
        self._wins += 1
        self._winners[won.epoch] = step.node, step.life
        if suspected:
            self._seen["E2"] += 1
        if step.node in self._unheard and step.after.role == "takeover":
            self._seen["E3"] += 1
        self._unheard.discard(step.node)
        site = self._sites.get(step.node)
        others = [node for node, of in self._sites.items() if of != site]
        if step.after.role == "takeover" and others and self._down.issuperset(others):
            self._seen["X5"] += 1

    def _campaign_lost(self, _: Step, lost: CampaignLost) -> None:
        _suspected, wins = self._campaigns.pop(lost.attempt, (0, self._wins))
        if self._wins > wins:
            self._seen["E2"] += 1

    def _leader_seen(self, step: Step, seen: LeaderSeen) -> None:
        if seen.epoch:
            self._former.pop(step.node, None)
            node, life = self._winners.get(seen.epoch, ("", 0))
            if node == step.node and life != step.life:
                self._former[node] = seen.epoch
        elif seen.revision == self._switched_at:
            self._switched_at = 0
            self._seen["E5"] += 1
        elif seen.revision > self._former.pop(step.node, seen.revision):
            self._seen["E3"] += 1  # nobody else takes away what holds, but for its lease

    def _configuration_seen(self, _: Step, seen: ConfigurationSeen) -> None:
        if seen.revision > self._revision:
            former, self._configuration = self._configuration, seen.configuration
            self._revision = seen.revision
            self._learn(former, seen.configuration)

    def _learn(self, former: Configuration | None, now: Configuration) -> None:
        """The first that is heard of a configuration: what it has changed."""
        if former is not None and now.given_up != former.given_up:
            self._seen["X4"] += 1
        elif former is not None and now.active_site != former.active_site:
            self._switched_at = self._revision
        for site, members in now.in_sync.items():
            for member in members:
                self._sites[member.node] = site
                if self._disks.setdefault(member.node, member.disk) != member.disk:
                    self._disks[member.node] = member.disk
                    self._seen["D6"] += 1

    # -- by what became of the replica ----------------------------------------------------------

    def _turned(self, step: Step) -> None:
        before, after = step.before, step.after
        if before.phase == "fencing" and after.phase in ("fetching", "starting"):
            here = self._sites.get(step.node)
            if any(
                epoch < after.epoch and self._sites.get(node) != here
                for node, epoch in self._leading.items()
            ):
                self._seen["X3"] += 1
        if after.role == "leader":
            self._leading[step.node] = after.epoch
        elif before.role == "leader":
            self._leading.pop(step.node, None)

    def _committed(self, step: Step) -> None:
        if self._etcd_is_away:
            self._seen["W1"] += 1
        if isinstance(step.input, Received) and self._configuration is not None:
            standby = self._configuration.standby_site
            if standby is not None and step.input.sender in self._configuration.in_sync[standby]:
                self._seen["X1"] += 1

    # -- by what else happened ------------------------------------------------------------------

    def _crashed(self, told: Happened) -> None:
        self._down.add(told.who)
        self._leading.pop(told.who, None)
        self._placed.pop(told.who, None)

    def _restarted(self, told: Happened) -> None:
        self._down.discard(told.who)

    def _disk_refused(self, _: Happened) -> None:
        self._seen["D5"] += 1

    def _etcd_went(self, _: Happened) -> None:
        self._etcd_is_away = True

    def _etcd_came(self, _: Happened) -> None:
        self._etcd_is_away = False

    def _answer_lost(self, told: Happened) -> None:
        if told.detail == CAMPAIGN:
            self._unheard.add(told.who)

    def _lease_expired(self, told: Happened) -> None:
        self._former.pop(told.who, None)

    def _answer_heard(self, told: Happened) -> None:
        heard = HEARD.match(told.detail)
        if heard is None:
            return
        if told.detail.startswith("read: interim"):
            self._seen["R2"] += heard["node"] not in self._leading
        elif "settled before" in told.detail:
            self._seen["C1"] += 1
            self._seen["C2"] += int(heard["attempt"]) > 1
