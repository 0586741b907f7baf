"""Add the ledger up again from its records, and say what does not agree.

Records are read twice, so that a large ledger needs memory only for what acts on something, and
for the sums of each terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from node.ledger.commands import CardWrite, Outcome, Service, ServiceTotal, State, Type
from node.ledger.records import (
    Record,
    account_key,
    closing_key,
    decode_account,
    decode_closing,
    decode_record,
    decode_till,
    terminal_of,
)
from node.ledger.services import BEGINS, STORED_VALUE
from node.ledger.storage import LedgerStorage, Table

PROBLEMS_MAX: Final = 100
"""Enough to see what is wrong; a ledger spoilt throughout would fill the memory with the rest."""

UNDOES: Final = frozenset({Type.VOID, Type.CANCEL, Type.REVERSAL, Type.ADVICE})
UNDONE: Final = frozenset({State.VOIDED, State.REVERSED, State.NOT_DONE})
ADDS: Final = frozenset({Type.TOP_UP, Type.EARN})

Row = TypeVar("Row")
_Place = tuple[str, int, int]


@dataclass(slots=True)
class _Acts:
    """What approved acts did to one transaction."""

    captured_minor: int = 0
    refunded_minor: int = 0
    undone: int = 0


@dataclass(slots=True)
class _Books:
    """Sums from the records alone. A place is terminal, service and close number."""

    sums: dict[_Place, ServiceTotal] = field(default_factory=dict)
    acts: dict[str, _Acts] = field(default_factory=dict)
    live_minor: dict[int, int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    coupons: dict[str, str] = field(default_factory=dict)
    closes: dict[str, tuple[ServiceTotal, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def say(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


def verify(storage: LedgerStorage) -> list[str]:
    """Everything that does not add up, in words; empty when all does.

    Checked: each record stands under its own key; refunds are within what was captured, and one
    void or reversal at most undid it; every act is in exactly one close or open line, and each
    closed or open total is the sum of its acts; captured - voided - refunded is what is still
    live, a service at a time; closes are numbered without gaps; balances are what records make
    them, never negative; a coupon is held by the one record that redeemed it.
    """
    books = _Books()
    for key, record in _rows(storage, Table.RECORD, decode_record, books):
        _gather(books, key, record)
    for key, record in _rows(storage, Table.RECORD, decode_record, books):
        _judge(books, key, record)
    for key, acts in books.acts.items():
        if acts.captured_minor or acts.refunded_minor or acts.undone:
            books.say(f"{key}: acted on, but not in the ledger")
    _compare_totals(storage, books)
    _compare_balances(storage, books)
    return books.problems


def _rows(
    storage: LedgerStorage, table: Table, decode: Callable[[bytes], Row], books: _Books
) -> Iterator[tuple[str, Row]]:
    for key, row in storage.scan(table):
        try:
            yield key, decode(row)
        except msgspec.MsgspecError as problem:
            books.say(f"{table} {key}: cannot be read: {problem}")


def _gather(books: _Books, key: str, record: Record) -> None:
    if record.receipt.key != key:
        books.say(f"{key}: holds the receipt of {record.receipt.key}")
    if record.receipt.outcome != Outcome.APPROVED:
        if record.close_number or record.captured_minor:
            books.say(f"{key}: not approved, yet it counts")
        return
    if record.type == Type.CLOSE:
        books.closes[key] = tuple(total for total in record.receipt.totals if total.count)
        return
    if record.close_number:
        terminal = terminal_of(record.original_key if record.type == Type.ADVICE else key)
        _add(books, (terminal, record.service, record.close_number), record)
    if record.original_key:
        acts = books.acts.setdefault(record.original_key, _Acts())
        if record.type == Type.CAPTURE:
            acts.captured_minor += record.amount_minor
        elif record.type == Type.REFUND:
            acts.refunded_minor += record.amount_minor
        elif record.type != Type.ADVICE or record.card_write == CardWrite.NOT_WRITTEN:
            acts.undone += 1


def _add(books: _Books, place: _Place, record: Record) -> None:
    total = books.sums.get(place, ServiceTotal(record.service))
    refunds = record.type == Type.REFUND
    voids = record.type in UNDOES
    amount = record.amount_minor
    books.sums[place] = ServiceTotal(
        record.service,
        total.count + 1,
        total.captured_minor + (0 if refunds or voids else amount),
        total.voided_minor + (amount if voids else 0),
        total.refunded_minor + (amount if refunds else 0),
    )


def _judge(books: _Books, key: str, record: Record) -> None:
    """One record against the acts on it, which are then struck from the list."""
    acts = books.acts.pop(key, _Acts())
    if record.type not in BEGINS or record.receipt.outcome != Outcome.APPROVED:
        if acts.captured_minor or acts.refunded_minor or acts.undone > (not record.type):
            books.say(f"{key}: acted on, though it never took effect")
        return
    authorised = record.type == Type.AUTHORISE
    captured = acts.captured_minor if authorised else record.amount_minor
    if record.captured_minor != captured or captured > record.amount_minor:
        books.say(f"{key}: {record.captured_minor} captured, its acts make {captured}")
    if record.refunded_minor != acts.refunded_minor or acts.refunded_minor > captured:
        books.say(f"{key}: {record.refunded_minor} refunded, its acts make {acts.refunded_minor}")
    if acts.undone != (record.state in UNDONE):
        books.say(f"{key}: {State(record.state).name}, but undone {acts.undone} times")
    left = 0 if record.state in UNDONE else record.captured_minor - record.refunded_minor
    service = record.service
    books.live_minor[service] = books.live_minor.get(service, 0) + left
    if service in STORED_VALUE:
        account = account_key(service, record.card_token)
        sign = 1 if record.type in ADDS else -1
        books.balances[account] = books.balances.get(account, 0) + sign * left
    elif service == Service.COUPON and record.state == State.CAPTURED:
        account = account_key(service, record.card_token)
        if account in books.coupons:
            books.say(f"coupon {account}: redeemed by {books.coupons[account]} and by {key}")
        books.coupons[account] = key


def _compare_totals(storage: LedgerStorage, books: _Books) -> None:
    net: dict[int, int] = {}
    closed: Counter[tuple[str, int]] = Counter()
    taken: dict[str, list[ServiceTotal]] = {key: [] for key in books.closes}
    for key, closing in _rows(storage, Table.CLOSING, decode_closing, books):
        total = closing.total
        place = (closing.terminal, total.service, closing.close_number)
        if key != closing_key(*place):
            books.say(f"closing {key}: holds another's")
        if closing.key not in taken:
            books.say(f"closing {key}: its close {closing.key} is not an approved one")
        taken.setdefault(closing.key, []).append(total)
        _compare(books, f"closing {key}", total, books.sums.pop(place, None))
        net[total.service] = net.get(total.service, 0) + _net(total)
        closed[closing.terminal, total.service] += 1
    for key, totals in books.closes.items():
        if sorted(taken[key], key=lambda total: total.service) != list(totals):
            books.say(f"{key}: its closings are not what its receipt says")
    for terminal, till in _rows(storage, Table.TOTAL, decode_till, books):
        for service, line in till.items():
            place = (terminal, service, line.close_number)
            total = line.total()
            found = books.sums.pop(place, ServiceTotal(service))
            _compare(books, f"total {terminal} service {service}", total, found)
            net[service] = net.get(service, 0) + _net(total)
            if closed.pop((terminal, service), 0) != line.close_number - 1:
                books.say(f"total {terminal} service {service}: closes have gaps")
    for terminal, service in closed:
        books.say(f"total {terminal} service {service}: closed, but has no open line")
    for place in books.sums:
        books.say(f"close {closing_key(*place)}: acts counted in it, but it is not there")
    for service in sorted(net.keys() | books.live_minor.keys()):
        kept, live = net.get(service, 0), books.live_minor.get(service, 0)
        if kept != live:
            books.say(f"service {service}: totals make {kept}, records {live}")


def _compare(books: _Books, name: str, stored: ServiceTotal, found: ServiceTotal | None) -> None:
    if stored != found:
        books.say(f"{name}: {stored}, its acts make {found}")


def _net(total: ServiceTotal) -> int:
    return total.captured_minor - total.voided_minor - total.refunded_minor


def _compare_balances(storage: LedgerStorage, books: _Books) -> None:
    for key, account in _rows(storage, Table.BALANCE, decode_account, books):
        balance = books.balances.pop(key, 0)
        if account.balance_minor != balance or balance < 0:
            books.say(f"balance {key}: {account.balance_minor}, its records make {balance}")
        holder = books.coupons.pop(key, "")
        if account.used_by != holder:
            books.say(f"coupon {key}: used by {account.used_by!r}, its records say {holder!r}")
    for key in [*(key for key, left in books.balances.items() if left), *books.coupons]:
        books.say(f"balance {key}: has records, but no row")
