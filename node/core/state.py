"""What a replica is, whatever its role: its vows, its log, what is on disk, what it knows of etcd.

Here lives write-before-answer: a vow (Promise, Ack, Mismatch) is withheld until every write
issued before it is on disk (D2, D3). Roles never send one any other way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coordinator.configuration import Configuration, ReplicaId
from node.core.log import Log
from node.core.messages import Ack, Entry, Message, Mismatch, Offer, Promise
from node.core.outputs import Event, Fenced, Install, Output, Send, Write


class ProtocolBreach(Exception):
    """Something happened that the protocol says cannot: the replica must stop and say so (M2)."""


@dataclass(frozen=True, slots=True)
class Timings:
    """All in milliseconds; they decide when somebody *tries*, never what is safe."""

    heartbeat_ms: int = 50
    suspicion_ms: int = 500
    eviction_ms: int = 1500
    etcd_deadline_ms: int = 800
    handover_ms: int = 200
    retransmit_ms: int = 300
    append_bytes: int = 1_048_576
    appends_under_way: int = 8
    entries_in_memory: int = 4096
    log_keep_entries: int = 20_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this replica is. `life` is random for each start of the process (an epoch is one life's).

    `peers` maps every other node's name to its site. `batches`: the sites that are fed in batches
    while they are the standby, and the milliseconds between two (X6).
    """

    replica: ReplicaId
    site: str
    peers: Mapping[str, str]
    life: str
    batches: Mapping[str, int] = field(default_factory=dict)

    def batch_every_ms(self, node: str) -> int:
        """How often the peer `node` is sent entries while this site is the active one; 0: in real
        time, as whoever is in the same site always is."""
        site = self.peers.get(node, self.site)
        return 0 if site == self.site else self.batches.get(site, 0)


@dataclass(slots=True)
class State:
    """The replica's state apart from its role. `applied <= commit <= last index`, always.

    `random` returns floats in [0, 1); `revision` is the highest configuration revision seen,
    `writes_promised` the promise named by the last write issued. The log on disk begins after
    `pruned`; `fetching` is the snapshot on its way here (M4).
    """

    identity: Identity
    timings: Timings
    random: Callable[[], float]
    log: Log
    promised: int = 0
    revision: int = 0
    bound: bool = False
    configuration: Configuration | None = None
    commit: int = 0
    applied: int = 0
    apply_asked: int = 0
    durable_index: int = 0
    writes_issued: int = 0
    writes_persisted: int = 0
    writes_promised: int = 0
    attempts: int = 0
    last_change: str = "started"
    last_set_change: str = ""
    pruned: int = 0
    fetching: Offer | None = None
    out: Output = field(default_factory=Output)
    _under_way: deque[tuple[int, int]] = field(default_factory=deque)
    _vows: deque[tuple[int, Send | Fenced]] = field(default_factory=deque)

    @classmethod
    def recovered(
        cls,
        identity: Identity,
        timings: Timings,
        random: Callable[[], float],
        log: Log,
        promised: int,
        revision: int,
        applied: int,
        bound: bool,
        pruned: int,
    ) -> State:
        """What a process knows that has just started: what is on its disk is durable, and what is
        applied is committed. An unbound replica promises nothing (E1).
        """
        return cls(
            identity,
            timings,
            random,
            log,
            promised=promised,
            revision=revision,
            bound=bound,
            commit=applied,
            applied=applied,
            apply_asked=applied,
            durable_index=log.last_index,
            writes_promised=promised,
            pruned=pruned,
        )

    @property
    def me(self) -> ReplicaId:
        """This replica."""
        return self.identity.replica

    def is_member(self) -> bool:
        """Is this replica in the active site's in-sync set, as far as it knows? (T1)"""
        return self.configuration is not None and self.me in self.configuration.active_set

    def next_attempt(self) -> int:
        """A number no other campaign, or change of the sets, of this life has."""
        self.attempts += 1
        return self.attempts

    def event(self, kind: str, detail: str) -> None:
        """Tell the operator; the last one is also the `reason` in status."""
        self.last_change = f"{kind}: {detail}"
        self.out.events.append(Event(kind, detail))

    def send(self, node: str, message: Message) -> None:
        """Send what vouches for nothing."""
        self.out.send.append(Send(node, message))

    def vow(self, node: str, message: Promise | Ack | Mismatch) -> None:
        """Send once every write issued so far is on disk (D2, D3)."""
        self._withhold(Send(node, message))

    def vow_answer(self, fenced: Fenced) -> None:
        """Answer once every write issued so far is on disk: X4's fence is a vow like any other."""
        self._withhold(fenced)

    def _withhold(self, vow: Send | Fenced) -> None:
        self._vows.append((self.writes_issued, vow))
        self._release()

    def write(self, truncate_after: int | None = None, entries: Sequence[Entry] = ()) -> int:
        """Issue one durable step: promise and revision as they now are, a cut, entries.

        The log in memory is changed by the caller. Returns the write's number.
        """
        self.writes_issued += 1
        if truncate_after is not None:
            # Late completions of what is being cut must vouch for nothing above the cut (D2).
            self.durable_index = min(self.durable_index, truncate_after)
            self._under_way = deque(
                (number, min(index, truncate_after)) for number, index in self._under_way
            )
        if entries:
            self._under_way.append((self.writes_issued, entries[-1].index))
        self.writes_promised = self.promised
        self.out.persist.append(
            Write(self.writes_issued, self.promised, self.revision, truncate_after, tuple(entries))
        )
        return self.writes_issued

    def install(self, offer: Offer) -> None:
        """Issue the durable step that makes log and ledger those of `offer` (M4).

        The caller has checked that nothing is lost by it: beyond the commit index the own log is
        another, or ends below. What it had there vouches for nothing any more, as after a cut.
        """
        self.writes_issued += 1
        self.durable_index = min(self.durable_index, self.commit)
        self._under_way = deque(
            (number, min(index, self.commit)) for number, index in self._under_way
        )
        self.log = Log(offer.index, offer.entry_epoch, offer.hash)
        self.commit = self.applied = self.apply_asked = self.pruned = offer.index
        self._under_way.append((self.writes_issued, offer.index))
        self.writes_promised = self.promised
        self.out.persist.append(Install(self.writes_issued, self.promised, self.revision, offer))

    def on_persisted(self, number: int) -> None:
        """Every write up to `number` is on disk: release what waited for it."""
        self.writes_persisted = max(self.writes_persisted, number)
        while self._under_way and self._under_way[0][0] <= number:
            self.durable_index = max(self.durable_index, self._under_way.popleft()[1])
        self._release()

    def _release(self) -> None:
        while self._vows and self._vows[0][0] <= self.writes_persisted:
            vow = self._vows.popleft()[1]
            if isinstance(vow, Fenced):
                self.out.answer.append(vow)
            # A vow to a leader that has been fenced since is of no use to anybody.
            elif vow.message.epoch >= self.promised:
                self.out.send.append(vow)

    def promise(self, epoch: int) -> None:
        """Vow, in memory, to obey `epoch`; the caller issues the write that makes it durable."""
        if epoch < self.promised:
            raise ProtocolBreach(f"promise of epoch {epoch} after {self.promised}")
        self.promised = epoch

    def see_configuration(self, configuration: Configuration, revision: int) -> bool:
        """Take note of what etcd holds. Returns whether it was news; older news is ignored."""
        self.bound = True
        known = self.revision if self.configuration is not None else self.revision - 1
        if revision <= known:
            return False
        self.configuration = configuration
        if revision > self.revision:
            self.revision = revision
            self.write()
        return True

    def advance_commit(self, index: int) -> None:
        """Entries up to `index` are committed: have them applied, in order, once."""
        if index <= self.commit:
            return
        if index > self.log.last_index:
            raise ProtocolBreach(f"commit index {index} beyond the log's end")
        self.commit = index
        self.out.apply.extend(self.log.between(self.apply_asked + 1, index))
        self.apply_asked = index

    def on_applied(self, index: int) -> None:
        """The ledger stands at `index`; entries far below it need not stay in memory."""
        self.applied = max(self.applied, index)
        surplus = self.log.last_index - self.timings.entries_in_memory
        # Half a window at a time, so that trimming costs nothing per entry.
        if surplus > self.log.base_index + self.timings.entries_in_memory // 2:
            self.log.trim(min(surplus, self.applied, self.durable_index))
