"""The audit finds what does not add up, and the log makes the same ledger again."""

from __future__ import annotations

import json

import msgspec
import pytest

from node.ledger.audit import differences, digest, rederive, totals, verify
from node.ledger.book import apply
from node.ledger.commands import CardWrite, Service, Type
from node.ledger.memory import MemoryStorage
from node.ledger.storage import Table
from tests.node.ledger.desk import Desk, approved


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """A ledger with something of everything in it."""
    sale = approved(desk.do(Service.CREDIT, Type.SALE))
    approved(desk.do(Service.CREDIT, Type.REFUND, 300, of=sale.key))
    hold = approved(desk.do(Service.DCC, Type.AUTHORISE))
    approved(desk.do(Service.DCC, Type.CAPTURE, 900, of=hold.key))
    approved(desk.do(Service.E_MONEY, Type.TOP_UP, 5000))
    tap = approved(desk.do(Service.E_MONEY, Type.SALE))
    approved(desk.do(0, Type.CLOSE, token=""))
    approved(desk.do(Service.E_MONEY, Type.ADVICE, of=tap.key, write=CardWrite.NOT_WRITTEN))
    approved(desk.do(Service.POINT, Type.EARN, 50))
    coupon = approved(desk.do(Service.COUPON, Type.REDEEM, 100))
    approved(desk.do(Service.COUPON, Type.CANCEL, 100, of=coupon.key))
    approved(desk.do(Service.COUPON, Type.REDEEM, 100))
    approved(desk.do(Service.CREDIT, Type.REVERSAL, of="T1.20261123.900000.0200"))
    desk.do(Service.CREDIT, Type.SALE, token="tok-DECLINE05")
    approved(desk.do(Service.POINT, Type.CLOSE, token=""))
    return desk


def test_a_sound_ledger_has_no_problem(busy: Desk) -> None:
    assert verify(busy.storage) == []
    assert verify(MemoryStorage()) == []


@pytest.mark.parametrize("table", list(Table))
def test_a_row_lost_is_found(busy: Desk, table: Table) -> None:
    for lost, _ in busy.storage.scan(table):
        less = MemoryStorage()
        for each in Table:
            rows = [row for row in busy.storage.scan(each) if (each, row[0]) != (table, lost)]
            less.put(each, rows)
        found = verify(less) + differences(less, busy.storage)
        assert any(lost in problem for problem in found), lost
        assert digest(less) != digest(busy.storage)


@pytest.mark.parametrize(("table", "place"), [(Table.TOTAL, 1), (Table.CLOSING, 3)])
def test_a_sum_that_is_not_its_acts_is_found(busy: Desk, table: Table, place: int) -> None:
    for key, row in busy.storage.scan(table):
        changed = MemoryStorage(busy.storage)
        value = msgspec.msgpack.decode(row, strict=False)
        part = value[1] if table is Table.TOTAL else value[2]
        part[place + 2 if table is Table.TOTAL else place] += 1
        changed.put(table, [(key, msgspec.msgpack.encode(value))])
        assert any(key in problem for problem in verify(changed))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_balance_that_is_not_its_records_is_found(busy: Desk, change: int) -> None:
    (key, row), *_ = (each for each in busy.storage.scan(Table.BALANCE) if each[0][0] == "4")
    balance, holder = msgspec.msgpack.decode(row)
    changed = MemoryStorage(busy.storage)
    changed.put(Table.BALANCE, [(key, msgspec.msgpack.encode([balance + change, holder]))])
    assert any(key in problem for problem in verify(changed))


def test_a_row_that_cannot_be_read_is_named(busy: Desk) -> None:
    for table in Table:
        changed = MemoryStorage(busy.storage)
        changed.put(table, [("spoilt", b"\xc1")])
        assert any("spoilt" in problem for problem in verify(changed))


def test_the_digest_is_over_tables_keys_and_values_not_their_concatenation() -> None:
    first, second = MemoryStorage(), MemoryStorage()
    first.put(Table.RECORD, [("ab", b"c")])
    second.put(Table.RECORD, [("a", b"bc")])
    third = MemoryStorage()
    third.put(Table.TOTAL, [("ab", b"c")])
    assert len({digest(first), digest(second), digest(third), digest(MemoryStorage())}) == 4


def test_the_log_makes_the_same_ledger_again(busy: Desk) -> None:
    assert rederive(busy.storage, busy.log) == []


def test_the_rest_of_the_log_on_an_earlier_ledger_makes_it_too(busy: Desk) -> None:
    base = MemoryStorage()
    for index, payload in busy.log[:7]:
        apply(base, index, payload)
    assert rederive(busy.storage, busy.log[7:], base) == []


def test_a_ledger_that_the_log_did_not_make_is_found(busy: Desk) -> None:
    assert rederive(busy.storage, busy.log[:-1])
    assert rederive(busy.storage, busy.log[1:])
    assert rederive(MemoryStorage(), busy.log)


def test_totals_are_closed_and_open_by_service(busy: Desk) -> None:
    sums = totals(busy.storage)
    assert set(sums) == {service.name for service in Service}
    credit = sums["CREDIT"]
    assert (credit["captured_minor"], credit["refunded_minor"]) == (1000, 300)
    assert (credit["closed_minor"], credit["open_minor"]) == (700, 0)
    assert sums["E_MONEY"] == {
        "count": 3,
        "captured_minor": 6000,
        "voided_minor": 1000,
        "refunded_minor": 0,
        "closed_minor": 6000,
        "open_minor": -1000,
        "balance_minor": 5000,
    }
    assert sums["COUPON"]["balance_minor"] == 0
    json.dumps(sums)
