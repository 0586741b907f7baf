"""What one transaction will do: the writes and applied entries that were waiting, taken together.

Bookkeeping only, no disk. Later writes see earlier ones: an entry written and truncated within one
plan never reaches the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from node.core.messages import Entry
from node.core.outputs import Write
from node.store.problems import Breach
from node.store.schema import Meta

BYTES_MAX: Final = 4 * 1024 * 1024
"""A transaction takes no more work once its entries hold this many bytes."""


@dataclass(frozen=True, slots=True)
class End:
    """The last entry of the log; its hash is None until it has been looked up after a cut."""

    index: int
    hash: bytes | None


@dataclass(slots=True)
class Plan:
    """Starts from where the replica stands; `add_*` in the order asked."""

    meta: Meta
    end: End
    applied: int
    cut_after: int | None = None
    rows: list[Entry] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    number: int | None = None
    size: int = 0

    def add_write(self, write: Write) -> None:
        """Raises `Breach` where a promise or a settled entry would be lost, or a gap left."""
        if write.promised < self.meta.promised:
            raise Breach(f"promise {write.promised} is below {self.meta.promised}, the one on disk")
        if write.truncate_after is not None and write.truncate_after < self.end.index:
            self._cut(write.truncate_after)
        for entry in write.entries:
            if entry.index != self.end.index + 1:
                raise Breach(f"entry {entry.index} does not follow {self.end.index}, the last one")
            self.rows.append(entry)
            self.size += len(entry.payload)
            self.end = End(entry.index, entry.hash)
        revision = max(self.meta.configuration_revision, write.configuration_revision)
        if (write.promised, revision) != (self.meta.promised, self.meta.configuration_revision):
            self.meta = msgspec.structs.replace(
                self.meta, promised=write.promised, configuration_revision=revision
            )
        self.number = write.number

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Raises `Breach` where an entry does not follow the applied ones or is not in the log."""
        for entry in entries:
            if entry.index != self.applied + 1:
                raise Breach(f"entry {entry.index} does not follow {self.applied}, the applied one")
            if entry.index > self.end.index:
                raise Breach(f"entry {entry.index} is beyond {self.end.index}, the end of the log")
            self.entries.append(entry)
            self.applied = entry.index
            self.size += len(entry.payload)

    def _cut(self, after: int) -> None:
        if after < self.applied:
            raise Breach(f"dropping what follows {after}, but {self.applied} is applied")
        while self.rows and self.rows[-1].index > after:
            self.rows.pop()
        if self.rows:
            self.end = End(self.rows[-1].index, self.rows[-1].hash)
        else:
            self.cut_after = after if self.cut_after is None else min(self.cut_after, after)
            known = self.meta.base_hash if after == self.meta.prune_index else None
            self.end = End(after, known)
