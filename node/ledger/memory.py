"""A ledger storage in memory: for tests, the simulator, and re-deriving a ledger from its log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from node.ledger.storage import LedgerStorage, Table


class MemoryStorage:
    """`LedgerStorage` over one dictionary a table."""

    def __init__(self, rows: LedgerStorage | None = None) -> None:
        """Empty, or a copy of everything in `rows`."""
        self._tables: dict[Table, dict[str, bytes]] = {
            table: dict(rows.scan(table)) if rows is not None else {} for table in Table
        }

    def get(self, table: Table, keys: Collection[str]) -> dict[str, bytes]:
        """See `LedgerStorage.get`."""
        rows = self._tables[table]
        return {key: rows[key] for key in keys if key in rows}

    def put(self, table: Table, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `LedgerStorage.put`."""
        self._tables[table].update(rows)

    def scan(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """See `LedgerStorage.scan`."""
        return iter(sorted(self._tables[table].items()))
