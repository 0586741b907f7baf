"""What an etcd holds: keys with the revision of their last change, and the history of all changes.

Every change makes a revision, however many keys it touches; guards compare revisions, as etcd's
do. Leases are known here by number only.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from coordinator.keyvalue import (
    Changed,
    Compacted,
    Delete,
    Get,
    KeyValue,
    LeaseGone,
    Listing,
    Operation,
    Outcome,
    Put,
    Unchanged,
)


class Keyspace:
    """The keys of one etcd. `leases`: those that exist, by number."""

    def __init__(self, leases: Container[int]) -> None:
        self._leases = leases
        self._pairs: dict[str, KeyValue] = {}
        self._history: list[tuple[int, tuple[Changed, ...]]] = []
        self.revision = 1
        """That of the last change; an empty etcd is at 1."""
        self.compacted = 0
        """The history begins at this revision."""

    @property
    def last(self) -> tuple[Changed, ...]:
        """What the last revision changed."""
        return self._history[-1][1] if self._history else ()

    def list(self, prefix: str) -> Listing:
        """Everything under `prefix`, in the order of the keys."""
        keys = sorted(key for key in self._pairs if key.startswith(prefix))
        return Listing(self.revision, tuple(self._pairs[key] for key in keys))

    def bound(self, lease: int) -> Sequence[str]:
        """The keys that go when `lease` goes, in the order they go in."""
        return sorted(key for key, pair in self._pairs.items() if pair.lease == lease)

    def transact(
        self,
        guards: Sequence[Unchanged],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """One transaction, as `coordinator.ports.Registry` has it. Raises `LeaseGone`, and has done
        nothing, where it would bind a key to a lease there is not."""
        holds = all(self._unchanged(guard) for guard in guards)
        chosen = then if holds else otherwise
        for operation in chosen:
            if (
                isinstance(operation, Put)
                and operation.lease
                and operation.lease not in self._leases
            ):
                raise LeaseGone("etcdserver: requested lease not found")
        revision = self.revision + 1
        found: dict[str, KeyValue] = {}
        changes: list[Changed] = []
        for operation in chosen:
            match operation:
                case Put(key, value, lease):
                    self._pairs[key] = KeyValue(key, value, revision, lease)
                    changes.append(Changed(key, value, revision))
                case Delete(key):
                    if self._pairs.pop(key, None) is not None:
                        changes.append(Changed(key, None, revision))
                case Get(key):
                    if key in self._pairs:
                        found[key] = self._pairs[key]
        if changes:
            self.revision = revision
            self._history.append((revision, tuple(changes)))
        return Outcome(holds, self.revision, found)

    def since(self, revision: int, prefix: str) -> tuple[Changed, ...]:
        """Every change under `prefix` after `revision`, in order. Raises `Compacted`."""
        if revision + 1 < self.compacted:
            raise Compacted(f"compacted up to {self.compacted}")
        tail: list[tuple[Changed, ...]] = []
        for made, changes in reversed(self._history):
            if made <= revision:
                break
            tail.append(changes)
        return tuple(c for changes in reversed(tail) for c in changes if c.key.startswith(prefix))

    def compact(self) -> None:
        """Forget all history but the last change."""
        self.compacted = self.revision
        del self._history[:-1]

    def _unchanged(self, guard: Unchanged) -> bool:
        pair = self._pairs.get(guard.key)
        return (pair.mod_revision if pair else 0) == guard.mod_revision
