"""What the checkers look at: histories of terminals, exported ledgers, audits. Pure data.

Ledger lines are those of control.proto's Export (docs/operations). The types here are the checkers'
own reading of them: nothing of the node's code is used to judge the node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from loadtest.history import History

APPROVED: Final = 1
DECLINED: Final = 2
MISMATCH: Final = 3
CLOSE_TYPE: Final = 20
"""The type number the ledger gives to a close, which is no transaction type of the wire."""


class Command(msgspec.Struct, frozen=True):
    """One command as it stands in an exported log entry."""

    key: str
    fingerprint: str
    terminal: str
    service: int
    type: int
    amount_minor: int
    card_token: str
    original_key: str
    card_write: int


class Entry(msgspec.Struct, frozen=True, tag="entry", tag_field="kind"):
    """One place in the log; no time and no commands where an epoch starts."""

    index: int
    epoch: int
    hash: str
    stamp_ms: int | None
    commands: tuple[Command, ...]


class Record(msgspec.Struct, frozen=True, tag="record", tag_field="kind"):
    """What the ledger keeps under one idempotency key. `type` 0: a tombstone.

    `state`, `captured_minor`, `refunded_minor` are as of now; the rest is the first answer.
    """

    key: str
    fingerprint: str
    terminal: str
    service: int
    type: int
    outcome: int
    response_code: str
    state: int
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    original_key: str
    card_token: str
    card_write: int
    close_number: int
    index: int
    settled_at_ms: int
    rrn: str
    approval_code: str
    balance_minor: int | None
    reason: str


class Balance(msgspec.Struct, frozen=True, tag="balance", tag_field="kind"):
    """One account's stored value, or one coupon's use."""

    key: str
    service: int
    card_token: str
    amount_minor: int
    used_by: str


class Total(msgspec.Struct, frozen=True, tag="total", tag_field="kind"):
    """What is open at one terminal in one service; `close_number` is that of its next close."""

    terminal: str
    service: int
    close_number: int
    count: int
    captured_minor: int
    voided_minor: int
    refunded_minor: int


class Closing(msgspec.Struct, frozen=True, tag="closing", tag_field="kind"):
    """What one close of one service at one terminal took."""

    key: str
    terminal: str
    service: int
    close_number: int
    count: int
    captured_minor: int
    voided_minor: int
    refunded_minor: int


class Meta(msgspec.Struct, frozen=True, tag="meta", tag_field="kind"):
    """First line of an export: whose ledger, at which index."""

    format: int
    node: str
    disk_id: str
    cluster_id: str
    index: int
    epoch: int
    chain_hash: str
    prune_index: int


class End(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """Last line of an export: how many lines came before it."""

    lines: int


LedgerLine = Meta | Entry | Record | Balance | Total | Closing | End


@dataclass(frozen=True, slots=True)
class Ledger:
    """One replica's export, whole. `in_sync`: it counted for quorums when it was taken."""

    meta: Meta
    entries: tuple[Entry, ...]
    records: tuple[Record, ...]
    balances: tuple[Balance, ...]
    totals: tuple[Total, ...]
    closings: tuple[Closing, ...]
    in_sync: bool = True

    @property
    def name(self) -> str:
        """The node's name, for people."""
        return self.meta.node

    @property
    def replica(self) -> str:
        """`node/disk`, as in-sync sets name it."""
        return f"{self.meta.node}/{self.meta.disk_id}"


class Audit(msgspec.Struct, frozen=True):
    """One replica's own audit at one index; hashes in hexadecimal."""

    node: str
    index: int
    chain_hash: str
    ledger_digest: str
    totals_json: str
    records: int
    rederived: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything in an evidence folder that judges need.

    `missing`: replicas that counted and whose ledger is not here. `given_up`: those that a
    promotion with loss gave up; what they hold beside the others is known to be lost.
    """

    history: History
    ledgers: tuple[Ledger, ...]
    audits: tuple[Audit, ...]
    missing: tuple[str, ...] = ()
    given_up: frozenset[str] = frozenset()

    def counting(self) -> tuple[Ledger, ...]:
        """The ledgers of in-sync replicas. Raises `NotEnough` when there is none."""
        found = tuple(ledger for ledger in self.ledgers if ledger.in_sync)
        if not found:
            raise NotEnough("no ledger of an in-sync replica was exported")
        return found


class NotEnough(ValueError):
    """The evidence does not hold what a question needs: the answer is "unknown", never "yes"."""
