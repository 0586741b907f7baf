"""The port through which the rules see the ledger's rows: four tables of text keys and bytes.

Synchronous, because it is used inside the store's own transaction. Keys are text compared by code
point; values are the MessagePack bytes of `node.ledger.records`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol


class Table(enum.StrEnum):
    """What the ledger keeps.

    RECORD: one row an idempotency key. BALANCE: one row an account or coupon. TOTAL: one row a
    terminal, what is open since its last closes. CLOSING: one row a close of a service.
    """

    RECORD = "record"
    BALANCE = "balance"
    TOTAL = "total"
    CLOSING = "closing"


class LedgerStorage(Protocol):
    """Rows of the ledger. Reads see the puts made before them in the same transaction."""

    def get(self, table: Table, keys: Collection[str]) -> dict[str, bytes]:
        """The rows that exist among `keys`; a missing key is absent from the answer."""
        ...

    def put(self, table: Table, rows: Sequence[tuple[str, bytes]]) -> None:
        """Insert or replace rows. No key stands twice in `rows`."""
        ...

    def scan(self, table: Table) -> Iterator[tuple[str, bytes]]:
        """Every row in ascending order of key (code points, as SQLite's BINARY orders UTF-8)."""
        ...
