"""Does everything add up: closes, open totals, originals, stored value?

All sums are made here again, from the single records alone and by this file's own reading of the
rules: what each act adds to the totals of which terminal, and what it moves on which account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from loadtest.checkers.evidence import APPROVED, Closing, Evidence, Ledger, Record, Total
from loadtest.checkers.finding import Doubts
from loadtest.request import CardWrite, Service, Type

QUESTION: Final = "Do closes, open totals, originals and balances equal the sum of the records?"

_CAPTURES: Final = frozenset({Type.SALE, Type.CAPTURE, Type.TOP_UP, Type.EARN, Type.REDEEM})
_UNDOES: Final = frozenset({Type.VOID, Type.CANCEL, Type.REVERSAL, Type.ADVICE})
_ADDS: Final = frozenset({Type.TOP_UP, Type.EARN})
_TAKES: Final = frozenset({Type.SALE, Type.REDEEM})
_STORED: Final = frozenset({Service.E_MONEY, Service.POINT})

_Line = tuple[int, int, int, int]
"""Count, captured, voided, refunded."""


def check(evidence: Evidence) -> Doubts:
    """Problems name the replica and the terminal, key or account."""
    problems: list[str] = []
    distinct: set[str] = set()
    looked_at = 0
    for ledger in evidence.counting():
        looked_at += len(ledger.records)
        by_key = {record.key: record for record in ledger.records}
        found = [
            *_totals(ledger, by_key),
            *_originals(ledger, by_key),
            *_accounts(ledger, by_key),
            *_coupons(ledger, by_key),
        ]
        problems += [f"{ledger.name}: {words}" for words in found]
        distinct.update(found)
    return Doubts(looked_at, tuple(problems), len(distinct))


def _moves(record: Record, by_key: dict[str, Record]) -> _Line | None:
    """What an approved record adds to its totals; None where no value moved."""
    amount = record.amount_minor
    if record.outcome != APPROVED:
        return None
    if record.type in _CAPTURES:
        return (1, amount, 0, 0)
    if record.type == Type.REFUND:
        return (1, 0, 0, amount)
    if record.type not in _UNDOES:
        return None
    if record.type == Type.ADVICE and record.card_write != CardWrite.NOT_WRITTEN:
        return None
    original = by_key.get(record.original_key)
    # A reversal of what was only authorised, or of what never arrived, takes nothing back.
    if record.type == Type.REVERSAL and (original is None or original.type not in _CAPTURES):
        return None
    return (1, 0, amount, 0)


def _booked_at(record: Record) -> str:
    """Whose books: the terminal's own, but an advice is booked where its original was."""
    key = record.original_key if record.type == Type.ADVICE else record.key
    return key.partition(".")[0]


def _totals(ledger: Ledger, by_key: dict[str, Record]) -> Iterator[str]:
    """Each act is in exactly one close or still open, and both hold nothing else."""
    sums: dict[tuple[str, int, int], _Line] = defaultdict(lambda: (0, 0, 0, 0))
    for record in ledger.records:
        moved = _moves(record, by_key)
        if (moved is None) != (record.close_number == 0):
            yield f"{record.key} moved {'nothing' if moved is None else 'value'}, but counts so"
        if moved is not None:
            place = (_booked_at(record), record.service, record.close_number)
            sums[place] = _plus(sums[place], moved)
    held: dict[tuple[str, int, int], _Line] = {}
    rows: list[Closing | Total] = [*ledger.closings, *ledger.totals]
    for row in rows:
        place = (row.terminal, row.service, row.close_number)
        if place in held:
            yield f"{place} is both open and closed, or closed twice"
        held[place] = (row.count, row.captured_minor, row.voided_minor, row.refunded_minor)
    for place in sorted(sums.keys() | held.keys()):
        made, kept = sums.get(place, (0, 0, 0, 0)), held.get(place, (0, 0, 0, 0))
        if made != kept:
            terminal, service, number = place
            yield (
                f"{terminal}, {Service(service).name}, close {number}: the records add up to "
                f"{made}, the ledger holds {kept} (count, captured, voided, refunded)"
            )


def _originals(ledger: Ledger, by_key: dict[str, Record]) -> Iterator[str]:
    """Nothing is given back twice or beyond what was taken."""
    refunded: dict[str, int] = defaultdict(int)
    captured: dict[str, int] = defaultdict(int)
    undone: set[str] = set()
    for record in ledger.records:
        if record.outcome != APPROVED or not record.original_key:
            continue
        if record.type == Type.REFUND:
            refunded[record.original_key] += record.amount_minor
        elif record.type == Type.CAPTURE:
            captured[record.original_key] += record.amount_minor
        elif _moves(record, by_key) is not None:
            if record.original_key in undone:
                yield f"{record.original_key} was undone twice"
            undone.add(record.original_key)
    for key in sorted(refunded.keys() | captured.keys() | undone):
        original = by_key.get(key)
        if original is None:
            yield f"{key} was acted upon and is not in the ledger"
            continue
        taken = captured[key] if original.type == Type.AUTHORISE else original.amount_minor
        if refunded[key] > taken or (refunded[key] and key in undone):
            yield f"{key}: {refunded[key]} refunded of {taken}, undone: {key in undone}"
        if taken > original.amount_minor:
            yield f"{key}: {taken} captured of {original.amount_minor} authorised"
        if refunded[key] != original.refunded_minor or taken != original.captured_minor:
            yield (
                f"{key}: the records say {taken} captured, {refunded[key]} refunded; its row "
                f"{original.captured_minor} and {original.refunded_minor}"
            )


def _accounts(ledger: Ledger, by_key: dict[str, Record]) -> Iterator[str]:
    """Opening (0) and everything that moved make each balance, which was never negative."""
    running: dict[tuple[int, str], int] = defaultdict(int)
    settled = sorted(
        (record for record in ledger.records if record.service in _STORED and record.type),
        key=lambda record: record.rrn,
    )
    for record in settled:
        account = (record.service, record.card_token)
        running[account] += _value(record, by_key)
        if running[account] < 0:
            yield f"{record.key} left {running[account]} on {record.card_token}"
        if record.balance_minor is not None and record.balance_minor != running[account]:
            yield (
                f"{record.key} was told a balance of {record.balance_minor} on "
                f"{record.card_token}; the records make it {running[account]}"
            )
    held = {
        (row.service, row.card_token): row.amount_minor
        for row in ledger.balances
        if row.service in _STORED
    }
    for account in sorted(running.keys() | held.keys()):
        if running.get(account, 0) != held.get(account, 0):
            yield (
                f"account {account[1]}: the records make {running.get(account, 0)}, "
                f"the ledger holds {held.get(account, 0)}"
            )


def _value(record: Record, by_key: dict[str, Record]) -> int:
    """What a record moved on its account: positive is value put in."""
    if _moves(record, by_key) is None:
        return 0
    if record.type in _ADDS:
        return record.amount_minor
    if record.type in _TAKES:
        return -record.amount_minor
    if record.type == Type.REFUND:
        return record.amount_minor
    original = by_key[record.original_key]
    return record.amount_minor * (-1 if original.type in _ADDS else 1)


def _coupons(ledger: Ledger, by_key: dict[str, Record]) -> Iterator[str]:
    """A coupon is used at most once at a time, and its row names who used it."""
    users: dict[str, str] = {}
    settled = sorted(
        (record for record in ledger.records if record.service == Service.COUPON and record.type),
        key=lambda record: record.rrn,
    )
    for record in settled:
        if _moves(record, by_key) is None:
            continue
        if record.type == Type.REDEEM:
            if users.get(record.card_token):
                yield f"coupon {record.card_token} was redeemed twice, at last by {record.key}"
            users[record.card_token] = record.key
        else:
            users[record.card_token] = ""
    held = {row.card_token: row.used_by for row in ledger.balances if row.service == Service.COUPON}
    for token in sorted(users.keys() | held.keys()):
        if users.get(token, "") != held.get(token, ""):
            yield (
                f"coupon {token}: used by {users.get(token, '')!r} says the log, by "
                f"{held.get(token, '')!r} says the ledger"
            )


def _plus(one: _Line, other: _Line) -> _Line:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])
