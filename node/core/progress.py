"""Feeding one peer: what it has, what is on its way, and when to start over (M1, M3).

Appends are pipelined up to a bound; past it, and after a mismatch or a silence, the peer is fed
from the log again, which may mean from disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.configuration import ReplicaId
from node.core.messages import GENESIS_HASH, Ack, Append, Entry, Load, Mismatch
from node.core.state import State


@dataclass(slots=True)
class Progress:
    """The leader's picture of one node. `next` is the index it is sent next; times are ms."""

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
    under_way: list[int] = field(default_factory=list)
    sent_at: float = -1e18
    advanced_at: float = 0.0
    probing: bool = False
    loading: bool = False
    rolled_back: bool = False

    def on_ack(self, sender: ReplicaId, ack: Ack, round_now: int, now: float) -> None:
        """Durable up to `ack.index` on the sender's disk, matched against us (M1)."""
        self._hear(sender, now)
        self.round_acked = max(self.round_acked, ack.round)
        if self.rolled_back:
            return
        if ack.index > self.match:
            self.match = ack.index
            self.proven_round = round_now
            self.advanced_at = now
        self.under_way = [last for last in self.under_way if last > self.match]
        if self.probing:
            self.probing = False
            self.next = self.match + 1

    def on_mismatch(
        self, sender: ReplicaId, mismatch: Mismatch, round_now: int, now: float
    ) -> bool:
        """Start over from the hint. Returns False if the disk came back below what it vouched for.

        Only an Append sent *after* the Ack came in proves that (D5): older ones may cross it.
        """
        self._hear(sender, now)
        if mismatch.hint_index < self.match and mismatch.round > self.proven_round:
            self.rolled_back = True
            self.match = 0
            return False
        if mismatch.round <= self.deaf_until_round:
            return True  # one of several for the same gap
        self.deaf_until_round = round_now
        self.next = max(mismatch.hint_index, self.match) + 1
        self.under_way.clear()
        self.probing = False
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
            self.match = self.round_acked = 0
            self.rolled_back = False

    def check_stall(self, now: float) -> None:
        """No progress for a retransmission time: stop pipelining and probe from what is matched."""
        stalled = now - self.advanced_at >= self.state.timings.retransmit_ms
        if self.under_way and stalled and not self.probing:
            self.probing = True
            self.under_way.clear()
            self.next = self.match + 1

    def feed(self, next_round: int, now: float) -> int:
        """Send what the peer lacks, within the bounds. Returns the last round number used."""
        log, timings = self.state.log, self.state.timings
        while not (self.probing or self.loading) and self.next <= log.last_index:
            if len(self.under_way) >= timings.appends_under_way:
                break
            if self.next <= log.base_index:
                self.loading = True
                # One entry earlier: its epoch and hash are what the peer must match.
                self.state.out.load.append(
                    Load(self.node, max(self.next - 1, 1), self.epoch, fetch=False)
                )
                break
            entries = log.from_index(self.next, timings.append_bytes)
            previous = self.next - 1
            next_round += 1
            self._send(
                next_round, previous, log.epoch_at(previous), log.hash_at(previous), entries, now
            )
        return next_round

    def heartbeat(self, round_: int, now: float) -> None:
        """An empty Append, matched at the last index sent or, below that, at the log's base."""
        log = self.state.log
        previous = max(self.next - 1, log.base_index)
        self._send(round_, previous, log.epoch_at(previous), log.hash_at(previous), (), now)

    def on_loaded(self, entries: tuple[Entry, ...], round_: int, now: float) -> None:
        """Entries read from disk for this peer: send those it lacks."""
        self.loading = False
        if not entries or self.probing:
            return
        first = entries[0]
        if self.next == 1 and first.index == 1:
            self._send(round_, 0, 0, GENESIS_HASH, entries, now)
        elif first.index == self.next - 1 and len(entries) > 1:
            self._send(round_, first.index, first.epoch, first.hash, entries[1:], now)

    def _send(
        self,
        round_: int,
        previous: int,
        epoch: int,
        chain: bytes,
        entries: tuple[Entry, ...],
        now: float,
    ) -> None:
        if entries:
            if not self.under_way:
                self.advanced_at = now
            self.under_way.append(entries[-1].index)
            self.next = entries[-1].index + 1
        self.sent_at = now
        self.state.send(
            self.node,
            Append(self.epoch, round_, previous, epoch, chain, entries, self.state.commit),
        )
