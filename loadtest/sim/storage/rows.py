"""The ledger as one life of a store sees it: what is on the disk, and what it has changed since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from loadtest.sim.storage.disk import SimDisk
from node.core.messages import GENESIS_HASH, Entry
from node.ledger.memory import MemoryStorage
from node.ledger.storage import Table
from node.store.schema import Meta


class Rows:
    """`LedgerStorage` of a life: `changes` lie over the disk's rows until they are flushed."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self.clear()

    def clear(self) -> None:
        """Forget the changes: they are on the disk, or other rows were put there."""
        self.changes: dict[Table, dict[str, bytes]] = {table: {} for table in Table}

    @property
    def pending(self) -> int:
        """How many rows are changed."""
        return sum(len(changed) for changed in self.changes.values())

    def get(self, table: Table, keys: Collection[str]) -> dict[str, bytes]:
        """See `LedgerStorage.get`."""
        found = self._disk.rows.get(table, keys)
        changed = self.changes[table]
        for key in keys:
            row = changed.get(key)
            if row is not None:
                found[key] = row
        return found

    def put(self, table: Table, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `LedgerStorage.put`."""
        self.changes[table].update(rows)

    def scan(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """See `LedgerStorage.scan`."""
        return iter(sorted({**dict(self._disk.rows.scan(table)), **self.changes[table]}.items()))


@dataclass(frozen=True, slots=True)
class Picture:
    """`node.store.snapshot.Frozen`: copies, so that the store may go on."""

    meta: Meta
    epoch: int
    chain_hash: bytes
    rows: MemoryStorage
    log: tuple[Entry, ...]

    @property
    def index(self) -> int:
        """The applied index."""
        return self.meta.applied_index

    def entries(self) -> Iterator[Entry]:
        """The log above the prune point, up to the applied index."""
        return iter(self.log[self.meta.prune_index :])

    def close(self) -> None:
        """Nothing to do."""


def take(meta: Meta, rows: Rows, log: Sequence[Entry]) -> Picture:
    """The ledger where `rows` stand, which is `meta.applied_index`; `log` is all up to there."""
    epoch, chain = (log[-1].epoch, log[-1].hash) if log else (0, GENESIS_HASH)
    return Picture(meta, epoch, chain, MemoryStorage(rows), tuple(log))
