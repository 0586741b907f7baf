"""Following: take entries from the leader, and notice when there is none any more.

The receiver's rules for Append are here (M1, M2), and the timers that decide when to try for the
leadership (T1, T2). Timers are never about safety: whoever tries too early loses or is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.configuration import ReplicaId, is_takeover_quorum, takeover_size
from node.core import pruning
from node.core.inputs import CampaignLost, LeaderSeen
from node.core.log import is_chain
from node.core.messages import Ack, Append, Mismatch, Suspect, Suspicion
from node.core.outputs import Campaign
from node.core.state import ProtocolBreach, State


def accept(state: State, leader: str, append: Append) -> None:
    """Judge an Append of the promised epoch by M1 and M2, persist what is new, vow the answer.

    The caller has refused lower epochs and promised a higher one (in memory; this makes it
    durable with the same write). Raises `ProtocolBreach` where committed entries would change.
    """
    log = state.log
    promise_is_new = state.promised > state.writes_promised
    if append.prev_index > log.last_index or append.prev_index < log.base_index:
        # Below what memory holds everything is committed here: meet at the own commit index.
        hint = log.last_index if append.prev_index > log.last_index else state.commit
        _mismatch(state, leader, append, hint, promise_is_new)
        return
    if not log.matches(append.prev_index, append.prev_epoch, append.prev_hash):
        if append.prev_index <= state.commit:
            raise ProtocolBreach(f"the leader disagrees at committed index {append.prev_index}")
        _mismatch(state, leader, append, _before_epoch(state, append.prev_index), promise_is_new)
        return
    if not is_chain(append.prev_index, append.prev_hash, append.entries):
        raise ProtocolBreach(f"entries after {append.prev_index} do not form a chain")

    matched = append.prev_index + len(append.entries)
    fresh = 0
    while fresh < len(append.entries):
        entry = append.entries[fresh]
        if entry.index > log.last_index or log.hash_at(entry.index) != entry.hash:
            break
        fresh += 1
    new = append.entries[fresh:]
    cut: int | None = None
    if new and new[0].index <= log.last_index:
        cut = new[0].index - 1
        if cut < state.commit:
            raise ProtocolBreach(f"the leader would replace committed index {new[0].index}")
        if log.epoch_at(new[0].index) == new[0].epoch:
            raise ProtocolBreach(f"two entries of epoch {new[0].epoch} at index {new[0].index}")
        log.truncate_after(cut)
    if new or promise_is_new:
        log.extend(new)
        state.write(truncate_after=cut, entries=new)
    state.vow(leader, Ack(append.epoch, append.round, matched))
    state.advance_commit(min(append.commit_index, matched))
    pruning.prune(state, append.floor)


def _mismatch(state: State, leader: str, append: Append, hint: int, promise_is_new: bool) -> None:
    if promise_is_new:
        state.write()
    state.vow(leader, Mismatch(append.epoch, append.round, hint))


def _before_epoch(state: State, index: int) -> int:
    """The last index before the run of entries that share the conflicting epoch (Raft 5.3)."""
    epoch = state.log.epoch_at(index)
    while index > state.commit and state.log.epoch_at(index) == epoch:
        index -= 1
    return index


@dataclass(slots=True)
class Follower:
    """Follows `leader` of `leader_epoch`, or waits for one. Times are the caller's milliseconds.

    `called` is the epoch whose leader has asked us to take over from it (H1, H2).
    """

    state: State
    since: float
    leader: str = ""
    leader_epoch: int = 0
    heard_at: float = 0.0
    refused: bool = False
    key_absent_since: float | None = None
    key_absent_at: int = 0
    patience: float = 1.0
    losses: int = 0
    quiet_until: float = 0.0
    campaigning: str = ""
    called: int = 0
    asked_at: float = -1e18
    votes: dict[ReplicaId, float] = field(default_factory=dict)

    role = "follower"

    def __post_init__(self) -> None:
        self.heard_at = self.since
        self.patience = 1.0 + self.state.random()

    # -- what it hears --------------------------------------------------------------------------

    def on_leader_sign(self, leader: str, epoch: int, now: float) -> None:
        """A Fence or Append of `epoch` came from `leader`."""
        if epoch < self.leader_epoch:
            return  # etcd has named a newer one, of whose life this says nothing (T2)
        if epoch != self.leader_epoch or leader != self.leader:
            self._new_epoch(leader, epoch)
        self.heard_at = now
        self.refused = False
        self.losses = 0
        self.votes.clear()

    def on_leader_seen(self, seen: LeaderSeen, now: float) -> None:
        """etcd says who holds the leader key."""
        if seen.epoch == 0:
            if seen.revision > self.leader_epoch:
                self.key_absent_at = seen.revision
                if self.key_absent_since is None:
                    self.key_absent_since = now
            self._answer_call(now)
            return
        self.key_absent_since = None
        if seen.epoch > self.leader_epoch:  # below the promise, too: after a fence (X4)
            self._new_epoch(seen.node, seen.epoch)
            self.heard_at = now  # T2: from first learning of it

    def on_peer_refused(self, node: str) -> None:
        """A refused connection from the leader's process counts at once (T2)."""
        if node == self.leader:
            self.refused = True

    def on_suspect(self, asker: ReplicaId, epoch: int, now: float) -> None:
        """A peer asks whether the leader of `epoch` is gone for us, too (T1)."""
        agreed = epoch == self.leader_epoch and (
            self.refused or now - self.heard_at > self.state.timings.suspicion_ms
        )
        self.state.send(asker.node, Suspicion(epoch, agreed))

    def on_suspicion(self, sender: ReplicaId, suspicion: Suspicion, now: float) -> None:
        """A peer's answer; a yes is good for one suspicion time."""
        if suspicion.agreed and suspicion.epoch == self.leader_epoch:
            self.votes[sender] = now
            self._campaign_if_due(now)

    def on_campaign_lost(self, lost: CampaignLost, now: float) -> None:
        """Somebody else won, or etcd did not answer: wait longer each time, at random (T2)."""
        if lost.attempt == self.campaigning:
            self.campaigning = ""
            self._be_quiet(now)

    def on_handover(self, epoch: int, now: float) -> None:
        """The leader has drained and asks us to campaign without votes or waits (H1).

        In the other site there is nothing to campaign for before the site is switched (H2).
        """
        if epoch == self.leader_epoch == self.state.promised:
            self.called = epoch
            identity = self.state.identity
            here = identity.peers.get(self.leader) == identity.site
            if here and self.state.is_member() and self.key_absent_since is None:
                self._campaign(epoch, f"handed over by {self.leader}")
            else:
                self._answer_call(now)  # etcd's news may have been faster than this word

    def step_back(self, now: float) -> None:
        """We could not lead with this log: let somebody else try first."""
        self.quiet_until = now + self.state.timings.suspicion_ms * self.patience

    def on_configuration_seen(self, now: float) -> None:
        """The sites may have been switched, as whoever called us said (H2)."""
        self._answer_call(now)

    def on_tick(self, now: float) -> None:
        """Ask for agreement, or campaign, where it is time to."""
        if self.suspects(now) and now - self.asked_at >= self.state.timings.heartbeat_ms:
            self.asked_at = now
            if self.state.is_member() and self.leader_epoch:
                for member in sorted(self._active_set() - {self.state.me}):
                    self.state.send(member.node, Suspect(self.leader_epoch))
        self._campaign_if_due(now)

    # -- what it concludes ----------------------------------------------------------------------

    def suspects(self, now: float) -> bool:
        """Is it time to think that the leader is gone? (T2)"""
        if not self.leader_epoch:
            return False
        if self.refused:
            return True
        timings = self.state.timings
        limit = timings.suspicion_ms * self.patience
        if takeover_size(len(self._active_set())) == 1:
            # Nobody else could contradict us: leave a sitting leader time to evict us first.
            limit = timings.eviction_ms + limit + timings.etcd_deadline_ms
        return now - self.heard_at > limit

    def _active_set(self) -> frozenset[ReplicaId]:
        configuration = self.state.configuration
        return configuration.active_set if configuration is not None else frozenset()

    def _campaign_if_due(self, now: float) -> None:
        if self.campaigning or now < self.quiet_until or not self.state.is_member():
            return
        if self.key_absent_since is not None:
            if self.called and self.called == self.leader_epoch:
                self._campaign(0, f"{self.leader} has switched to this site")
                return
            # Spread the candidates a little: the first one usually spares the others the try.
            if now - self.key_absent_since >= self.state.timings.heartbeat_ms * self.patience / 2:
                self._campaign(0, "nobody holds the leader key")
            return
        if not self.suspects(now):
            return
        configuration = self.state.configuration
        assert configuration is not None  # is_member()
        horizon = now - self.state.timings.suspicion_ms
        agreeing = {voter for voter, at in self.votes.items() if at >= horizon} | {self.state.me}
        if is_takeover_quorum(configuration, self.state.identity.site, agreeing):
            why = "refuses connections" if self.refused else f"silent {now - self.heard_at:.0f} ms"
            self._campaign(
                self.leader_epoch, f"{self.leader or 'the leader'} {why}, agreed by {len(agreeing)}"
            )

    def _answer_call(self, now: float) -> None:
        if self.called:
            self._campaign_if_due(now)

    def _campaign(self, suspected: int, why: str) -> None:
        identity = self.state.identity
        self.campaigning = f"{self.state.me}/{identity.life}/{self.state.next_attempt()}"
        self.state.event("campaign", why)
        self.state.out.ask_registry.append(
            Campaign(self.campaigning, suspected, self.state.revision)
        )

    def _be_quiet(self, now: float) -> None:
        self.losses = min(self.losses + 1, 6)
        base = self.state.timings.heartbeat_ms * 2.0**self.losses
        self.quiet_until = now + base * (0.5 + self.state.random())
        self.votes.clear()

    def _new_epoch(self, leader: str, epoch: int) -> None:
        self.leader, self.leader_epoch = leader, epoch
        self.refused = False
        if epoch > self.key_absent_at:  # else a late word of a key that is known to be gone
            self.key_absent_since = None
        self.called = 0
        self.votes.clear()
        self.patience = 1.0 + self.state.random()
