"""Log and ledger as lines of JSON, for checkers that share no code with the ledger.

One object a line; its `kind` says what it is. In this order:

- `meta`: `format` (1), `node`, `disk_id`, `cluster_id`, `index` (everything below is as of this
  applied index), `epoch` and `chain_hash` of that entry, `prune_index`, `prune_hash`.
- `entry`, ascending, from `prune_index` + 1 to `index`: `index`, `epoch`, `hash`, `stamp_ms` (the
  leader's time, null for the first entry of an epoch), `keys`, and `commands`: for each key, in the
  same order, `key`, `fingerprint`, `merchant`, `terminal`, `service`, `brand`, `type`,
  `amount_minor`, `currency`, `card_token`, `original_key`, `card_write`.
- `record`, by key: `key`, `fingerprint`, `terminal`, `merchant`, `service`, `brand`, `type` (0: a
  tombstone), `outcome`, `response_code`, `state` (now), `amount_minor`, `captured_minor`,
  `refunded_minor`, `original_key`, `card_token`, `card_write`, `close_number` (0: no value moved),
  `booked_terminal` (in whose books), `closing` (the key of the closing that took it, or will; ""),
  `index`, `settled_at_ms`, `rrn`, `approval_code`, `balance_minor` (as answered), `reason`.
- `balance`, by key: `key` (`service:card_token`), `service`, `card_token`, `amount_minor`,
  `used_by` (a coupon's redeeming key).
- `total`, by terminal, then service: `terminal`, `service`, `close_number` (of the next close),
  `count`, `captured_minor`, `voided_minor`, `refunded_minor`: open since the last close.
- `closing`, by key: `key`, `terminal`, `service`, `close_number`, `count`, `captured_minor`,
  `voided_minor`, `refunded_minor`, `close_key` (the CLOSE command's), `settled_at_ms`.
- `end`: `lines`, how many came before. Without it the export was cut short.

Amounts are integers of minor units; hashes and fingerprints are hexadecimal; enumerations are the
numbers of `proto/settlement.proto` (CLOSE is type 20). Fields may be added: ignore unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from node.core.messages import Entry
from node.ledger.commands import Command, ServiceTotal, Type, decode_batch
from node.ledger.records import (
    Record,
    closing_key,
    decode_account,
    decode_closing,
    decode_record,
    decode_till,
    terminal_of,
)
from node.ledger.storage import LedgerStorage, Table
from node.store.snapshot import Frozen

FORMAT: Final = 1

_encode = msgspec.json.Encoder().encode


def lines(snapshot: Frozen, node: str) -> Iterator[str]:
    """The lines; closes `snapshot` at the end, or when the iterator is closed."""
    try:
        count = 0
        for fields in _objects(snapshot, node):
            yield _encode(fields).decode()
            count += 1
        yield _encode({"kind": "end", "lines": count}).decode()
    finally:
        snapshot.close()


def _objects(snapshot: Frozen, node: str) -> Iterator[dict[str, object]]:
    meta = snapshot.meta
    yield {
        "kind": "meta",
        "format": FORMAT,
        "node": node,
        "disk_id": meta.disk_id,
        "cluster_id": meta.cluster_id,
        "index": snapshot.index,
        "epoch": snapshot.epoch,
        "chain_hash": snapshot.chain_hash.hex(),
        "prune_index": meta.prune_index,
        "prune_hash": meta.prune_hash,
    }
    yield from map(_entry, snapshot.entries())
    yield from _ledger(snapshot.rows)


def _ledger(rows: LedgerStorage) -> Iterator[dict[str, object]]:
    for _, value in rows.scan(Table.RECORD):
        yield _record(decode_record(value))
    for key, value in rows.scan(Table.BALANCE):
        account = decode_account(value)
        service, _, card_token = key.partition(":")
        yield {
            "kind": "balance",
            "key": key,
            "service": int(service),
            "card_token": card_token,
            "amount_minor": account.balance_minor,
            "used_by": account.used_by,
        }
    for terminal, value in rows.scan(Table.TOTAL):
        for _, line in sorted(decode_till(value).items()):
            yield {
                "kind": "total",
                "terminal": terminal,
                "close_number": line.close_number,
                **_sums(line.total()),
            }
    for key, value in rows.scan(Table.CLOSING):
        closing = decode_closing(value)
        yield {
            "kind": "closing",
            "key": key,
            "terminal": closing.terminal,
            "close_number": closing.close_number,
            **_sums(closing.total),
            "close_key": closing.key,
            "settled_at_ms": closing.settled_at_ms,
        }


def _entry(entry: Entry) -> dict[str, object]:
    batch = decode_batch(entry.payload) if entry.payload else None
    commands = batch.commands if batch else ()
    return {
        "kind": "entry",
        "index": entry.index,
        "epoch": entry.epoch,
        "hash": entry.hash.hex(),
        "stamp_ms": batch.stamp_ms if batch else None,
        "keys": [command.key for command in commands],
        "commands": [_command(command) for command in commands],
    }


def _command(command: Command) -> dict[str, object]:
    return {
        "key": command.key,
        "fingerprint": command.fingerprint.hex(),
        "merchant": command.merchant,
        "terminal": command.terminal,
        "service": command.service,
        "brand": command.brand,
        "type": command.type,
        "amount_minor": command.amount_minor,
        "currency": command.currency,
        "card_token": command.card_token,
        "original_key": command.original_key,
        "card_write": command.card_write,
    }


def _record(record: Record) -> dict[str, object]:
    receipt = record.receipt
    # What an advice takes back is booked where the original was.
    booked = terminal_of(record.original_key if record.type == Type.ADVICE else receipt.key)
    return {
        "kind": "record",
        "key": receipt.key,
        "fingerprint": receipt.fingerprint.hex(),
        "terminal": terminal_of(receipt.key),
        "merchant": record.merchant,
        "service": record.service,
        "brand": record.brand,
        "type": record.type,
        "outcome": receipt.outcome,
        "response_code": receipt.response_code,
        "state": record.state,
        "amount_minor": record.amount_minor,
        "captured_minor": record.captured_minor,
        "refunded_minor": record.refunded_minor,
        "original_key": record.original_key,
        "card_token": record.card_token,
        "card_write": record.card_write,
        "close_number": record.close_number,
        "booked_terminal": booked,
        "closing": closing_key(booked, record.service, record.close_number)
        if record.close_number
        else "",
        "index": receipt.index,
        "settled_at_ms": receipt.settled_at_ms,
        "rrn": receipt.rrn,
        "approval_code": receipt.approval_code,
        "balance_minor": receipt.balance_minor,
        "reason": receipt.reason,
    }


def _sums(total: ServiceTotal) -> dict[str, object]:
    return {
        "service": total.service,
        "count": total.count,
        "captured_minor": total.captured_minor,
        "voided_minor": total.voided_minor,
        "refunded_minor": total.refunded_minor,
    }
