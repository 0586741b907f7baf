"""Feeding one peer: what it has, what is on its way, and when to start over (M1, M3).

Appends are pipelined up to a bound; past it, and after a mismatch or a silence, the peer is fed
from the log again, which may mean from disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from coordinator.configuration import ReplicaId
from node.core.messages import GENESIS_HASH, Ack, Append, Entry, Mismatch, Offer
from node.core.outputs import Load
from node.core.state import State

BEGINNING: Final = Entry(0, 0, b"", GENESIS_HASH)


@dataclass(slots=True)
class Progress:
    """The leader's picture of one node. `next` is the index it is sent next; times are ms.

    `before` is the last entry read from disk for it, which the next ones read must follow.
    `doubted_round`: Appends of later rounds go out at the match, to settle a doubt about its disk.
    `wants_snapshot`: what it needs is pruned here; until it has got there, it is fed nothing but
    `offer` (M4). `close`: it reached the commit index of at most a retransmission time ago (S6).
    `until`: it is sent nothing beyond this index before `batch_at`; None: fed in real time (X6).
    """

    state: State
    node: str
    epoch: int
    next: int
    heard_at: float
    replica: ReplicaId | None = None
    replica_since: float = 0.0
    match: int = 0
    round_acked: int = 0
    proven_round: int = 0
    deaf_until_round: int = 0
    doubted_round: int = 0
    under_way: list[int] = field(default_factory=list)
    sent_at: float = -1e18
    advanced_at: float = 0.0
    probing: bool = False
    loading: bool = False
    before: Entry = BEGINNING
    rolled_back: bool = False
    offer: Offer | None = None
    offered_at: float = -1e18
    wants_snapshot: bool = False
    goal: int = 0
    goal_at: float = -1e18
    close: bool = False
    until: int | None = None
    batch_at: float = -1e18

    def on_ack(self, sender: ReplicaId, ack: Ack, round_now: int, now: float) -> None:
        """Durable up to `ack.index` on the sender's disk, matched against us (M1)."""
        self._hear(sender, now)
        if self.rolled_back:
            return  # D6: it may have lost its promise, too, so it proves no read either
        self.round_acked = max(self.round_acked, ack.round)
        if ack.index > self.match:
            self.match = ack.index
            self.next = max(self.next, ack.index + 1)
            self._reached(ack.index)
            self.proven_round = round_now
            self.advanced_at = now
        self.under_way = [last for last in self.under_way if last > self.match]
        if self.probing:
            self.probing = False
            self.doubted_round = 0
            self.next = self.match + 1

    def on_mismatch(
        self, sender: ReplicaId, mismatch: Mismatch, round_now: int, now: float
    ) -> bool:
        """Start over from the hint. Returns False if the disk came back below what it vouched for.

        Only an Append sent *after* the Ack came in, and at the match, proves that (D5): older ones
        may cross it, and one further on may hit an old suffix whose epoch reaches below the match.
        """
        self._hear(sender, now)
        doubtful = mismatch.hint_index < self.match and mismatch.round > self.proven_round
        if doubtful and 0 < self.doubted_round < mismatch.round:
            self.rolled_back = True
            self.match = self.round_acked = 0
            return False
        if mismatch.round <= self.deaf_until_round:
            return True  # one of several for the same gap
        self.deaf_until_round = round_now
        # The log of a disk that is left behind (X4) may end, or be committed, beyond ours.
        self.next = min(max(mismatch.hint_index, self.match), self.state.log.last_index) + 1
        self._reached(mismatch.hint_index)
        self.under_way.clear()
        # In doubt, nothing but heartbeats at the match until one of them is answered.
        self.probing = doubtful and self.match >= self.state.log.base_index
        self.doubted_round = round_now if self.probing else 0
        self.advanced_at = now
        return True

    def is_silent(self, member: ReplicaId, now: float) -> bool:
        """Has `member`, which belongs to this node, not answered for the eviction time (S6)?

        A disk that came back rolled back is silent for good: nothing it says counts (D5).
        """
        if self.replica is not None and self.replica != member:
            return now - self.replica_since > self.state.timings.eviction_ms
        return self.rolled_back or now - self.heard_at > self.state.timings.eviction_ms

    def _hear(self, sender: ReplicaId, now: float) -> None:
        self.heard_at = now
        if sender != self.replica:
            # Another disk is another replica: what the former one had counts for nothing.
            self.replica, self.replica_since = sender, now
            self.match = self.round_acked = self.doubted_round = 0
            self.rolled_back = False
            self.offer, self.wants_snapshot = None, False
            self.goal_at, self.close = -1e18, False

    @property
    def feed_state(self) -> str:
        """How it is fed, in words."""
        if self.wants_snapshot:
            return "snapshot"
        if self.loading or self.probing:
            return "from disk" if self.loading else "probing"
        return "streaming" if self.until is None else "in batches"

    @property
    def end(self) -> int:
        """The last index it may be sent now."""
        last = self.state.log.last_index
        return last if self.until is None else min(last, self.until)

    def pursue(self, commit: int, now: float) -> None:
        """Measure how far behind it is: does it reach `commit` within a retransmission time? (S6)

        Under load the commit index of this very moment is never reached by anybody but those who
        make it; rounds like these are (Ongaro 2014, 4.2.1). Whoever is fed in batches is never
        close: it is not to be admitted, and the log is not kept for it.
        """
        if self.until is not None:
            self.close = False
        elif self.match >= self.goal:
            self.close = now - self.goal_at <= self.state.timings.retransmit_ms
            self.goal, self.goal_at = commit, now
        elif now - self.goal_at > self.state.timings.retransmit_ms:
            self.close = False

    def on_snapshot_made(self, offer: Offer, now: float) -> None:
        """One is ready: offer it."""
        if self.wants_snapshot:
            self.offer, self.offered_at = offer, now
            self.state.send(self.node, offer)

    def tend_snapshot(self, now: float) -> None:
        """Ask for one, and for another after a while: fetching may have failed, files go."""
        if self.wants_snapshot and now - self.offered_at > self.state.timings.eviction_ms:
            self.offered_at = now
            self.state.out.make_snapshot.append(self.node)

    def _reached(self, index: int) -> None:
        # A peer that has what it is offered does not answer: what it needs may just be at hand.
        has_it = self.offer is not None and index >= self.offer.index
        if self.wants_snapshot and (has_it or self.next > self.state.log.base_index):
            self.wants_snapshot, self.offer = False, None

    def check_stall(self, now: float) -> None:
        """No progress for a retransmission time: stop pipelining and probe from what is matched."""
        stalled = now - self.advanced_at >= self.state.timings.retransmit_ms
        if self.under_way and stalled and not self.probing:
            self.probing = True
            self.under_way.clear()
            self.next = self.match + 1

    def feed(self, next_round: int, floor: int, now: float) -> int:
        """Send what the peer lacks, within the bounds. Returns the last round number used.

        `floor`: what every in-sync replica has (pruning).
        """
        log, timings = self.state.log, self.state.timings
        held = self.probing or self.loading or self.wants_snapshot
        while not held and self.next <= self.end:
            if len(self.under_way) >= timings.appends_under_way:
                break
            if self.next <= log.base_index:
                self.loading = True
                if self.next == 1:
                    self.before = BEGINNING
                # One entry earlier, unless it is known: the peer must match its epoch and hash.
                first = self.next if self.before.index == self.next - 1 else self.next - 1
                self.state.out.load.append(Load(self.node, first, self.epoch, fetch=False))
                break
            entries = self._due(log.from_index(self.next, timings.append_bytes))
            previous = self.next - 1
            next_round += 1
            before = Entry(previous, log.epoch_at(previous), b"", log.hash_at(previous))
            self._send(next_round, before, entries, floor, now)
        return next_round

    def heartbeat(self, round_: int, floor: int, now: float) -> None:
        """An empty Append, matched at the last index sent or, below that, at the log's base."""
        log = self.state.log
        previous = max(self.next - 1, log.base_index)
        before = Entry(previous, log.epoch_at(previous), b"", log.hash_at(previous))
        self._send(round_, before, (), floor, now)

    def knock(self, round_: int, now: float) -> None:
        """An empty Append after nothing: it changes no log, and whoever is there says so (X4)."""
        self._send(round_, BEGINNING, (), 0, now)

    def on_loaded(self, entries: tuple[Entry, ...], round_: int, floor: int, now: float) -> None:
        """Entries read from disk for this peer: send those it lacks. None: they are pruned."""
        self.loading = False
        if not entries:
            if self.next <= self.state.log.base_index:  # else it has got further meanwhile
                self.wants_snapshot = True
                self.tend_snapshot(now)
            return
        if self.probing:
            return
        if entries[0].index == self.next - 1:
            self.before, entries = entries[0], entries[1:]
        previous, entries = self.before, self._due(entries)
        if entries and entries[0].index == self.next == previous.index + 1:
            self.before = entries[-1]
            self._send(round_, previous, entries, floor, now)

    def _due(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Those of `entries`, which follow one another, that it may be sent now."""
        beyond = entries[-1].index - self.end if entries else 0
        return entries[:-beyond] if beyond > 0 else entries

    def _send(
        self, round_: int, previous: Entry, entries: tuple[Entry, ...], floor: int, now: float
    ) -> None:
        if entries:
            if not self.under_way:
                self.advanced_at = now
            self.under_way.append(entries[-1].index)
            self.next = entries[-1].index + 1
        self.sent_at = now
        self.state.send(
            self.node,
            Append(
                self.epoch,
                round_,
                previous.index,
                previous.epoch,
                previous.hash,
                entries,
                self.state.commit,
                floor,
            ),
        )
