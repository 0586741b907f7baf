"""What must hold between replicas, judged by somebody who sees all of them at every step.

The numbers are those of docs/protocol.md, "What must always hold".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol

from coordinator.configuration import (
    Configuration,
    ReplicaId,
    is_takeover_quorum,
    is_write_quorum,
)
from node.core import Replica
from node.core.leader import Leader
from node.core.messages import Ack, Append, Entry, Message, Mismatch, Offer, Promise
from node.core.outputs import ChangeConfiguration, Fenced, Output, ReadReady


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
    """Remembers every commit, every leadership, every vow and every set change, and compares."""

    def __init__(self) -> None:
        self.committed: dict[int, Entry] = {}
        self.committed_by: dict[int, int] = {}  # the lowest epoch in which it was
        self.highest = 0  # the highest index that ever was
        self.leaders: dict[int, tuple[str, int]] = {}
        self.start_logs: dict[int, dict[int, bytes]] = {}
        self.sent_hashes: dict[int, dict[int, bytes]] = {}
        self.changes: dict[int, ChangeConfiguration] = {}  # each epoch's last set change
        self.reads: dict[tuple[str, int, int], int] = {}
        self.questions: dict[tuple[str, int, int], int] = {}  # the same reads: their numbers
        self.acks: dict[int, dict[ReplicaId, int]] = {}  # by epoch: questions asked by then
        self.given_up: set[bytes] = set()  # hashes of what promotions with loss have listed
        self.promoted_at = 0
        self.configured_at = 0  # the newest configuration looked at: its revision in etcd

    @property
    def last_committed(self) -> int:
        """The highest index any leader has committed."""
        return max(self.committed, default=0)

    def asked(self, name: str, life: int, read: int) -> None:
        """A read came in: from now on its answer must hold all that is committed now, and wait for
        acknowledgements that leave from now on (R1)."""
        self.reads[name, life, read] = self.last_committed
        self.questions[name, life, read] = len(self.questions) + 1

    def told(self, terminal: str, index: int) -> None:
        """`terminal` has heard of a settlement: by then a leader has committed it (C1)."""
        if index > self.highest:
            raise Violation(
                "C1", f"{terminal} is told of {index}, when {self.highest} is committed"
            )

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
                self.acks.setdefault(epoch, {})[sender] = len(self.questions)
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

    def won(
        self, name: str, epoch: int, configuration: Configuration, promised: Mapping[ReplicaId, int]
    ) -> None:
        """`name` leads `epoch` from now on, by a takeover quorum of its site of those whose disks
        say what they `promised` (T4)."""
        vowed = [replica for replica, vow in promised.items() if vow >= epoch]
        if not is_takeover_quorum(configuration, configuration.active_site, vowed):
            raise Violation("T4", f"{name} leads {epoch}, promised on {_words(vowed)} only")

    def changing(
        self, leader: str, cover: int, chain: bytes, change: ChangeConfiguration, disks: Disks
    ) -> None:
        """`leader` asks etcd for a `change` while it holds the key: all up to `cover`, where its
        log has the hash `chain`, must be on a write quorum of the new sets by then (S2)."""
        there = _holders(cover, chain, disks)
        if cover and not is_write_quorum(change.configuration, there):
            raise Violation(
                "S2", f"{leader} asks for new sets, and has {cover} on {_words(there)} only"
            )

    def changed(self, held: int, revision: int, configuration: Configuration) -> None:
        """etcd holds another `configuration` since `revision`, and the leader key of epoch `held`
        has stood there all the while: then that leader has asked for it (E4)."""
        change = self.changes.get(held)
        if change is None or change.configuration != configuration:
            raise Violation(
                "E4", f"the sets are others since {revision}, behind the back of leader {held}"
            )

    def configured(self, configuration: Configuration, disks: Disks) -> None:
        """etcd holds another `configuration` now: all that is committed is on a write quorum of it
        (S2), after a promotion all that was kept."""
        if self.committed:
            self._on_write_quorum("the sets change at", self.last_committed, configuration, disks)

    def _on_write_quorum(
        self, what: str, index: int, configuration: Configuration, disks: Disks
    ) -> None:
        there = _holders(index, self.committed[index].hash, disks)
        if not is_write_quorum(configuration, there):
            raise Violation("write quorum", f"{what} {index}, which is on {_words(there)} only")

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
        for ask in output.ask_registry:
            if isinstance(ask, ChangeConfiguration):
                self.changes[ask.epoch] = ask
        if isinstance(role, Leader):
            if self.leaders.get(role.epoch) != (name, life):
                self._begun(name, life, role, replica, disk)
            self._joint(name, role)
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
                self._read(name, life, answer.read, replica)
            elif isinstance(answer, Fenced):
                self.fenced(replica.state.me, answer, promised, disk)

    def _read(self, name: str, life: int, read: int, replica: Replica) -> None:
        asked_at, applied = self.reads[name, life, read], replica.state.applied
        if applied < asked_at:
            raise Violation(
                "R1",
                f"{name} answers a read at {applied}; {asked_at} was committed when it was asked",
            )
        role, number = replica.role, self.questions[name, life, read]
        if isinstance(role, Leader):
            acks = self.acks.get(role.epoch, {})
            proven = {peer for peer, asked in acks.items() if asked >= number} | {replica.state.me}
            if not is_write_quorum(role.configuration, proven):
                raise Violation(
                    "R1", f"{name} answers a read, and since it was asked had {_words(proven)} only"
                )

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

    def _joint(self, name: str, role: Leader) -> None:
        """What was sent may still arrive, until etcd is known to hold something else (S4)."""
        sent, change = self.changes.get(role.epoch), role.change
        if sent is None or role.revision != sent.revision:
            return
        if change is None or change.target != sent.configuration:
            raise Violation("S4", f"{name} has given up a set change that it sent to etcd")

    def _commit(self, epoch: int, entry: Entry) -> None:
        if epoch >= self.committed_by.get(entry.index, epoch + 1):
            return
        self.committed[entry.index] = entry
        self.committed_by[entry.index] = epoch
        self.highest = max(self.highest, entry.index)
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


def _holders(index: int, chain: bytes, disks: Disks) -> list[ReplicaId]:
    """Whose disk has the entry at `index` with this hash."""
    return [
        replica
        for replica, entries in disks.items()
        if len(entries) >= index and entries[index - 1].hash == chain
    ]


def _words(replicas: Iterable[ReplicaId]) -> str:
    return " ".join(sorted(map(str, replicas))) or "no disk"
