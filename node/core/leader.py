"""Leading: place proposals, count acknowledgements, commit, and keep the in-sync sets true.

Commit is one line of arithmetic (`count`): durable on the write quorum of the configuration
and, while one is changing, of the next (T7, S1); the leader's own disk counts like any (D4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from coordinator.configuration import (
    Configuration,
    ReplicaId,
    is_write_quorum,
    quorum_index,
)
from node.core import batches, handover, keeping, moves, pruning, reconfigure, switching
from node.core.inputs import ConfigurationSeen, GuardPassed, Loaded, SnapshotMade
from node.core.messages import EPOCH_START, Ack, Mismatch, Offer
from node.core.outputs import Placed, ReadReady, ReadRefused
from node.core.progress import Progress
from node.core.reads import Reads
from node.core.state import State

READ_ROUND_MS = 1.0

KEPT_FOR_SNAPSHOTS = 64
"""How many times more of the log than otherwise is kept for those who fetch a snapshot: whoever
never installs it, for want of room, say, must not fill this disk, too."""


@dataclass(slots=True)
class Leader:
    """Leads `epoch`. `start_index` is where its EpochStart stands; `deposed` says why it must end.

    `serving` turns true once EpochStart is committed and applied (T6). Times are milliseconds.
    """

    state: State
    epoch: int
    configuration: Configuration
    revision: int
    start_index: int = 0
    serving: bool = False
    deposed: str = ""
    round: int = 0
    peers: dict[str, Progress] = field(default_factory=dict)
    change: reconfigure.Change | None = None
    move: handover.HandingOver | switching.Switching | None = None
    reads: Reads = field(default_factory=Reads)
    beat_at: float = -1e18
    floor_told: int = 0

    role = "leader"

    def begin(self, now: float) -> None:
        """Append EpochStart and send it to everybody (T6)."""
        entry = self.state.log.follow(self.epoch, EPOCH_START)
        self.start_index = entry.index
        self.state.write(entries=(entry,))
        for node in self.state.identity.peers:
            self.peers[node] = Progress(
                self.state, node, self.epoch, entry.index, heard_at=now, advanced_at=now
            )
        batches.tend(self, now)
        self._feed(now)

    # -- proposals and reads --------------------------------------------------------------------

    def propose(self, ticket: int, payload: bytes, now: float) -> None:
        """Give a batch its place; the driver has asked `Replica.accepting` before."""
        entry = self.state.log.follow(self.epoch, payload)
        self.state.write(entries=(entry,))
        self.state.out.answer.append(Placed(ticket, entry.index, self.epoch))
        self._feed(now)

    def inquire(self, read: int, now: float) -> None:
        """Start the proof a current read needs (R1)."""
        if not self.serving:
            self.state.out.answer.append(ReadRefused(read, ""))
            return
        self.reads.add(read, self.round, self.state.commit)
        self._prove_reads(now)

    # -- what peers and the disk say ------------------------------------------------------------

    def on_ack(self, sender: ReplicaId, ack: Ack, now: float) -> None:
        """An acknowledgement; those of another epoch count for nothing (M1)."""
        peer = self.peers.get(sender.node)
        if peer is None or ack.epoch != self.epoch:
            return
        peer.on_ack(sender, ack, self.round, now)
        self.count(now)
        self._feed(now)
        self._answer_reads()

    def on_mismatch(self, sender: ReplicaId, mismatch: Mismatch, now: float) -> None:
        """The peer's log ends or differs before what we sent."""
        peer = self.peers.get(sender.node)
        if peer is None or mismatch.epoch != self.epoch:
            return
        if not peer.on_mismatch(sender, mismatch, self.round, now):
            self.state.event(
                "rolled-back", f"{sender} came back below what it acknowledged: not counted (D5)"
            )
        self._feed(now)

    def on_persisted(self, now: float) -> None:
        """The own disk has moved."""
        self.count(now)

    def on_applied(self, now: float) -> None:
        """The ledger has moved: perhaps serving starts, perhaps reads are ready."""
        if not self.serving and self.state.applied >= self.start_index:
            self.serving = True
            self.state.event("serving", f"epoch {self.epoch} from index {self.start_index}")
        self._answer_reads()

    def on_loaded(self, loaded: Loaded, now: float) -> None:
        """Entries came back from disk for a peer that is far behind (M3)."""
        peer = self.peers.get(loaded.load.node)
        if peer is not None and loaded.load.epoch == self.epoch:
            self.round += 1
            peer.on_loaded(loaded.entries, self.round, self._floor(), now)
            self._feed(now)

    def on_snapshot_made(self, made: SnapshotMade, now: float) -> None:
        """A snapshot is ready for a peer whose entries are pruned here (M4)."""
        peer = self.peers.get(made.node)
        if peer is not None:
            peer.on_snapshot_made(Offer(self.epoch, made.index, made.entry_epoch, made.hash), now)

    def on_tick(self, now: float) -> None:
        """Heartbeats, stalls, evictions and admissions, a change or a move that drags on."""
        for peer in self.peers.values():
            peer.check_stall(now)
            peer.tend_snapshot(now)
            peer.pursue(self.state.commit, now)
        # Who was sent an Append lately needs no empty one (M3).
        quiet = now - self.state.timings.heartbeat_ms
        asked = self.reads.next_round > self.round  # then everybody's answer is wanted (R1)
        self._beat([p for p in self.peers.values() if asked or p.sent_at <= quiet], now)
        self._prove_reads(now)
        batches.tend(self, now)
        self._feed(now)
        keeping.tend(self, now)
        moves.tend(self, now)
        floor = self._floor()
        pruning.prune(self.state, min([floor, *self._kept_for_snapshots(floor, now)]))

    # -- the in-sync sets -----------------------------------------------------------------------

    def on_guard_passed(self, passed: GuardPassed, now: float) -> None:
        """etcd made the change: from now on only the new quorums count (S4)."""
        if self.change is not None and passed.change == self.change.number:
            self._adopt(self.change.target, passed.revision, now)
        elif (switch := moves.switching_as(self, passed.change)) is not None:
            self.deposed = f"site {switch.site} is active now"

    def on_guard_failed(self, change: int) -> None:
        """The epoch or the configuration is another's: the leadership is over (S4)."""
        if self.change is not None and change == self.change.number:
            self.deposed = "etcd refused a change of the in-sync set"
        elif moves.switching_as(self, change) is not None:
            moves.go_on(self, "etcd refused the switch of site")

    def on_configuration_seen(self, seen: ConfigurationSeen) -> None:
        """What our change would make of it may be a later leader's, too: its own answer tells (S4).
        Anything else is somebody else's."""
        change = self.change
        ours = change is not None and change.is_sent and seen.configuration == change.target
        if seen.revision > self.revision and not ours:
            self.deposed = "the configuration was changed by somebody else"

    def live(self, now: float) -> set[ReplicaId]:
        """The replicas that answer, this one included."""
        return {self.state.me} | {
            peer.replica
            for peer in self.peers.values()
            if peer.replica is not None and not peer.is_silent(peer.replica, now)
        }

    def missing_quorum(self, now: float) -> str:
        """Why nothing can be committed just now, in words; "" when a write quorum answers."""
        live = self.live(now)
        for configuration in self._configurations():
            copies = configuration.copies()
            if not is_write_quorum(configuration, live) or copies < configuration.copies_min:
                sets = ", ".join(
                    f"{site} {{{' '.join(sorted(m.node for m in members))}}}"
                    for site, members in sorted(configuration.in_sync.items())
                )
                answering = " ".join(sorted(replica.node for replica in live))
                least = configuration.copies_min
                return f"no write quorum: in sync {sets}, answering {answering}, copies_min {least}"
        return ""

    def counts(self, node: str) -> bool:
        """Is a disk of `node` a member, also of what a change under way would make?"""
        return any(m.node == node for c in self._configurations() for m in c.members)

    # -- inside ---------------------------------------------------------------------------------

    def _configurations(self) -> Iterable[Configuration]:
        return (
            (self.configuration,)
            if self.change is None
            else (self.configuration, self.change.target)
        )

    def durable(self) -> dict[ReplicaId, int]:
        """What each replica has vouched for in this epoch; the own disk like any other (D4)."""
        durable = {
            peer.replica: peer.match for peer in self.peers.values() if peer.replica is not None
        }
        durable[self.state.me] = self.state.durable_index
        return durable

    def count(self, now: float) -> None:
        """Move the commit index, and what waits for it (T7, S1, S2)."""
        durable = self.durable()
        index = min(quorum_index(c, durable) for c in self._configurations())
        # T7: an older epoch's entry is committed only by an entry of the own epoch after it.
        if index >= self.start_index:
            self.state.advance_commit(index)
        if self.change is not None:
            self.change.advance(durable, max(self.state.commit, self.start_index), now)
        if self.move is not None:
            self.move.advance(now)

    def _floor(self) -> int:
        """What every member of both configurations has on disk, and whoever may soon be one."""
        durable = self.durable()
        members = frozenset().union(*(c.members for c in self._configurations()))
        members |= {p.replica for p in self.peers.values() if p.close and p.replica is not None}
        floor = min(durable.get(member, 0) for member in members)
        self.floor_told = max(self.floor_told, floor)
        return floor

    def _kept_for_snapshots(self, floor: int, now: float) -> Iterable[int]:
        """What follows a snapshot that is being fetched must still be there when it is installed.

        As a floor: the entries kept beyond it come on top. The snapshot's own last entry is kept,
        too: what is read from disk for a peer begins with the entry before (M1).
        """
        keep = self.state.timings.log_keep_entries
        least = floor - KEPT_FOR_SNAPSHOTS * keep
        for peer in self.peers.values():
            offer, disk = peer.offer, peer.replica
            if offer is not None and disk is not None and not peer.is_silent(disk, now):
                yield max(offer.index - 1 + keep, least)

    def _feed(self, now: float) -> None:
        behind = [p for p in self.peers.values() if p.next <= p.end and not self._is_left_behind(p)]
        if not behind:
            return  # after most acknowledgements: the floor is not worth working out for nobody
        floor = self._floor()
        for peer in behind:
            self.round = peer.feed(self.round, floor, now)

    def _beat(self, peers: Collection[Progress], now: float) -> None:
        if not peers:
            return
        self.beat_at = now
        self.round += 1
        floor = self._floor()
        for peer in peers:
            if self._is_left_behind(peer):
                peer.knock(self.round, now)
            else:
                peer.heartbeat(self.round, floor, now)

    def _is_left_behind(self, peer: Progress) -> bool:
        """Is it on a disk that was given up (X4), or may be, for all we have heard of it?"""
        given_up = self.configuration.given_up
        return (peer.replica is None or peer.replica in given_up) and any(
            disk.node == peer.node for disk in given_up
        )

    def _prove_reads(self, now: float) -> None:
        """One round serves all reads that came in since the last; not more than one a ms."""
        if self.reads.next_round > self.round and now - self.beat_at >= READ_ROUND_MS:
            self._beat(self.peers.values(), now)
        self._answer_reads()

    def _answer_reads(self) -> None:
        if not self.reads:
            return
        rounds = {
            peer.replica: peer.round_acked
            for peer in self.peers.values()
            if peer.replica is not None
        }
        rounds[self.state.me] = self.round
        proven = min(quorum_index(c, rounds) for c in self._configurations())
        for read in self.reads.ready(proven, self.state.applied):
            self.state.out.answer.append(ReadReady(read))

    def begin_change(self, target: Configuration, why: str, now: float) -> None:
        """Joint from here on (S1); `keeping` has decided what and why."""
        # Unique in this life: a late answer to a former leadership's change must not fit this one.
        number = self.state.next_attempt()
        self.change = reconfigure.Change(
            self.state, number, self.epoch, self.revision, target, why, now
        )
        self.state.event("set-change", f"begun: {why}")
        self.count(now)

    def _adopt(self, target: Configuration, revision: int, now: float) -> None:
        why = self.change.why if self.change is not None else "another's"
        self.state.last_set_change = f"{why} (configuration {revision})"
        keeping.tell_of_standby(self.state, self.configuration, target)
        self.configuration, self.revision, self.change = target, revision, None
        self.state.see_configuration(target, revision)
        self.state.event("set-change", f"made: {why}")
        self.count(now)
        self._answer_reads()
