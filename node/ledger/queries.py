"""Reads of the ledger: what became of a key, and what a terminal has open."""

from __future__ import annotations

from dataclasses import dataclass

from node.ledger.commands import Receipt, ServiceTotal
from node.ledger.records import decode_record, decode_till
from node.ledger.storage import LedgerStorage, Table
from node.ledger.totals import open_totals


@dataclass(frozen=True, slots=True)
class Inquiry:
    """`receipt` is the first answer; the rest is where the transaction stands now (minor units).

    A tombstone shows as a declined receipt, REVERSED: its original was, or will be, refused. An
    authorisation that has run out stays AUTHORISED until something touches it.
    """

    receipt: Receipt
    state_now: int
    captured_minor: int
    refunded_minor: int


def inquire(storage: LedgerStorage, key: str) -> Inquiry | None:
    """What became of an idempotency key; None when the ledger does not know it."""
    row = storage.get(Table.RECORD, (key,)).get(key)
    if row is None:
        return None
    record = decode_record(row)
    return Inquiry(record.receipt, record.state, record.captured_minor, record.refunded_minor)


def interim(storage: LedgerStorage, terminal: str, service: int) -> tuple[ServiceTotal, ...]:
    """Totals of a terminal since its last close (中間計), without reset.

    One service: its total, also when nothing was done. `service` 0, all: those with any act.
    """
    row = storage.get(Table.TOTAL, (terminal,)).get(terminal)
    return open_totals({} if row is None else decode_till(row), service)
