"""Captures, voids and refunds of card payments: what of, in which state, how much."""

from __future__ import annotations

import pytest

from node.ledger.admission import Refusal, RefusalKind
from node.ledger.commands import Command, Dcc, Receipt, Service, ServiceTotal, State, Type
from node.ledger.services import AUTHORISATION_LIFE_MS
from tests.node.ledger.desk import Desk, approved, declined

CARDS = [Service.CREDIT, Service.UNIONPAY, Service.DCC]


def refused(desk: Desk, command: Command, kind: RefusalKind, field: str, code: str) -> None:
    """Admission refuses, naming kind and field; found only at apply it is a decline with `code`."""
    answer = desk.admit(command)
    assert isinstance(answer, Refusal), answer
    assert (answer.kind, answer.field) == (kind, field), answer
    expected = {RefusalKind.ORIGINAL_NOT_FOUND: "25", RefusalKind.KEY_REUSED: "12"}
    assert answer.response_code == expected.get(kind, "30")
    before = desk.open()
    declined(desk.apply(command)[0], code)
    assert desk.open() == before


def hold(desk: Desk, service: Service = Service.CREDIT, amount: int = 1000) -> Receipt:
    return approved(desk.do(service, Type.AUTHORISE, amount))


def sale(desk: Desk, service: Service = Service.CREDIT) -> Receipt:
    return approved(desk.do(service, Type.SALE))


@pytest.mark.parametrize("service", CARDS)
def test_a_capture_turns_the_authorisation_into_captured_money(
    desk: Desk, service: Service
) -> None:
    original = hold(desk, service)
    receipt = approved(desk.do(service, Type.CAPTURE, 700, of=original.key))
    assert receipt.state == State.DONE
    assert desk.state(original.key) is State.CAPTURED
    assert desk.inquire(original.key).captured_minor == 700
    assert desk.open() == (ServiceTotal(service, 1, 700),)


def test_a_capture_may_come_from_another_terminal_of_the_merchant(desk: Desk) -> None:
    original = hold(desk)
    approved(desk.do(Service.CREDIT, Type.CAPTURE, of=original.key, terminal="T2"))
    assert desk.open(terminal="T1") == ()
    assert desk.open(terminal="T2") == (ServiceTotal(Service.CREDIT, 1, 1000),)


def test_a_capture_above_the_authorisation_is_refused(desk: Desk) -> None:
    command = desk.command(Service.CREDIT, Type.CAPTURE, 1001, of=hold(desk).key)
    refused(desk, command, RefusalKind.EXCEEDS_REMAINING, "amount_minor", "61")


def test_an_authorisation_is_captured_once(desk: Desk) -> None:
    original = hold(desk)
    approved(desk.do(Service.CREDIT, Type.CAPTURE, 1, of=original.key))
    command = desk.command(Service.CREDIT, Type.CAPTURE, 1, of=original.key)
    refused(desk, command, RefusalKind.WRONG_STATE, "original_key", "21")


@pytest.mark.parametrize("kind", [Type.VOID, Type.REFUND])
def test_an_authorisation_that_is_not_captured_has_nothing_to_give_back(
    desk: Desk, kind: Type
) -> None:
    command = desk.command(Service.CREDIT, kind, of=hold(desk).key)
    refused(desk, command, RefusalKind.WRONG_STATE, "original_key", "21")


@pytest.mark.parametrize("kind", [Type.CAPTURE, Type.REVERSAL])
def test_an_authorisation_expires_by_the_stamp_of_the_entry_that_touches_it(
    desk: Desk, kind: Type
) -> None:
    fresh, stale = hold(desk), hold(desk)
    desk.now_ms = fresh.settled_at_ms + AUTHORISATION_LIFE_MS - 2
    approved(desk.do(Service.CREDIT, kind, of=fresh.key))
    desk.now_ms = stale.settled_at_ms + AUTHORISATION_LIFE_MS - 1
    command = desk.command(Service.CREDIT, kind, of=stale.key)
    assert desk.admit(command) is None, "admission has no clock"
    declined(desk.apply(command)[0], "21")
    assert desk.state(stale.key) is State.EXPIRED
    later = desk.command(Service.CREDIT, kind, of=stale.key)
    refused(desk, later, RefusalKind.WRONG_STATE, "original_key", "21")


@pytest.mark.parametrize("service", CARDS)
def test_a_void_takes_back_the_whole_sale(desk: Desk, service: Service) -> None:
    original = sale(desk, service)
    receipt = approved(desk.do(service, Type.VOID, of=original.key))
    assert receipt.state == State.DONE
    assert desk.state(original.key) is State.VOIDED
    assert desk.open() == (ServiceTotal(service, 2, 1000, 1000),)


def test_a_void_of_a_captured_authorisation_is_of_what_was_captured(desk: Desk) -> None:
    original = hold(desk)
    approved(desk.do(Service.CREDIT, Type.CAPTURE, 700, of=original.key))
    command = desk.command(Service.CREDIT, Type.VOID, 1000, of=original.key)
    refused(desk, command, RefusalKind.AMOUNT_DIFFERS, "amount_minor", "13")
    approved(desk.do(Service.CREDIT, Type.VOID, 700, of=original.key))
    assert desk.state(original.key) is State.VOIDED


@pytest.mark.parametrize("amount", [0, 999, 1001])
def test_a_void_of_another_amount_is_refused(desk: Desk, amount: int) -> None:
    command = desk.command(Service.CREDIT, Type.VOID, amount, of=sale(desk).key)
    refused(desk, command, RefusalKind.AMOUNT_DIFFERS, "amount_minor", "13")


@pytest.mark.parametrize("kind", [Type.VOID, Type.REFUND, Type.REVERSAL])
def test_a_voided_sale_has_nothing_left(desk: Desk, kind: Type) -> None:
    original = sale(desk)
    approved(desk.do(Service.CREDIT, Type.VOID, of=original.key))
    command = desk.command(Service.CREDIT, kind, of=original.key)
    refused(desk, command, RefusalKind.WRONG_STATE, "original_key", "21")


@pytest.mark.parametrize(
    "service", [Service.CREDIT, Service.UNIONPAY, Service.J_DEBIT, Service.DCC]
)
def test_refunds_go_up_to_what_was_captured(desk: Desk, service: Service) -> None:
    original = sale(desk, service)
    approved(desk.do(service, Type.REFUND, 600, of=original.key))
    assert desk.state(original.key) is State.REFUNDED
    over = desk.command(service, Type.REFUND, 401, of=original.key)
    refused(desk, over, RefusalKind.EXCEEDS_REMAINING, "amount_minor", "61")
    approved(desk.do(service, Type.REFUND, 400, of=original.key))
    assert desk.inquire(original.key).refunded_minor == 1000
    assert desk.open() == (ServiceTotal(service, 3, 1000, 0, 1000),)
    more = desk.command(service, Type.REFUND, 1, of=original.key)
    refused(desk, more, RefusalKind.EXCEEDS_REMAINING, "amount_minor", "61")


def test_of_two_refunds_under_way_at_once_the_second_finds_less_left(desk: Desk) -> None:
    original = sale(desk)
    both = [desk.command(Service.CREDIT, Type.REFUND, 600, of=original.key) for _ in range(2)]
    assert [desk.admit(command) for command in both] == [None, None]
    first, second = desk.apply(*both)
    approved(first)
    declined(second, "61")
    assert desk.inquire(original.key).refunded_minor == 600


@pytest.mark.parametrize("kind", [Type.VOID, Type.REVERSAL])
def test_a_partly_refunded_sale_cannot_be_undone_whole(desk: Desk, kind: Type) -> None:
    original = sale(desk)
    approved(desk.do(Service.CREDIT, Type.REFUND, 1, of=original.key))
    command = desk.command(Service.CREDIT, kind, of=original.key)
    refused(desk, command, RefusalKind.WRONG_STATE, "original_key", "21")


@pytest.mark.parametrize("kind", [Type.CAPTURE, Type.VOID, Type.REFUND])
def test_an_unknown_original_is_not_found(desk: Desk, kind: Type) -> None:
    command = desk.command(Service.CREDIT, kind, of="T1.20261123.000777.0200")
    refused(desk, command, RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "25")


def test_another_merchants_sale_is_not_found(desk: Desk) -> None:
    command = desk.command(Service.CREDIT, Type.REFUND, of=sale(desk).key, merchant="SHOP-2")
    refused(desk, command, RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "25")


def test_a_declined_sale_cannot_be_refunded(desk: Desk) -> None:
    original = declined(desk.do(Service.CREDIT, Type.SALE, token="tok-DECLINE05"), "05")
    command = desk.command(Service.CREDIT, Type.REFUND, of=original.key, token="tok-DECLINE05")
    refused(desk, command, RefusalKind.WRONG_STATE, "original_key", "21")


def test_an_act_of_another_service_is_refused(desk: Desk) -> None:
    command = desk.command(Service.UNIONPAY, Type.REFUND, of=sale(desk).key)
    refused(desk, command, RefusalKind.ORIGINAL_DIFFERS, "service", "57")


def test_a_capture_cannot_be_refunded_the_authorisation_it_names_can(desk: Desk) -> None:
    original = hold(desk)
    captured = approved(desk.do(Service.CREDIT, Type.CAPTURE, of=original.key))
    command = desk.command(Service.CREDIT, Type.REFUND, of=captured.key)
    answer = desk.admit(command)
    assert isinstance(answer, Refusal)
    assert original.key in answer.message
    refused(desk, command, RefusalKind.ORIGINAL_DIFFERS, "original_key", "57")
    approved(desk.do(Service.CREDIT, Type.REFUND, of=original.key))


def test_an_act_with_another_card_token_is_refused_without_one_it_is_not(desk: Desk) -> None:
    original = sale(desk)
    command = desk.command(Service.CREDIT, Type.REFUND, 1, of=original.key, token="tok-two")
    refused(desk, command, RefusalKind.ORIGINAL_DIFFERS, "card_token", "57")
    approved(desk.do(Service.CREDIT, Type.REFUND, 1, of=original.key, token=""))


def test_a_dcc_refund_is_in_the_currency_of_the_offer(desk: Desk) -> None:
    original = sale(desk, Service.DCC)
    euros = Dcc(617, "EUR", "0.00617")
    command = desk.command(Service.DCC, Type.REFUND, of=original.key, dcc=euros)
    refused(desk, command, RefusalKind.ORIGINAL_DIFFERS, "dcc.card_currency", "57")
    dollars = Dcc(700, "USD", "0.007")
    approved(desk.do(Service.DCC, Type.REFUND, of=original.key, dcc=dollars))


def test_a_refund_that_names_itself_is_not_found(desk: Desk) -> None:
    command = desk.command(Service.CREDIT, Type.REFUND, of="T1.20261123.000005.0200", stan=5)
    refused(desk, command, RefusalKind.ORIGINAL_NOT_FOUND, "original_key", "25")
