"""What must hold between replicas, judged by somebody who sees all of them at every step.

The numbers are those of docs/protocol.md, "What must always hold".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol

from coordinator.configuration import Configuration, ReplicaId, is_write_quorum
from node.core import Replica
from node.core.leader import Leader
from node.core.messages import Ack, Append, Entry, Message, Mismatch, Offer, Promise
from node.core.outputs import Fenced, Output, ReadReady


class Violation(AssertionError):
    """What must hold does not: `invariant` is its short name, `words` say what and by whom."""

    def __init__(self, invariant: str, words: str) -> None:
        super().__init__(invariant, words)
        self.invariant = invariant
        self.words = words

    def __str__(self) -> str:
        return f"{self.invariant}: {self.words}"


class OnDisk(Protocol):
    """What the witness looks at of a disk: what is durable on it. `entries` begin at index 1."""

    promised: int
    entries: list[Entry]


Disks = Mapping[ReplicaId, Sequence[Entry]]
"""Every replica's durable log from index 1 on; those of lost disks as they were last."""


class Witness:
    """Remembers every commit, every leadership and every vow, and compares."""

    def __init__(self) -> None:
        self.committed: dict[int, Entry] = {}
        self.committed_by: dict[int, int] = {}  # the lowest epoch in which it was
        self.leaders: dict[int, tuple[str, int]] = {}
        self.start_logs: dict[int, dict[int, bytes]] = {}
        self.sent_hashes: dict[int, dict[int, bytes]] = {}
        self.reads: dict[tuple[str, int, int], int] = {}
        self.given_up: set[bytes] = set()  # hashes of what promotions with loss have listed
        self.promoted_at = 0

    @property
    def last_committed(self) -> int:
        """The highest index any leader has committed."""
        return max(self.committed, default=0)

    def asked(self, name: str, life: int, read: int) -> None:
        """A read came in: from now on its answer must hold all that is committed now (R1)."""
        self.reads[name, life, read] = self.last_committed

    def sent(
        self, sender: ReplicaId, message: Message, promised: int, entries: Sequence[Entry]
    ) -> None:
        """A message left while `promised` and `entries` were on the sender's disk (D2, D3)."""
        match message:
            case Append():
                hashes = self.sent_hashes.setdefault(message.epoch, {})
                hashes[message.prev_index] = message.prev_hash
                hashes.update((entry.index, entry.hash) for entry in message.entries)
            case Promise():
                self._promised(sender, message, promised, entries)
            case Ack(epoch, _, index):
                self._vowed(sender, epoch, promised)
                if index > len(entries):
                    raise Violation("D2", f"{sender} acknowledged {index}, on disk: {len(entries)}")
                if index and self.sent_hashes.get(epoch, {}).get(index) != entries[index - 1].hash:
                    raise Violation("M1", f"{sender} acknowledged {index}, its entry is another")
            case Mismatch(epoch):
                self._vowed(sender, epoch, promised)
            case _:
                pass

    def fenced(
        self, sender: ReplicaId, fenced: Fenced, promised: int, entries: Sequence[Entry]
    ) -> None:
        """A replica has answered that it is fenced: a vow like any other (X4)."""
        if isinstance(fenced.promise, Promise):
            self._promised(sender, fenced.promise, promised, entries)

    def pruned(self, replica: ReplicaId, index: int, members: Disks) -> None:
        """`replica` will prune up to `index`; these are the disks of those who count."""
        for member, entries in members.items():
            if index not in self.committed:
                raise Violation("pruning", f"{replica} prunes {index}, which is not committed")
            if len(entries) < index or entries[index - 1].hash != self.committed[index].hash:
                raise Violation("pruning", f"{replica} prunes {index}, {member} does not have it")

    def counted(self, leader: str, index: int, configuration: Configuration, disks: Disks) -> None:
        """`leader` commits `index` while it holds the key: then nobody else can have changed the
        `configuration` that etcd holds, and the entry is on a write quorum of it (S1, S4, D4)."""
        self._on_write_quorum(f"{leader} commits", index, configuration, disks)

    def configured(self, configuration: Configuration, disks: Disks) -> None:
        """etcd holds another `configuration` now: all that is committed is on a write quorum of it
        (S2), after a promotion all that was kept."""
        if self.committed:
            self._on_write_quorum("the sets change at", self.last_committed, configuration, disks)

    def _on_write_quorum(
        self, what: str, index: int, configuration: Configuration, disks: Disks
    ) -> None:
        chain = self.committed[index].hash
        there = {
            replica
            for replica, entries in disks.items()
            if len(entries) >= index and entries[index - 1].hash == chain
        }
        if not is_write_quorum(configuration, there):
            holders = " ".join(sorted(map(str, there))) or "no disk"
            raise Violation("write quorum", f"{what} {index}, which is on {holders} only")

    def installing(self, replica: ReplicaId, promised: int, offer: Offer, disk: OnDisk) -> None:
        """`replica` makes its disk what `offer` names (M4)."""
        known = self.committed.get(offer.index)
        if known is None or (known.epoch, known.hash) != (offer.entry_epoch, offer.hash):
            raise Violation(
                "M4", f"{replica} installs {offer.index}, which is not what was committed"
            )
        if promised < disk.promised:
            raise Violation("M4", f"{replica} would forget its promise of {disk.promised}")
        for entry in disk.entries[offer.index :]:
            committed = self.committed.get(entry.index)
            if committed is not None and committed.hash == entry.hash:
                raise Violation("M4", f"{replica} would drop {entry.index}, which is committed")

    def promoted(self, kept: Set[bytes], listed: Iterable[Entry], revision: int) -> None:
        """A promotion with loss was made (X4): only what was `listed` may go of what was not
        `kept`, both by hash."""
        hashes = {entry.hash for entry in listed}
        lost = [index for index, entry in self.committed.items() if entry.hash not in kept]
        for index in lost:
            if self.committed[index].hash not in hashes:
                raise Violation("X4", f"{index} is given up, and was not listed")
            del self.committed[index], self.committed_by[index]
        self.given_up |= hashes
        self.promoted_at = revision
        self.reads = {read: min(at, self.last_committed) for read, at in self.reads.items()}

    def stepped(
        self,
        name: str,
        life: int,
        replica: Replica,
        disk: Sequence[Entry],
        output: Output,
        promised: int = 0,
    ) -> None:
        """A step has been taken, and `output` came of it; `promised` and `disk` are durable."""
        role = replica.role
        if isinstance(role, Leader) and self.leaders.get(role.epoch) != (name, life):
            self._begun(name, life, role, replica, disk)
        if isinstance(role, Leader) and output.apply and output.apply[-1].epoch != role.epoch:
            last = output.apply[-1]
            raise Violation(
                "T7", f"{name} leads {role.epoch} and commits up to {last.index}, of {last.epoch}"
            )
        for entry in output.apply:
            if entry.hash in self.given_up:
                if not isinstance(role, Leader) or role.epoch < self.promoted_at:
                    continue  # on a disk that was given up, or not known to have survived
                self.given_up.discard(entry.hash)  # a survivor had it after all
            known = self.committed.get(entry.index)
            if known is not None and known.hash != entry.hash:
                raise Violation("agreement", f"{name} applies another entry {entry.index}")
            if isinstance(role, Leader):
                self._commit(role.epoch, entry)
            elif known is None:
                raise Violation("M1", f"{name} applies {entry.index}, which no leader committed")
        for answer in output.answer:
            if isinstance(answer, ReadReady):
                asked_at = self.reads[name, life, answer.read]
                if replica.state.applied < asked_at:
                    raise Violation(
                        "R1",
                        f"{name} answers a read at {replica.state.applied}; {asked_at} was "
                        "committed when it was asked",
                    )
            elif isinstance(answer, Fenced):
                self.fenced(replica.state.me, answer, promised, disk)

    def _begun(
        self, name: str, life: int, role: Leader, replica: Replica, disk: Sequence[Entry]
    ) -> None:
        other, its_life = self.leaders.setdefault(role.epoch, (name, life))
        if (other, its_life) != (name, life):
            raise Violation(
                "one leader an epoch",
                f"{name} in its life {life} leads {role.epoch}, which {other} led in its life "
                f"{its_life}",
            )
        log = replica.state.log
        hashes = {entry.index: entry.hash for entry in disk[: log.base_index]}
        hashes |= {e.index: e.hash for e in log.between(log.base_index + 1, log.last_index)}
        self.start_logs[role.epoch] = hashes
        for index, entry in self.committed.items():
            # A winner that was overtaken may still come to lead in name; it will commit nothing.
            if self.committed_by[index] < role.epoch and hashes.get(index) != entry.hash:
                raise Violation("durability", f"{name} leads epoch {role.epoch} without {index}")

    def _commit(self, epoch: int, entry: Entry) -> None:
        if epoch >= self.committed_by.get(entry.index, epoch + 1):
            return
        self.committed[entry.index] = entry
        self.committed_by[entry.index] = epoch
        for later, hashes in self.start_logs.items():
            if later > epoch and hashes.get(entry.index) != entry.hash:
                raise Violation(
                    "durability",
                    f"epoch {epoch} commits {entry.index}, the leader of {later} is without it",
                )

    def _promised(
        self, sender: ReplicaId, promise: Promise, promised: int, entries: Sequence[Entry]
    ) -> None:
        self._vowed(sender, promise.epoch, promised)
        disk = (entries[-1].epoch, entries[-1].index) if entries else (0, 0)
        end = promise.last_epoch, promise.last_index
        if disk < end:
            raise Violation("D3", f"{sender} promised a log up to {end}, its disk ends at {disk}")

    def _vowed(self, sender: ReplicaId, epoch: int, promised: int) -> None:
        if promised < epoch:
            raise Violation("D3", f"{sender} vowed to {epoch}, its disk says {promised}")
