"""A picture of log and ledger at one applied index, read while the writer goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import apsw

from node.core.messages import Entry
from node.ledger.storage import LedgerStorage
from node.store.recovery import log_after
from node.store.rows import ReadRows
from node.store.schema import Meta, connect, read_meta


class Frozen(Protocol):
    """Log and ledger at exactly one applied index, whoever keeps them."""

    @property
    def meta(self) -> Meta:
        """Where the replica stands."""
        ...

    @property
    def index(self) -> int:
        """The applied index."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch of the entry at that index."""
        ...

    @property
    def chain_hash(self) -> bytes:
        """The chain hash of that entry."""
        ...

    @property
    def rows(self) -> LedgerStorage:
        """The ledger's rows, to read."""
        ...

    def entries(self) -> Iterator[Entry]:
        """The log above the prune point, up to the applied index."""
        ...

    def close(self) -> None:
        """Nothing is read of it any more."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`Frozen` by a read transaction: `close` it, or the write-ahead log cannot be reused."""

    connection: apsw.Connection
    meta: Meta
    epoch: int
    chain_hash: bytes

    @property
    def index(self) -> int:
        """The applied index."""
        return self.meta.applied_index

    @property
    def rows(self) -> ReadRows:
        """The ledger's rows."""
        return ReadRows(self.connection)

    def entries(self) -> Iterator[Entry]:
        """The log above the prune point, up to the applied index."""
        return log_after(
            self.connection, self.meta.prune_index, self.meta.applied_index - self.meta.prune_index
        )

    def close(self) -> None:
        """Ends the read transaction."""
        self.connection.close()


def take(file: Path, vfs: str | None, *, readonly: bool = True) -> Snapshot:
    """Freezes what is committed now. Raises `apsw.Error`, `StoreDamaged`.

    Only if not `readonly` can its connection write to a file that it attaches.
    """
    connection = connect(file, vfs, cache_kib=8192, readonly=readonly)
    try:
        connection.execute("BEGIN").fetchall()
        meta = read_meta(connection)
        at = meta.applied_index
        if at == meta.prune_index:
            return Snapshot(connection, meta, meta.prune_epoch, meta.base_hash)
        (entry,) = log_after(connection, at - 1, 1)
        return Snapshot(connection, meta, entry.epoch, entry.hash)
    except BaseException:
        connection.close()
        raise
