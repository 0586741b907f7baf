"""Daily close and interim totals: what is in them, what they reset, and when they do not."""

from __future__ import annotations

import pytest

from node.ledger.admission import admit
from node.ledger.commands import CardWrite, Outcome, Receipt, Service, ServiceTotal, State, Type
from node.ledger.records import Closing, closing_key, decode_closing
from node.ledger.storage import Table
from tests.node.ledger.desk import Desk, approved

CREDIT, POINT = Service.CREDIT, Service.POINT


def close(
    desk: Desk,
    service: Service | int = 0,
    *,
    terminal: str = "T1",
    expected: tuple[ServiceTotal, ...] | None = None,
) -> Receipt:
    return desk.do(service, Type.CLOSE, terminal=terminal, token="", expected=expected)


def closings(desk: Desk) -> list[Closing]:
    return [decode_closing(row) for _, row in desk.storage.scan(Table.CLOSING)]


def test_a_close_takes_the_totals_since_the_last_and_resets_them(desk: Desk) -> None:
    sale = approved(desk.do(CREDIT, Type.SALE))
    approved(desk.do(CREDIT, Type.REFUND, 300, of=sale.key))
    receipt = approved(close(desk))
    assert receipt.totals == (ServiceTotal(CREDIT, 2, 1000, 0, 300),)
    assert receipt.state == State.DONE
    assert desk.open() == ()
    approved(desk.do(CREDIT, Type.SALE, 5))
    assert approved(close(desk)).totals == (ServiceTotal(CREDIT, 1, 5),)


def test_all_services_close_together_in_order(desk: Desk) -> None:
    approved(desk.do(POINT, Type.EARN, 10))
    approved(desk.do(CREDIT, Type.SALE))
    receipt = approved(close(desk))
    assert [total.service for total in receipt.totals] == [CREDIT, POINT]


def test_one_service_closes_alone(desk: Desk) -> None:
    approved(desk.do(POINT, Type.EARN, 10))
    approved(desk.do(CREDIT, Type.SALE))
    assert approved(close(desk, POINT)).totals == (ServiceTotal(POINT, 1, 10),)
    assert desk.open() == (ServiceTotal(CREDIT, 1, 1000),)
    assert approved(close(desk)).totals == (ServiceTotal(CREDIT, 1, 1000),)


def test_a_close_is_of_one_terminal(desk: Desk) -> None:
    approved(desk.do(CREDIT, Type.SALE))
    approved(desk.do(CREDIT, Type.SALE, 7, terminal="T2"))
    approved(close(desk, terminal="T2"))
    assert desk.open() == (ServiceTotal(CREDIT, 1, 1000),)
    assert desk.open(terminal="T2") == ()


def test_nothing_done_closes_too(desk: Desk) -> None:
    assert approved(close(desk)).totals == ()
    assert approved(close(desk, CREDIT)).totals == (ServiceTotal(CREDIT),)
    assert closings(desk) == []


def test_declines_balances_and_holds_are_in_no_total(desk: Desk) -> None:
    desk.do(CREDIT, Type.SALE, token="tok-DECLINE05")
    desk.do(POINT, Type.BALANCE)
    desk.do(CREDIT, Type.AUTHORISE)
    assert desk.open() == ()


def test_interim_totals_reset_nothing(desk: Desk) -> None:
    approved(desk.do(CREDIT, Type.SALE))
    assert desk.open() == desk.open() == (ServiceTotal(CREDIT, 1, 1000),)
    assert desk.open(CREDIT) == (ServiceTotal(CREDIT, 1, 1000),)
    assert desk.open(POINT) == (ServiceTotal(POINT),)
    assert desk.open(terminal="T-NEW") == ()


@pytest.mark.parametrize(
    "expected",
    [
        (ServiceTotal(CREDIT, 1, 1000),),
        (ServiceTotal(POINT), ServiceTotal(CREDIT, 1, 1000), ServiceTotal(Service.DCC)),
    ],
)
def test_totals_that_agree_close(desk: Desk, expected: tuple[ServiceTotal, ...]) -> None:
    approved(desk.do(CREDIT, Type.SALE))
    approved(close(desk, expected=expected))
    assert desk.open() == ()


@pytest.mark.parametrize(
    "expected",
    [
        (),
        (ServiceTotal(CREDIT, 1, 999),),
        (ServiceTotal(CREDIT, 2, 1000),),
        (ServiceTotal(POINT, 1, 1000),),
        (ServiceTotal(CREDIT, 1, 1000), ServiceTotal(POINT, 1, 1)),
    ],
)
def test_totals_that_differ_are_a_mismatch_with_both_and_no_reset(
    desk: Desk, expected: tuple[ServiceTotal, ...]
) -> None:
    approved(desk.do(CREDIT, Type.SALE))
    command = desk.command(0, Type.CLOSE, token="", expected=expected)
    (receipt,) = desk.apply(command)
    assert (receipt.outcome, receipt.response_code) == (Outcome.MISMATCH, "95")
    assert receipt.totals == (ServiceTotal(CREDIT, 1, 1000),)
    assert receipt.expected == expected
    assert receipt.reason
    assert desk.open() == receipt.totals
    (again,) = admit(desk.storage, (command,))
    assert isinstance(again, Receipt)
    assert (again.replayed, again.totals, again.expected) == (True, receipt.totals, expected)
    assert approved(close(desk)).totals == receipt.totals, "a new key closes what is there"


def test_a_close_repeated_closes_once(desk: Desk) -> None:
    approved(desk.do(CREDIT, Type.SALE))
    command = desk.command(0, Type.CLOSE, token="")
    (first,) = desk.apply(command)
    approved(desk.do(CREDIT, Type.SALE, 5))
    (again,) = desk.apply(command)
    assert again.replayed
    assert again.totals == first.totals
    assert desk.open() == (ServiceTotal(CREDIT, 1, 5),)


def test_what_is_between_two_sales_of_one_entry_closes_the_first_only(desk: Desk) -> None:
    receipts = desk.apply(
        desk.command(CREDIT, Type.SALE, 1),
        desk.command(0, Type.CLOSE, token=""),
        desk.command(CREDIT, Type.SALE, 2),
        desk.command(CREDIT, Type.CLOSE, token=""),
        desk.command(CREDIT, Type.SALE, 4),
    )
    assert receipts[1].totals == (ServiceTotal(CREDIT, 1, 1),)
    assert receipts[3].totals == (ServiceTotal(CREDIT, 1, 2),)
    assert desk.open() == (ServiceTotal(CREDIT, 1, 4),)
    numbers = [(row.close_number, row.key) for row in closings(desk)]
    assert numbers == [(1, receipts[1].key), (2, receipts[3].key)]


def test_a_void_after_the_close_counts_in_the_close_of_its_own_day(desk: Desk) -> None:
    sale = approved(desk.do(CREDIT, Type.SALE))
    assert approved(close(desk)).totals == (ServiceTotal(CREDIT, 1, 1000),)
    approved(desk.do(CREDIT, Type.VOID, of=sale.key))
    assert approved(close(desk)).totals == (ServiceTotal(CREDIT, 1, 0, 1000),)


def test_a_card_write_settled_after_the_close_counts_in_the_next(desk: Desk) -> None:
    approved(desk.do(Service.E_MONEY, Type.TOP_UP))
    sale = approved(desk.do(Service.E_MONEY, Type.SALE))
    approved(desk.do(Service.E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    assert approved(close(desk)).totals == (ServiceTotal(Service.E_MONEY, 2, 2000),)
    approved(desk.do(Service.E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.NOT_WRITTEN))
    assert approved(close(desk)).totals == (ServiceTotal(Service.E_MONEY, 1, 0, 1000),)


def test_closes_stand_in_order_of_number_in_the_table() -> None:
    keys = [closing_key("T1", CREDIT, number) for number in (1, 2, 9, 10, 99_999_999)]
    assert keys == sorted(keys)
