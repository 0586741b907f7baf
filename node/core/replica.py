"""One replica: `step(input, now) -> Output`. Promises and fences, and which role answers what.

The caller's duties are numbered in `node/core/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from coordinator.configuration import ReplicaId
from node.core import catching_up, donor, etcd, moves, peers, promising
from node.core.follower import Follower
from node.core.inputs import (
    Applied,
    FenceAsked,
    HandoverAsked,
    Input,
    Inquired,
    Loaded,
    PeerRefused,
    Persisted,
    Proposed,
    Received,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
    StorageFailed,
    SwitchAsked,
    Tick,
    Won,
)
from node.core.leader import Leader
from node.core.log import Log
from node.core.outputs import NotProposed, Output, ReadRefused, Resign
from node.core.silent import Silent
from node.core.state import Identity, ProtocolBreach, State, Timings
from node.core.takeover import Takeover

Role = Follower | Takeover | Leader | Silent


class Replica:
    """A replica as a state machine. All times are the caller's monotonic milliseconds."""

    def __init__(
        self,
        identity: Identity,
        timings: Timings,
        random: Callable[[], float],
        log: Log,
        *,
        now: float,
        promised: int = 0,
        revision: int = 0,
        applied: int = 0,
        bound: bool = False,
        pruned: int = 0,
    ) -> None:
        """A process has just started with what its disk held.

        `random` gives floats in [0, 1); `bound`: does the disk already belong to a cluster (E1)?
        The log on disk begins after `pruned`.
        """
        self.state = State.recovered(
            identity, timings, random, log, promised, revision, applied, bound, pruned
        )
        self.role: Role = Follower(self.state, now)

    # -- what others may ask --------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Is this the leader, with everything before it committed and applied? (T6)"""
        return isinstance(self.role, Leader) and self.role.serving

    @property
    def accepting(self) -> bool:
        """May proposals be stepped in now? Not during a planned move (H1, H2): keep them queued."""
        role = self.role
        return isinstance(role, Leader) and role.serving and role.move is None

    @property
    def leader(self) -> str:
        """The node thought to lead, "" when none is known."""
        if isinstance(self.role, Leader):
            return self.state.me.node
        if isinstance(self.role, Follower):
            return self.role.leader
        return ""

    # -- the one way in -------------------------------------------------------------------------

    def step(self, input: Input, now: float) -> Output:
        """Take one input; returns everything the driver must do about it, in order.

        A breach of the protocol makes the replica silent for good and is told as an event.
        """
        self.state.out = Output()
        try:
            self.dispatch(input, now)
            self._settle_role(now)
        except ProtocolBreach as breach:
            self.become_silent(f"protocol breach: {breach}")
        return self.state.out

    def fail(self, reason: str) -> Output:
        """A step ended in a fault of the program: what it left half done must vouch for nothing."""
        self.state.out = Output()
        self.become_silent(f"fault in the program: {reason}")
        return self.state.out

    def dispatch(self, input: Input, now: float) -> None:
        """Give one input to whom it concerns; `step` does the rest."""
        role, state = self.role, self.state
        if isinstance(role, Silent):
            role.refuse(input)
            return
        match input:
            case Tick():
                role.on_tick(now)
            case Received(sender, message):
                peers.receive(self, sender, message, now)
            case Persisted(write):
                state.on_persisted(write)
                if isinstance(role, Takeover | Leader):
                    role.on_persisted(now)
            case Applied(index):
                state.on_applied(index)
                if isinstance(role, Leader):
                    role.on_applied(now)
            case Proposed(ticket, payload):
                if isinstance(role, Leader) and self.accepting:
                    role.propose(ticket, payload, now)
                else:
                    state.out.answer.append(NotProposed(ticket, self.leader))
            case Inquired(read):
                if isinstance(role, Leader):
                    role.inquire(read, now)
                else:
                    state.out.answer.append(ReadRefused(read, self.leader))
            case Loaded(load):
                if load.fetch:
                    donor.on_loaded(state, input)
                elif isinstance(role, Leader):
                    role.on_loaded(input, now)
            case PeerRefused(node):
                if isinstance(role, Follower):
                    role.on_peer_refused(node)
            case HandoverAsked(target):
                if isinstance(role, Leader):
                    moves.hand_over(role, target, now)
            case StorageFailed(reason):
                self.become_silent(f"storage failed: {reason}")
            case SwitchAsked(site):
                if isinstance(role, Leader):
                    moves.switch_site(role, site, now)
            case FenceAsked():
                if isinstance(role, Leader | Takeover) and input.epoch > state.promised:
                    self._be_fenced(role.epoch, now)
                promising.fence(state, input)
            case SnapshotMade():
                if isinstance(role, Leader):
                    role.on_snapshot_made(input, now)
            case SnapshotFetched():
                catching_up.on_fetched(state, input, follows=isinstance(role, Follower))
            case SnapshotMissed():
                catching_up.on_missed(state, input)
            case _:
                etcd.hear(self, input, now)

    # -- transitions ----------------------------------------------------------------------------

    def obey(self, sender: ReplicaId, epoch: int, now: float) -> Follower | None:
        """Promise `epoch` in memory and follow its leader. None if it is our own epoch."""
        state = self.state
        role = self.role
        if isinstance(role, Leader | Takeover):
            if epoch == role.epoch:
                return None
            self.become_follower(now, f"{sender.node} leads epoch {epoch}")
        state.promise(epoch)
        assert isinstance(self.role, Follower)
        self.role.on_leader_sign(sender.node, epoch, now)
        return self.role

    def on_won(self, won: Won, now: float) -> None:
        """The key is ours: fence, unless it came too late or to somebody who may not lead."""
        role, state = self.role, self.state
        expected = isinstance(role, Follower) and role.campaigning == won.attempt
        state.see_configuration(won.configuration, won.revision)
        member = state.me in won.configuration.active_set and won.revision >= state.revision
        if not expected or won.epoch <= state.promised or not member:
            # E3: a win that comes too late, or T3: for somebody who may not lead.
            why = "no longer a member" if expected and not member else "won too late"
            self.give_up(won.epoch, why, now)
            return
        self.role = Takeover(state, won.epoch, won.configuration, now)
        self.role.begin(now)

    def _be_fenced(self, epoch: int, now: float) -> None:
        """Lead no more. The key stays ours and is not renewed by anybody: suspect ourselves, so
        that a promotion that comes to nothing does not leave the site without a leader.
        """
        self.become_follower(now, "fenced for a promotion of the other site (X4)")
        assert isinstance(self.role, Follower)
        self.role.on_leader_sign(self.state.me.node, epoch, now)

    def _settle_role(self, now: float) -> None:
        """What a step's end may mean for the role."""
        role = self.role
        if isinstance(role, Takeover) and role.ready:
            leader = Leader(self.state, role.epoch, role.configuration, self.state.revision)
            self.role = leader
            leader.begin(now)
        elif isinstance(role, Takeover) and role.unfit:
            self.give_up(role.epoch, role.unfit, now)
            if isinstance(self.role, Follower):
                self.role.step_back(now)
        elif isinstance(role, Leader) and role.deposed:
            # The key may still be ours: nobody need wait until it is missed.
            self.give_up(role.epoch, role.deposed, now)

    def give_up(self, epoch: int, why: str, now: float) -> None:
        """Give the key of `epoch` back, and lead no more if it was the present one."""
        self.state.out.ask_registry.append(Resign(epoch))
        if isinstance(self.role, Leader | Takeover) and epoch < self.role.epoch:
            return  # late news of an attempt before the one that won
        self.become_follower(now, f"gave up epoch {epoch}: {why}")

    def become_follower(self, now: float, why: str) -> None:
        """End whatever else it was. An epoch once ended is never resumed (T8)."""
        role = self.role
        if isinstance(role, Leader):
            self._end_leadership(role)
        if not isinstance(role, Follower):
            self.state.event("follower", why)
            self.role = Follower(self.state, now)
        elif role.campaigning:
            role.campaigning = ""

    def become_silent(self, reason: str) -> None:
        """Stop vouching: no vow leaves any more, and a held leader key is given back."""
        role = self.role
        if isinstance(role, Silent):
            return
        if isinstance(role, Leader):
            self._end_leadership(role)
        self.state.out.persist.clear()
        self.state.out.send.clear()
        if isinstance(role, Leader | Takeover):
            self.state.out.ask_registry.append(Resign(role.epoch))
        self.state.event("silent", reason)
        self.role = Silent(self.state, reason)

    def _end_leadership(self, leader: Leader) -> None:
        self.state.out.abandon = True
        for read in leader.reads.drain():
            self.state.out.answer.append(ReadRefused(read, ""))
