"""Which service allows what, what a beginning does, and which tokens are declined."""

from __future__ import annotations

import msgspec
import pytest

from node.ledger.admission import Refusal, RefusalKind
from node.ledger.book import approval_code
from node.ledger.commands import Service, ServiceTotal, State, Type
from node.ledger.memory import MemoryStorage
from node.ledger.services import AMOUNT_MAX_MINOR, SUM_MAX_MINOR
from node.ledger.storage import Table
from tests.node.ledger.desk import Desk, approved, declined

CARD = {Type.AUTHORISE, Type.CAPTURE, Type.SALE, Type.VOID, Type.REFUND, Type.REVERSAL}
TABLE = {
    Service.CREDIT: CARD,
    Service.UNIONPAY: CARD,
    Service.J_DEBIT: {Type.SALE, Type.REFUND, Type.REVERSAL},
    Service.E_MONEY: {
        Type.SALE,
        Type.REFUND,
        Type.TOP_UP,
        Type.BALANCE,
        Type.ADVICE,
        Type.REVERSAL,
    },
    Service.POINT: {Type.EARN, Type.REDEEM, Type.CANCEL, Type.BALANCE, Type.REVERSAL},
    Service.COUPON: {Type.REDEEM, Type.CANCEL, Type.REVERSAL},
    Service.DCC: CARD,
}
ALL = [(service, kind) for service in Service for kind in Type if kind is not Type.CLOSE]


@pytest.mark.parametrize(("service", "kind"), ALL)
def test_a_type_outside_the_table_is_refused_and_would_be_declined(
    desk: Desk, service: Service, kind: Type
) -> None:
    command = desk.command(service, kind, of="T1.20261123.999999.0200")
    answer = desk.admit(command)
    refused = isinstance(answer, Refusal) and answer.kind is RefusalKind.NOT_ALLOWED
    assert refused == (kind not in TABLE[service])
    if refused:
        declined(desk.apply(command)[0], "57")


@pytest.mark.parametrize("service", [Service.CREDIT, Service.UNIONPAY, Service.DCC])
def test_an_authorisation_holds_and_moves_nothing(desk: Desk, service: Service) -> None:
    receipt = approved(desk.do(service, Type.AUTHORISE))
    assert receipt.state == State.AUTHORISED
    assert desk.open() == ()


@pytest.mark.parametrize(
    "service", [Service.CREDIT, Service.UNIONPAY, Service.J_DEBIT, Service.DCC]
)
def test_a_card_sale_is_captured_at_once(desk: Desk, service: Service) -> None:
    receipt = approved(desk.do(service, Type.SALE))
    assert receipt.state == State.CAPTURED
    assert receipt.balance_minor is None
    assert desk.inquire(receipt.key).captured_minor == 1000
    assert desk.open() == (ServiceTotal(service, 1, 1000),)


def test_references_come_from_the_place_in_the_log_and_nothing_else() -> None:
    desk, other = Desk(), Desk()
    first = desk.apply(*(desk.command(Service.CREDIT, Type.SALE) for _ in range(3)))
    second = desk.apply(desk.command(Service.CREDIT, Type.SALE))
    references = [receipt.rrn for receipt in (*first, *second)]
    assert references == ["000000001000", "000000001001", "000000001002", "000000002000"]
    codes = [receipt.approval_code for receipt in (*first, *second)]
    assert len(set(codes)) == 4
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    again = other.apply(*(other.command(Service.J_DEBIT, Type.SALE, 5) for _ in range(3)))
    assert [receipt.rrn for receipt in again] == references[:3]
    assert [receipt.approval_code for receipt in again] == codes[:3]


def test_approval_codes_come_again_as_late_as_six_digits_allow() -> None:
    codes = {approval_code(index, place) for index in range(16) for place in range(4096)}
    assert len(codes) == 16 * 4096


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("DECLINE05", "05"),
        ("LOST41", "41"),
        ("STOLEN43", "43"),
        ("NOFUNDS51", "51"),
        ("EXPIRED54", "54"),
        ("NOTPERMITTED57", "57"),
        ("LIMIT61", "61"),
    ],
)
@pytest.mark.parametrize(
    ("service", "kind"),
    [
        (Service.CREDIT, Type.AUTHORISE),
        (Service.CREDIT, Type.SALE),
        (Service.J_DEBIT, Type.SALE),
        (Service.E_MONEY, Type.TOP_UP),
        (Service.E_MONEY, Type.BALANCE),
        (Service.POINT, Type.EARN),
        (Service.COUPON, Type.REDEEM),
    ],
)
def test_a_test_token_is_declined_with_the_code_it_ends_with(
    desk: Desk, service: Service, kind: Type, ending: str, code: str
) -> None:
    receipt = declined(desk.do(service, kind, token=f"tok-7f-{ending}"), code)
    assert receipt.state == State.DECLINED
    assert receipt.approval_code == ""
    assert receipt.reason
    assert desk.state(receipt.key) is State.DECLINED
    assert desk.open() == ()


def test_a_token_that_only_contains_a_test_ending_is_not_declined(desk: Desk) -> None:
    approved(desk.do(Service.CREDIT, Type.SALE, token="tok-DECLINE05-7f"))


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX_MINOR + 1, 2**63 - 1, -(2**63)])
def test_an_amount_out_of_range_that_reached_the_log_is_a_decline(desk: Desk, amount: int) -> None:
    declined(desk.do(Service.CREDIT, Type.SALE, amount), "13")


def test_an_unknown_service_or_type_that_reached_the_log_is_a_decline(desk: Desk) -> None:
    declined(desk.do(99, Type.SALE), "57")


def test_totals_never_overflow(desk: Desk) -> None:
    sale = approved(desk.do(Service.CREDIT, Type.SALE, AMOUNT_MAX_MINOR))
    full = SUM_MAX_MINOR - 5
    storage = MemoryStorage(desk.storage)
    storage.put(Table.TOTAL, [("T1", msgspec.msgpack.encode({1: [1, 1, 1, full, full, full]}))])
    desk.storage, kept = storage, desk.storage
    declined(desk.do(Service.CREDIT, Type.SALE, 6), "61")
    declined(desk.do(Service.CREDIT, Type.VOID, AMOUNT_MAX_MINOR, of=sale.key), "61")
    declined(desk.do(Service.CREDIT, Type.REFUND, 6, of=sale.key), "61")
    hold = approved(desk.do(Service.CREDIT, Type.AUTHORISE, 6))
    declined(desk.do(Service.CREDIT, Type.CAPTURE, 6, of=hold.key), "61")
    approved(desk.do(Service.CREDIT, Type.SALE, 5))
    desk.storage = kept
