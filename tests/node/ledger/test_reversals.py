"""A reversal says that the original never was, whether the centre has seen it or not."""

from __future__ import annotations

import pytest

from node.ledger.admission import Refusal, RefusalKind
from node.ledger.commands import Outcome, Receipt, Service, ServiceTotal, State, Type
from tests.node.ledger.desk import Desk, approved, declined


def kind_of(answer: Receipt | Refusal | None) -> RefusalKind | None:
    return answer.kind if isinstance(answer, Refusal) else None


def test_an_authorisation_is_let_go(desk: Desk) -> None:
    original = approved(desk.do(Service.CREDIT, Type.AUTHORISE))
    receipt = approved(desk.do(Service.CREDIT, Type.REVERSAL, of=original.key))
    assert receipt.state == State.DONE
    assert desk.state(original.key) is State.REVERSED
    assert desk.open() == ()
    capture = desk.command(Service.CREDIT, Type.CAPTURE, of=original.key)
    assert kind_of(desk.admit(capture)) is RefusalKind.WRONG_STATE


@pytest.mark.parametrize("service", [Service.CREDIT, Service.UNIONPAY, Service.J_DEBIT])
def test_a_sale_is_taken_back_and_counts_as_voided(desk: Desk, service: Service) -> None:
    original = approved(desk.do(service, Type.SALE))
    approved(desk.do(service, Type.REVERSAL, of=original.key))
    assert desk.state(original.key) is State.REVERSED
    assert desk.open() == (ServiceTotal(service, 2, 1000, 1000),)


def test_one_reversal_is_all_there_is(desk: Desk) -> None:
    original = approved(desk.do(Service.CREDIT, Type.SALE))
    two = [desk.command(Service.CREDIT, Type.REVERSAL, of=original.key) for _ in range(2)]
    first, second = desk.apply(*two)
    approved(first)
    declined(second, "21")
    third = desk.command(Service.CREDIT, Type.REVERSAL, of=original.key)
    assert kind_of(desk.admit(third)) is RefusalKind.WRONG_STATE


def test_a_captured_authorisation_is_voided_not_reversed(desk: Desk) -> None:
    original = approved(desk.do(Service.CREDIT, Type.AUTHORISE))
    approved(desk.do(Service.CREDIT, Type.CAPTURE, of=original.key))
    command = desk.command(Service.CREDIT, Type.REVERSAL, of=original.key)
    assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE
    declined(desk.apply(command)[0], "21")


def test_a_declined_original_has_nothing_to_reverse(desk: Desk) -> None:
    token = "tok-DECLINE05"
    original = declined(desk.do(Service.CREDIT, Type.SALE, token=token), "05")
    command = desk.command(Service.CREDIT, Type.REVERSAL, of=original.key, token=token)
    assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE
    declined(desk.apply(command)[0], "21")


@pytest.mark.parametrize("kind", [Type.REFUND, Type.BALANCE])
def test_an_act_without_a_life_of_its_own_is_not_reversed(desk: Desk, kind: Type) -> None:
    approved(desk.do(Service.E_MONEY, Type.TOP_UP, 5000))
    sale = approved(desk.do(Service.E_MONEY, Type.SALE))
    of = sale.key if kind is Type.REFUND else ""
    act = approved(desk.do(Service.E_MONEY, kind, of=of))
    command = desk.command(Service.E_MONEY, Type.REVERSAL, of=act.key)
    assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_DIFFERS


def test_a_reversal_is_of_the_whole_amount(desk: Desk) -> None:
    original = approved(desk.do(Service.CREDIT, Type.AUTHORISE))
    command = desk.command(Service.CREDIT, Type.REVERSAL, 999, of=original.key)
    assert kind_of(desk.admit(command)) is RefusalKind.AMOUNT_DIFFERS


def test_only_the_terminal_that_sent_the_original_reverses_it(desk: Desk) -> None:
    original = approved(desk.do(Service.CREDIT, Type.SALE))
    command = desk.command(Service.CREDIT, Type.REVERSAL, of=original.key, terminal="T2")
    assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_DIFFERS
    declined(desk.apply(command)[0], "57")


def test_a_reversal_before_its_original_refuses_it_when_it_comes(desk: Desk) -> None:
    late = desk.command(Service.CREDIT, Type.SALE)
    reversal = desk.command(Service.CREDIT, Type.REVERSAL, of=late.key)
    assert desk.admit(reversal) is None
    approved(desk.apply(reversal)[0])
    assert desk.state(late.key) is State.REVERSED

    answer = desk.admit(late)
    assert isinstance(answer, Receipt)
    declined(answer, "21")
    assert (answer.key, answer.replayed) == (late.key, True)
    assert desk.apply(late)[0] == answer, "apply says the same"
    assert desk.apply(late)[0] == answer, "and again"
    assert desk.inquire(late.key).receipt.outcome == Outcome.DECLINED
    assert desk.open() == ()


def test_a_reversal_in_the_same_entry_works_in_either_order(desk: Desk) -> None:
    sale = desk.command(Service.CREDIT, Type.SALE)
    undo = desk.command(Service.CREDIT, Type.REVERSAL, of=sale.key)
    for receipt in desk.apply(sale, undo):
        approved(receipt)
    sale = desk.command(Service.CREDIT, Type.SALE)
    undo = desk.command(Service.CREDIT, Type.REVERSAL, of=sale.key)
    first, second = desk.apply(undo, sale)
    approved(first)
    declined(second, "21")
    assert desk.open() == (ServiceTotal(Service.CREDIT, 2, 1000, 1000),)


def test_a_tombstone_takes_no_second_reversal_and_nothing_else(desk: Desk) -> None:
    late = desk.command(Service.CREDIT, Type.SALE)
    approved(desk.do(Service.CREDIT, Type.REVERSAL, of=late.key))
    for kind in (Type.REVERSAL, Type.VOID, Type.REFUND):
        command = desk.command(Service.CREDIT, kind, of=late.key)
        assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE
        declined(desk.apply(command)[0], "21")


def test_a_terminal_leaves_tombstones_for_its_own_keys_only(desk: Desk) -> None:
    for key in ("T2.20261123.000001.0200", "T1.20261123.000001.0420", "T1"):
        command = desk.command(Service.CREDIT, Type.REVERSAL, of=key)
        assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_NOT_FOUND
        declined(desk.apply(command)[0], "25")
