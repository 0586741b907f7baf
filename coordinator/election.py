"""The election: one life of one node, and what etcd says about its tries for the leader key.

Pure: no clock, no randomness, no I/O. `step` takes one input and the time, and returns requests to
etcd and events for the owner. The rules (E2, E3, T3, E4) are those of docs/protocol.md.

What etcd is seen to hold comes by many ways: the watch, answers of transactions, reads. Each
carries the revision it was true at, and an older one never undoes a newer. So `LeaderSeen` only
goes forward, and `Won` comes before the `LeaderSeen` that names its epoch.

A key that names this node with a nonce this life still knows is a win, however late (E3); with any
other nonce it is a former life's, or a stray copy's, and is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.ballot import (
    Answered,
    CampaignAsked,
    ChangeAsked,
    ConfigurationChanged,
    Confirm,
    DeleteLeader,
    Input,
    LeaderChanged,
    LeaseGranted,
    LeaseLost,
    NotDone,
    Output,
    PutConfiguration,
    PutLeader,
    ReadBack,
    ResignAsked,
    Seen,
    Ticked,
    Unknown,
)
from coordinator.campaign import Attempt, Campaign
from coordinator.changes import Changes
from coordinator.configuration import Configuration, ReplicaId
from coordinator.events import ConfigurationSeen, LeaderSeen, Won
from coordinator.records import LeaderRecord


@dataclass(slots=True)
class _Win:
    """The key is ours at some epoch; the configuration must be read before that counts (T3)."""

    attempt: Attempt
    give_up_ms: int
    retry_at_ms: int | None = None


class Election:
    """The state of one life of the replica `me`.

    `life` is random and new with every start: it makes this life's nonces known from all others'.
    A campaign has an outcome within `campaign_ms` (twice that if the key was won on the last
    occasion); what fails is tried again every `retry_ms`.
    """

    def __init__(
        self,
        me: ReplicaId,
        site: str,
        endpoint: str,
        life: str,
        *,
        campaign_ms: int,
        retry_ms: int,
    ) -> None:
        self._me = me
        self._campaign = Campaign(
            LeaderRecord(me.node, me.disk, site, endpoint, nonce=""),
            life,
            campaign_ms=campaign_ms,
            retry_ms=retry_ms,
        )
        self._campaign_ms = campaign_ms
        self._retry_ms = retry_ms
        self._now_ms = 0
        self._wins: dict[int, _Win] = {}  # by epoch
        self._held = 0  # the epoch last reported as won, while the key still has it
        self._deleting: dict[int, int | None] = {}  # by epoch: when to send again
        self._changes = Changes(retry_ms)
        self._leader_as_of = -1
        self.epoch = 0
        """The leader key's revision as last seen; 0 when nobody holds it."""
        self.leader: LeaderRecord | None = None
        """The leader as last seen; None as well where its record cannot be read."""
        self.configuration: Configuration | None = None
        """The configuration as last seen."""
        self.configuration_revision = 0

    @property
    def wake_ms(self) -> int | None:
        """When to step with `Ticked` next; None for not before another input."""
        times = [self._campaign.wake_ms, self._changes.wake_ms, *self._deleting.values()]
        for win in self._wins.values():
            times += [win.retry_at_ms, win.give_up_ms]
        return min((time for time in times if time is not None), default=None)

    def step(self, said: Input, now_ms: int) -> Output:
        """One input, one output. `now_ms` never goes back."""
        self._now_ms = now_ms
        out = Output()
        match said:
            case Seen():
                self._see(said, out)
            case LeaderChanged(revision, epoch, leader):
                self._see_leader(revision, epoch, leader, out)
            case ConfigurationChanged(revision, configuration):
                self._see_configuration(revision, configuration, out)
            case LeaseGranted(lease):
                self._campaign.lease_granted(lease, out)
            case LeaseLost(lease):
                self._campaign.lease_lost(lease)
            case CampaignAsked():
                self._campaign.ask(said, now_ms, out)
            case ResignAsked(epoch):
                self._delete(epoch, out)
            case ChangeAsked(change, epoch, revision, configuration, resigning):
                self._changes.ask(
                    PutConfiguration(change, epoch, revision, configuration, resigning), out
                )
            case Answered():
                self._on_answer(said, out)
            case Unknown() | NotDone():
                self._on_failure(said, out)
            case Ticked():
                self._on_tick(out)
        return out

    # --- Having won (T3) ----------------------------------------------------------------------

    def _win(self, attempt: Attempt, epoch: int, out: Output) -> None:
        give_up_ms = max(attempt.give_up_ms, self._now_ms + self._campaign_ms)
        self._wins[epoch] = _Win(attempt, give_up_ms)
        out.requests.append(Confirm(attempt.record.nonce, epoch))

    def _on_confirmed(self, confirm: Confirm, seen: Seen, out: Output) -> None:
        self._see(seen, out)  # this drops a win that is over already
        win = self._wins.get(confirm.epoch)
        if win is None:
            return
        if self.configuration is None or self._me not in self.configuration.active_set:
            self._renounce(confirm.epoch, "not in the active site's in-sync set", out)
            return
        del self._wins[confirm.epoch]
        self._held = confirm.epoch
        out.events.append(
            Won(win.attempt.name, self._held, self.configuration, self.configuration_revision)
        )
        out.events.append(LeaderSeen(self._held, self._me.node, self._me.disk, self._held))

    def _renounce(self, epoch: int, reason: str, out: Output) -> None:
        self._campaign.lose(self._wins.pop(epoch).attempt, reason, out)
        self._delete(epoch, out)

    def _delete(self, epoch: int, out: Output) -> None:
        if epoch == self._held:
            self._held = 0
        self._deleting[epoch] = None
        out.requests.append(DeleteLeader(epoch))

    # --- What etcd holds ----------------------------------------------------------------------

    def _see(self, seen: Seen, out: Output) -> None:
        self._see_leader(seen.revision, seen.epoch, seen.leader, out)
        if seen.configuration is not None:
            self._see_configuration(seen.configuration_revision, seen.configuration, out)

    def _see_configuration(self, revision: int, configuration: Configuration, out: Output) -> None:
        if revision > self.configuration_revision:
            self.configuration, self.configuration_revision = configuration, revision
            out.events.append(ConfigurationSeen(configuration, revision))
            # Of the leader key all is known up to this revision: the watch keeps etcd's order, and
            # a read shows both as they were together.
            self._changes.seen(self.epoch, revision, configuration, out)

    def _see_leader(self, as_of: int, epoch: int, leader: LeaderRecord | None, out: Output) -> None:
        if as_of <= self._leader_as_of:
            return
        changed = epoch != self.epoch or self._leader_as_of < 0
        self._leader_as_of, self.epoch, self.leader = as_of, epoch, leader
        for gone in [won for won in self._wins if won != epoch]:
            self._campaign.lose(self._wins.pop(gone).attempt, "the key was taken away at once", out)
        if epoch != self._held:
            self._held = 0
        self._deleting = {e: at for e, at in self._deleting.items() if e == epoch or e > as_of}
        if leader is not None and leader.node == self._me.node:
            self._see_own(epoch, leader.nonce, out)
        if changed and epoch not in self._wins:
            node, disk = (leader.node, leader.disk) if leader else ("", "")
            out.events.append(LeaderSeen(epoch, node, disk, epoch or as_of))

    def _see_own(self, epoch: int, nonce: str, out: Output) -> None:
        """The key names this node: a win, known already, or to be deleted (E3)."""
        attempt = self._campaign.take_winner(nonce)
        if attempt is not None:
            self._win(attempt, epoch, out)
        elif epoch != self._held and epoch not in self._wins and epoch not in self._deleting:
            self._delete(epoch, out)

    # --- Results ------------------------------------------------------------------------------

    def _on_answer(self, answer: Answered, out: Output) -> None:
        seen = answer.seen
        match answer.request:
            case PutLeader(record) | ReadBack(PutLeader(record)):
                self._see(seen, out)  # this finds a win
                self._campaign.answered(record.nonce, seen, out)
            case PutConfiguration() as change:
                self._see(seen, out)
                self._changes.answered(change, answer.succeeded, seen, self._now_ms, out)
            case ReadBack(PutConfiguration() as change):
                self._see(seen, out)
                self._changes.answered(change, False, seen, self._now_ms, out)
            case Confirm() as confirm:
                self._on_confirmed(confirm, seen, out)
            case DeleteLeader(epoch):
                self._deleting.pop(epoch, None)
                self._see(seen, out)

    def _on_failure(self, failed: Unknown | NotDone, out: Output) -> None:
        unknown = isinstance(failed, Unknown)
        again_ms = self._now_ms + self._retry_ms
        match failed.request:
            case PutLeader(record):
                self._campaign.put_failed(record.nonce, unknown, failed.reason, self._now_ms, out)
            case ReadBack(PutLeader(record)):
                self._campaign.read_failed(record.nonce, self._now_ms)
            case PutConfiguration() as change:
                if unknown:
                    self._changes.unknown(change, out)
                else:
                    self._changes.unheard(change, self._now_ms)
            case ReadBack(PutConfiguration() as change):
                self._changes.unheard(change, self._now_ms)
            case Confirm(_, epoch):
                if epoch in self._wins:
                    self._wins[epoch].retry_at_ms = again_ms
            case DeleteLeader(epoch):
                if epoch in self._deleting:
                    self._deleting[epoch] = again_ms

    def _on_tick(self, out: Output) -> None:
        now_ms = self._now_ms
        self._changes.tick(now_ms, out)
        self._campaign.tick(now_ms, out)
        for epoch, win in list(self._wins.items()):
            if now_ms >= win.give_up_ms:
                self._renounce(epoch, "the configuration could not be read in time", out)
            elif win.retry_at_ms is not None and now_ms >= win.retry_at_ms:
                win.retry_at_ms = None
                out.requests.append(Confirm(win.attempt.record.nonce, epoch))
        for epoch, at_ms in list(self._deleting.items()):
            if at_ms is not None and now_ms >= at_ms:
                self._delete(epoch, out)
