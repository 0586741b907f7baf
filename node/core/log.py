"""The log as a replica holds it in memory: a window of entries over a base.

The base is the last entry below the window; everything at or below it is applied and on disk.
Truncation never reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.core.messages import Entry, chain_hash


class Log:
    """Entries `base_index + 1 .. last_index`, without gaps, hash-chained from the base."""

    __slots__ = ("_entries", "base_epoch", "base_hash", "base_index")

    def __init__(
        self, base_index: int, base_epoch: int, base_hash: bytes, entries: Iterable[Entry] = ()
    ) -> None:
        self.base_index = base_index
        self.base_epoch = base_epoch
        self.base_hash = base_hash
        self._entries: list[Entry] = list(entries)

    @property
    def last_index(self) -> int:
        """Index of the last entry, 0 for an empty log."""
        return self.base_index + len(self._entries)

    @property
    def last_epoch(self) -> int:
        """Epoch of the last entry, 0 for an empty log."""
        return self._entries[-1].epoch if self._entries else self.base_epoch

    @property
    def last_hash(self) -> bytes:
        """Chain hash of the last entry, zeros for an empty log."""
        return self._entries[-1].hash if self._entries else self.base_hash

    def holds(self, index: int) -> bool:
        """Is the entry at `index` in the window, or its epoch and hash known as the base?"""
        return self.base_index <= index <= self.last_index

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Raises `IndexError` outside the window."""
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"entry {index} is not in memory ({self.base_index + 1}..)")
        return self._entries[index - self.base_index - 1]

    def epoch_at(self, index: int) -> int:
        """Epoch of the entry at `index`, which the log holds. Raises `IndexError` if not."""
        return self.base_epoch if index == self.base_index else self.entry(index).epoch

    def hash_at(self, index: int) -> bytes:
        """Chain hash at `index`, which the log holds. Raises `IndexError` if not."""
        return self.base_hash if index == self.base_index else self.entry(index).hash

    def matches(self, index: int, epoch: int, chain: bytes) -> bool:
        """Does the log hold exactly this entry (and so everything before it) at `index`?"""
        return self.holds(index) and self.epoch_at(index) == epoch and self.hash_at(index) == chain

    def between(self, first: int, last: int) -> Sequence[Entry]:
        """Entries `first .. last`, both in the window (an empty range is fine)."""
        offset = self.base_index + 1
        return self._entries[first - offset : last - offset + 1]

    def from_index(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """Entries from `first` on, up to `max_bytes` of payload, at least one if there is one."""
        taken: list[Entry] = []
        size = 0
        for position in range(first - self.base_index - 1, len(self._entries)):
            entry = self._entries[position]
            size += len(entry.payload)
            if taken and size > max_bytes:
                break
            taken.append(entry)
        return tuple(taken)

    def follow(self, epoch: int, payload: bytes) -> Entry:
        """Make, append and return the next entry: only a leader does."""
        index = self.last_index + 1
        entry = Entry(index, epoch, payload, chain_hash(self.last_hash, index, epoch, payload))
        self._entries.append(entry)
        return entry

    def extend(self, entries: Iterable[Entry]) -> None:
        """Append entries that continue the log; the caller has checked index and chain."""
        self._entries.extend(entries)

    def truncate_after(self, index: int) -> None:
        """Drop every entry above `index`, which is not below the base."""
        del self._entries[index - self.base_index :]

    def trim(self, index: int) -> None:
        """Forget entries up to `index` in memory; they stay on disk. `index` becomes the base."""
        if index <= self.base_index:
            return
        base = self.entry(index)
        del self._entries[: index - self.base_index]
        self.base_index, self.base_epoch, self.base_hash = base.index, base.epoch, base.hash


def is_chain(previous_index: int, previous_hash: bytes, entries: Iterable[Entry]) -> bool:
    """Do `entries` follow an entry at `previous_index`, each hashed over the one before?"""
    index, chain = previous_index, previous_hash
    for entry in entries:
        index += 1
        if entry.index != index or entry.hash != chain_hash(
            chain, index, entry.epoch, entry.payload
        ):
            return False
        chain = entry.hash
    return True
