"""Evidence: a digest to compare replicas by, sums a service, the ledger made again from its log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from node.ledger.book import apply
from node.ledger.commands import Service, ServiceTotal
from node.ledger.memory import MemoryStorage
from node.ledger.records import (
    decode_account,
    decode_closing,
    decode_till,
)
from node.ledger.services import STORED_VALUE
from node.ledger.storage import LedgerStorage, Table
from node.ledger.verify import PROBLEMS_MAX
from node.ledger.verify import verify as verify


def digest(storage: LedgerStorage) -> bytes:
    """SHA-256 over every row of every table, in order: equal ledgers, equal digests.

    Each table's name, key and value goes in with its length (4 bytes, big-endian) before it.
    """
    state = hashlib.sha256()
    for table in Table:
        for key, row in storage.scan(table):
            for part in (table.encode(), key.encode(), row):
                state.update(len(part).to_bytes(4, "big"))
                state.update(part)
    return state.digest()


def totals(storage: LedgerStorage) -> dict[str, dict[str, int]]:
    """Sums by service name, closed and open together, ready for JSON.

    `open_minor` and `closed_minor` are captured - voided - refunded; `balance_minor` is all stored
    value of the service (0 where it keeps none). Amounts in minor units.
    """
    sums = {service.name: dict.fromkeys(_SUMS, 0) for service in Service}
    for _, row in storage.scan(Table.CLOSING):
        _add(sums, decode_closing(row).total, "closed_minor")
    for _, row in storage.scan(Table.TOTAL):
        for line in decode_till(row).values():
            _add(sums, line.total(), "open_minor")
    for key, row in storage.scan(Table.BALANCE):
        service = Service(int(key.partition(":")[0]))
        if service in STORED_VALUE:
            sums[service.name]["balance_minor"] += decode_account(row).balance_minor
    return sums


def rederive(
    storage: LedgerStorage,
    entries: Iterable[tuple[int, bytes]],
    base: LedgerStorage | None = None,
) -> list[str]:
    """Apply (index, payload) pairs again and compare every row with `storage`; empty: all agree.

    `base` is the ledger before the first entry: None for a log that is whole, from index 1.
    Raises `PayloadError` for an entry that cannot be read.
    """
    again = MemoryStorage(base)
    for index, payload in entries:
        apply(again, index, payload)
    return differences(storage, again)


def differences(stored: LedgerStorage, derived: LedgerStorage) -> list[str]:
    """Rows that are not the same in both, in words, `PROBLEMS_MAX` of them at most."""
    problems: list[str] = []
    for table in Table:
        ours, theirs = dict(stored.scan(table)), derived.scan(table)
        for key, row in theirs:
            if ours.pop(key, None) != row:
                problems.append(f"{table} {key}: not what the log makes of it")
        problems.extend(f"{table} {key}: not in the log" for key in ours)
    return problems[:PROBLEMS_MAX]


_SUMS: Final = (
    "count",
    "captured_minor",
    "voided_minor",
    "refunded_minor",
    "closed_minor",
    "open_minor",
    "balance_minor",
)


def _add(sums: dict[str, dict[str, int]], total: ServiceTotal, net: str) -> None:
    row = sums[Service(total.service).name]
    for name in ("count", "captured_minor", "voided_minor", "refunded_minor"):
        row[name] += getattr(total, name)
    row[net] += total.captured_minor - total.voided_minor - total.refunded_minor
