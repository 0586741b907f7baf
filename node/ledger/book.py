"""Apply one log entry to the ledger: every replica, the same bytes, the same rows and receipts."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.commands import Command, Outcome, Receipt, State, Type, decode_batch
from node.ledger.records import Record
from node.ledger.rules import RULES
from node.ledger.services import (
    AMOUNT_MAX_MINOR,
    APPROVED,
    INVALID_AMOUNT,
    KEY_REUSED,
    NOT_PERMITTED,
)
from node.ledger.sheet import Sheet
from node.ledger.storage import LedgerStorage
from node.ledger.totals import close
from node.ledger.verdicts import Decline, Effect

_CLOSE: Final = int(Type.CLOSE)
_ADVICE: Final = int(Type.ADVICE)
_APPROVED: Final = int(Outcome.APPROVED)
_DECLINED: Final = int(Outcome.DECLINED)
_STATE_DECLINED: Final = int(State.DECLINED)
_MAY_BE_ZERO: Final = frozenset({int(Type.BALANCE), int(Type.ADVICE)})


def apply(storage: LedgerStorage, index: int, payload: bytes) -> tuple[Receipt, ...]:
    """Apply the entry at `index`: one receipt a command, in order; none for an empty payload.

    All rows are read first (one `get` a table) and written last (one `put` a table). Commands see
    what those before them in the batch did. Raises `PayloadError` for bytes this version cannot
    read, before anything is written.
    """
    if not payload:
        return ()
    batch = decode_batch(payload)
    sheet = Sheet(storage, batch.commands, index, batch.stamp_ms)
    # 9 + 3 hexadecimal digits: the place in the log is the centre's reference (ISO 8583 field 37).
    place = f"{index:09X}"
    receipts = []
    for position, command in enumerate(batch.commands):
        sheet.rrn = f"{place}{position:03X}"
        known = sheet.records.get(command.key)
        if known is None:
            receipts.append(_settle(sheet, command, position))
        else:
            receipts.append(_again(sheet, command, known))
    sheet.write(storage)
    return tuple(receipts)


def approval_code(index: int, position: int) -> str:
    """Six digits that look drawn by lot, from a command's place in the log (ISO 8583 field 38)."""
    return f"{(index * 4096 + position) * 736_339 % 1_000_000:06d}"


def answer_again(record: Record, fingerprint: bytes) -> Receipt | None:
    """The stored answer, marked as replayed; None when the key was used with other content (C1).

    A tombstone answers whatever comes under its key.
    """
    first = record.receipt
    if first.fingerprint == fingerprint or not record.type:
        return msgspec.structs.replace(first, replayed=True)
    return None


def _settle(sheet: Sheet, command: Command, position: int) -> Receipt:
    if command.type == _CLOSE:
        return close(sheet, command, approval_code(sheet.index, position))
    rule = RULES.get((command.service, command.type))
    # The front has checked both; an entry that slipped through must not stop every replica.
    if rule is None:
        verdict: Effect | Decline = _NOT_PERMITTED
    elif not 0 < command.amount_minor <= AMOUNT_MAX_MINOR and not (
        command.amount_minor == 0 and command.type in _MAY_BE_ZERO
    ):
        verdict = _INVALID_AMOUNT
    else:
        verdict = rule(sheet, command)
    if isinstance(verdict, Effect):
        receipt = Receipt(
            command.key,
            command.fingerprint,
            _APPROVED,
            APPROVED,
            sheet.rrn,
            approval_code(sheet.index, position),
            verdict.state,
            verdict.balance_minor,
            sheet.stamp_ms,
            sheet.index,
            "",
        )
        record = Record(
            receipt,
            command.merchant,
            command.service,
            command.type,
            verdict.state,
            verdict.amount_minor,
            verdict.captured_minor,
            0,
            verdict.close_number,
            command.card_token,
            command.original_key,
            command.card_write if command.type == _ADVICE else 0,
            command.dcc,
            command.brand,
        )
    else:
        receipt = Receipt(
            command.key,
            command.fingerprint,
            _DECLINED,
            verdict.code,
            sheet.rrn,
            "",
            _STATE_DECLINED,
            verdict.balance_minor,
            sheet.stamp_ms,
            sheet.index,
            verdict.reason,
        )
        record = Record(
            receipt,
            command.merchant,
            command.service,
            command.type,
            _STATE_DECLINED,
            0,
            card_token=command.card_token,
            original_key=command.original_key,
            brand=command.brand,
        )
    sheet.keep(record)
    return receipt


def _again(sheet: Sheet, command: Command, known: Record) -> Receipt:
    first = answer_again(known, command.fingerprint)
    if first is not None:
        return first
    # Two contents under one key were under way at once. The first stands; this one is told, and
    # leaves no trace.
    return Receipt(
        key=command.key,
        fingerprint=command.fingerprint,
        outcome=_DECLINED,
        response_code=KEY_REUSED,
        rrn="",
        approval_code="",
        state=_STATE_DECLINED,
        balance_minor=None,
        settled_at_ms=sheet.stamp_ms,
        index=sheet.index,
        reason="the key was used before with other content",
    )


_NOT_PERMITTED: Final = Decline(NOT_PERMITTED, "the service does not have this transaction type")
_INVALID_AMOUNT: Final = Decline(INVALID_AMOUNT, "the amount is out of range")
