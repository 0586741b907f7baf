"""What must hold between replicas, judged by somebody who sees all of them at every step.

The numbers are those of docs/protocol.md, "What must always hold".
"""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.configuration import ReplicaId
from node.core import Replica
from node.core.leader import Leader
from node.core.messages import Ack, Append, Entry, Message, Mismatch, Promise
from node.core.outputs import Output, ReadReady


class Violation(AssertionError):
    """Names what was violated, and by whom."""


class Witness:
    """Remembers every commit, every leadership and every vow, and compares."""

    def __init__(self) -> None:
        self.committed: dict[int, Entry] = {}
        self.committed_by: dict[int, int] = {}  # the lowest epoch in which it was
        self.leaders: dict[int, tuple[str, int]] = {}
        self.start_logs: dict[int, dict[int, bytes]] = {}
        self.sent_hashes: dict[int, dict[int, bytes]] = {}
        self.reads: dict[tuple[str, int, int], int] = {}

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
            case Promise(epoch, last_epoch, last_index):
                self._vowed(sender, epoch, promised)
                disk = (entries[-1].epoch, entries[-1].index) if entries else (0, 0)
                if disk < (last_epoch, last_index):
                    raise Violation(
                        f"D3: {sender} promised a log up to {(last_epoch, last_index)}, its disk "
                        f"ends at {disk}"
                    )
            case Ack(epoch, _, index):
                self._vowed(sender, epoch, promised)
                if index > len(entries):
                    raise Violation(f"D2: {sender} acknowledged {index}, on disk: {len(entries)}")
                if index and self.sent_hashes[epoch].get(index) != entries[index - 1].hash:
                    raise Violation(f"M1: {sender} acknowledged {index}, its entry is another")
            case Mismatch(epoch):
                self._vowed(sender, epoch, promised)
            case _:
                pass

    def stepped(
        self, name: str, life: int, replica: Replica, disk: Sequence[Entry], output: Output
    ) -> None:
        """A step has been taken, and `output` came of it."""
        role = replica.role
        if isinstance(role, Leader) and role.epoch not in self.start_logs:
            self._begun(name, life, role, replica, disk)
        for entry in output.apply:
            known = self.committed.get(entry.index)
            if known is not None and known.hash != entry.hash:
                raise Violation(f"1 agreement: {name} applies another entry {entry.index}")
            if isinstance(role, Leader):
                self._commit(role.epoch, entry)
            elif known is None:
                raise Violation(f"M1: {name} applies {entry.index}, which no leader committed")
        for answer in output.answer:
            if isinstance(answer, ReadReady):
                asked_at = self.reads[name, life, answer.read]
                if replica.state.applied < asked_at:
                    raise Violation(
                        f"R1: {name} answers a read at {replica.state.applied}; {asked_at} was "
                        "committed when it was asked"
                    )

    def _begun(
        self, name: str, life: int, role: Leader, replica: Replica, disk: Sequence[Entry]
    ) -> None:
        self.leaders.setdefault(role.epoch, (name, life))
        if self.leaders[role.epoch] != (name, life):
            raise Violation(f"3 one leader an epoch: {self.leaders[role.epoch]} and {name}")
        log = replica.state.log
        hashes = {entry.index: entry.hash for entry in disk[: log.base_index]}
        hashes |= {e.index: e.hash for e in log.between(log.base_index + 1, log.last_index)}
        self.start_logs[role.epoch] = hashes
        for index, entry in self.committed.items():
            # A winner that was overtaken may still come to lead in name; it will commit nothing.
            if self.committed_by[index] < role.epoch and hashes.get(index) != entry.hash:
                raise Violation(f"2 durability: {name} leads epoch {role.epoch} without {index}")

    def _commit(self, epoch: int, entry: Entry) -> None:
        if epoch >= self.committed_by.get(entry.index, epoch + 1):
            return
        self.committed[entry.index] = entry
        self.committed_by[entry.index] = epoch
        for later, hashes in self.start_logs.items():
            if later > epoch and hashes.get(entry.index) != entry.hash:
                raise Violation(
                    f"3: epoch {epoch} commits {entry.index}, the leader of {later} is without it"
                )

    def _vowed(self, sender: ReplicaId, epoch: int, promised: int) -> None:
        if promised < epoch:
            raise Violation(f"D3: {sender} vowed to {epoch}, its disk says {promised}")
