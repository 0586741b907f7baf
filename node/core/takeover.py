"""Taking over: from a won epoch to a log that holds everything ever acknowledged (T4, T5).

Phases: *fencing* (promises from a takeover quorum), then, if another log is longer, *fetching*.
The end is `ready`: the caller appends EpochStart and leads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.configuration import Configuration, ReplicaId, is_takeover_quorum
from node.core.log import is_chain
from node.core.messages import Entries, Entry, Fence, Fetch, Promise
from node.core.state import ProtocolBreach, State

FETCH_TRIES = 3


@dataclass(slots=True)
class Takeover:
    """One attempt to lead `epoch`, in the configuration read after winning it (T3).

    Times are milliseconds.
    """

    state: State
    epoch: int
    configuration: Configuration
    started_at: float
    own_write: int = 0
    promises: dict[ReplicaId, Promise] = field(default_factory=dict)
    fenced_at: float = -1e18
    donor: ReplicaId | None = None
    fetch_from: int = 0
    fetched: list[Entry] = field(default_factory=list)
    fetch_tries: int = 0
    fetch_at: float = 0.0
    ready: bool = False
    unfit: str = ""

    role = "takeover"

    def begin(self, now: float) -> None:
        """Promise the own epoch and fence everybody (T4)."""
        self.state.promise(self.epoch)
        self.own_write = self.state.write()
        self.state.event("takeover", f"won epoch {self.epoch}, fencing")
        self._fence(now)

    def on_tick(self, now: float) -> None:
        """Repeat Fence, which is also the sign of life (T2); chase a donor that is slow."""
        if now - self.fenced_at >= self.state.timings.heartbeat_ms:
            self._fence(now)
        if self.donor is not None and now - self.fetch_at >= self.state.timings.retransmit_ms:
            self._chase(now)

    def on_persisted(self, now: float) -> None:
        """The own promise counts once it is on disk, like anybody's (D3, D4)."""
        if self.state.me in self.promises or self.state.writes_persisted < self.own_write:
            return
        log = self.state.log
        own = Promise(
            self.epoch, log.last_epoch, log.last_index, self.state.commit, self.state.pruned
        )
        self.promises[self.state.me] = own
        self._choose(now)

    def on_promise(self, sender: ReplicaId, promise: Promise, now: float) -> None:
        """A member's vow, and where its log ends. No other's log may be chosen (T5): it may be on a
        disk that a promotion with loss has given up without knowing of it (X4)."""
        counts = sender in self.configuration.members
        if counts and promise.epoch == self.epoch and not self.ready:
            self.promises[sender] = promise
            self._choose(now)

    def on_entries(self, sender: ReplicaId, reply: Entries, now: float) -> None:
        """The donor's entries; several chunks may be needed (T5)."""
        if reply.epoch != self.epoch or sender != self.donor:
            return
        last = self.fetched[-1] if self.fetched else None
        expected = last.index if last else self.fetch_from
        if reply.prev_index != expected:
            return  # an answer to a question asked before
        chain = last.hash if last else self.state.log.hash_at(expected)
        follows = not reply.entries or is_chain(expected, chain, reply.entries[:1])
        if expected > self.state.commit and not last and not (reply.matched and follows):
            # What is committed there and pruned is another entry here: we cannot be brought level.
            self._pass_over(f"the log of {sender} begins where ours is another", now)
            return
        if not reply.matched:
            raise ProtocolBreach(
                f"{sender} has another entry at index {expected}, which is committed"
            )
        if not is_chain(expected, chain, reply.entries):
            raise ProtocolBreach(f"entries fetched from {sender} do not form a chain")
        self.fetched.extend(reply.entries)
        promised = self.promises[sender]
        reached = self.fetched[-1].index if self.fetched else expected
        if reached >= promised.last_index:
            self._install()
        elif reply.entries:
            self.fetch_tries = 0
            self._ask(now)

    def _fence(self, now: float) -> None:
        self.fenced_at = now
        for node in self.state.identity.peers:
            # Those who have promised hear it too: it keeps them from suspecting us.
            self.state.send(node, Fence(self.epoch, self.state.revision))

    def _choose(self, now: float) -> None:
        """With a takeover quorum of promises, take the greatest log of all members that promised
        (T5)."""
        if self.donor is not None or self.ready or self.state.me not in self.promises:
            return
        site = self.state.identity.site
        if not is_takeover_quorum(self.configuration, site, self.promises):
            return
        best = max(
            self.promises,
            key=lambda replica: (
                self.promises[replica].last_epoch,
                self.promises[replica].last_index,
                replica == self.state.me,
            ),
        )
        log = self.state.log
        greatest = (self.promises[best].last_epoch, self.promises[best].last_index)
        if greatest <= (log.last_epoch, log.last_index):
            self.ready = True
            return
        self.donor = best
        self.fetched = []
        self.fetch_tries = 0
        if self.promises[best].prune_index > log.last_index:
            self._pass_over(f"the log of {best} begins after ours ends", now)
            return
        self.state.event("fetch", f"log of {best} ends later: {greatest}")
        self._ask(now)

    def _ask(self, now: float) -> None:
        assert self.donor is not None
        self.fetch_at = now
        if self.fetched:
            previous = self.fetched[-1]
            fetch = Fetch(self.epoch, previous.index, previous.epoch, previous.hash)
        else:
            # What is committed here is in every log that may be chosen: start from there, or where
            # the donor's begins: what it has pruned is committed, and most likely here as well.
            log, pruned = self.state.log, self.promises[self.donor].prune_index
            index = self.fetch_from = max(self.state.commit, min(pruned, log.last_index))
            fetch = Fetch(self.epoch, index, log.epoch_at(index), log.hash_at(index))
        self.state.send(self.donor.node, fetch)

    def _chase(self, now: float) -> None:
        """Ask again; give a vanished donor up if a takeover quorum remains without it (T5)."""
        self.fetch_tries += 1
        if self.fetch_tries > FETCH_TRIES and self._quorum_without_donor():
            self._pass_over(f"{self.donor} does not answer", now)
        else:
            self._ask(now)

    def _quorum_without_donor(self) -> bool:
        others = {replica for replica in self.promises if replica != self.donor}
        return is_takeover_quorum(self.configuration, self.state.identity.site, others)

    def _pass_over(self, why: str, now: float) -> None:
        """Give the donor up, if a quorum remains without it; else another must lead: it, say."""
        assert self.donor is not None
        if not self._quorum_without_donor():
            self.unfit = why
            return
        self.state.event("fetch", f"{why}, choosing another log")
        del self.promises[self.donor]
        self.donor = None
        self._choose(now)

    def _install(self) -> None:
        """Keep the prefix that agrees, replace the rest: one write, durable together (T5)."""
        log = self.state.log
        keep = 0
        while keep < len(self.fetched):
            entry = self.fetched[keep]
            if entry.index > log.last_index or log.hash_at(entry.index) != entry.hash:
                break
            keep += 1
        new = self.fetched[keep:]
        end = new[0].index - 1 if new else log.last_index
        cut = end if end < log.last_index else None
        if cut is not None:
            if cut < self.state.commit:
                raise ProtocolBreach(f"taking over would cut committed index {cut + 1}")
            log.truncate_after(cut)
        log.extend(new)
        self.state.write(truncate_after=cut, entries=new)
        self.donor = None
        self.ready = True
