"""E-money, points and coupons: balances, the card write nobody can vouch for, one redemption."""

from __future__ import annotations

import msgspec
import pytest

from node.ledger.admission import Refusal, RefusalKind
from node.ledger.commands import CardWrite, Receipt, Service, ServiceTotal, State, Type
from node.ledger.records import decode_record
from node.ledger.services import AMOUNT_MAX_MINOR
from node.ledger.storage import Table
from tests.node.ledger.desk import Desk, approved, declined

E_MONEY, POINT, COUPON = Service.E_MONEY, Service.POINT, Service.COUPON
IN_AND_OUT = [(E_MONEY, Type.TOP_UP, Type.SALE), (POINT, Type.EARN, Type.REDEEM)]


def kind_of(answer: Receipt | Refusal | None) -> RefusalKind | None:
    return answer.kind if isinstance(answer, Refusal) else None


@pytest.fixture
def sale(desk: Desk) -> Receipt:
    """An e-money sale of 1,000 yen from 5,000."""
    approved(desk.do(E_MONEY, Type.TOP_UP, 5000))
    return approved(desk.do(E_MONEY, Type.SALE))


@pytest.mark.parametrize("service", [E_MONEY, POINT])
def test_an_account_opens_at_zero(desk: Desk, service: Service) -> None:
    assert desk.balance(service) == 0


@pytest.mark.parametrize(("service", "put", "take"), IN_AND_OUT)
def test_value_put_in_can_be_spent_and_no_more(
    desk: Desk, service: Service, put: Type, take: Type
) -> None:
    assert approved(desk.do(service, put, 1000)).balance_minor == 1000
    assert approved(desk.do(service, take, 400)).balance_minor == 600
    receipt = declined(desk.do(service, take, 601), "51")
    assert receipt.balance_minor == 600
    assert approved(desk.do(service, take, 600)).balance_minor == 0
    assert desk.balance(service) == 0
    assert desk.open() == (ServiceTotal(service, 3, 2000),)


@pytest.mark.parametrize(("service", "put", "take"), IN_AND_OUT)
def test_commands_of_one_entry_see_each_others_balance(
    desk: Desk, service: Service, put: Type, take: Type
) -> None:
    receipts = desk.apply(
        desk.command(service, take, 1),
        desk.command(service, put, 10),
        desk.command(service, take, 7),
        desk.command(service, take, 7),
        desk.command(service, Type.BALANCE),
    )
    assert [receipt.response_code for receipt in receipts] == ["51", "00", "00", "51", "00"]
    assert [receipt.balance_minor for receipt in receipts] == [0, 10, 3, 3, 3]


def test_accounts_are_apart_by_token_and_by_service(desk: Desk) -> None:
    approved(desk.do(E_MONEY, Type.TOP_UP, 5))
    approved(desk.do(POINT, Type.EARN, 7))
    assert desk.balance(E_MONEY) == 5
    assert desk.balance(POINT) == 7
    assert desk.balance(POINT, "tok-two") == 0


@pytest.mark.parametrize(("service", "put", "take"), IN_AND_OUT)
def test_an_account_has_a_ceiling(desk: Desk, service: Service, put: Type, take: Type) -> None:
    approved(desk.do(service, put, AMOUNT_MAX_MINOR))
    declined(desk.do(service, put, 1), "61")
    approved(desk.do(service, take, 1))
    approved(desk.do(service, put, 1))


def test_an_e_money_refund_goes_back_to_the_card(desk: Desk, sale: Receipt) -> None:
    assert approved(desk.do(E_MONEY, Type.REFUND, 300, of=sale.key)).balance_minor == 4300
    assert approved(desk.do(E_MONEY, Type.REFUND, 700, of=sale.key)).balance_minor == 5000
    assert desk.state(sale.key) is State.REFUNDED


def test_a_top_up_is_not_refunded(desk: Desk) -> None:
    top_up = approved(desk.do(E_MONEY, Type.TOP_UP))
    command = desk.command(E_MONEY, Type.REFUND, of=top_up.key)
    assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_DIFFERS


def test_a_reversed_sale_gives_the_value_back(desk: Desk, sale: Receipt) -> None:
    assert approved(desk.do(E_MONEY, Type.REVERSAL, of=sale.key)).balance_minor == 5000
    assert desk.balance(E_MONEY) == 5000


def test_a_top_up_already_spent_cannot_be_reversed(desk: Desk) -> None:
    top_up = approved(desk.do(E_MONEY, Type.TOP_UP))
    approved(desk.do(E_MONEY, Type.SALE, 1))
    receipt = declined(desk.do(E_MONEY, Type.REVERSAL, of=top_up.key), "51")
    assert receipt.balance_minor == 999
    assert desk.state(top_up.key) is State.CAPTURED


def test_every_act_on_stored_value_names_the_originals_card(desk: Desk, sale: Receipt) -> None:
    for token in ("tok-two", ""):
        command = desk.command(E_MONEY, Type.REFUND, 1, of=sale.key, token=token)
        assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_DIFFERS
        declined(desk.apply(command)[0], "57")
    assert desk.balance(E_MONEY) == 4000


def test_an_unknown_card_write_leaves_the_value_where_it_is(desk: Desk, sale: Receipt) -> None:
    receipt = approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    assert (receipt.state, receipt.balance_minor) == (State.DONE, 4000)
    assert desk.state(sale.key) is State.UNKNOWN
    assert desk.open() == (ServiceTotal(E_MONEY, 2, 6000),)


@pytest.mark.parametrize("kind", [Type.REFUND, Type.REVERSAL])
def test_an_unknown_sale_waits_for_somebody_who_knows(
    desk: Desk, sale: Receipt, kind: Type
) -> None:
    approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    command = desk.command(E_MONEY, kind, of=sale.key)
    assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE


@pytest.mark.parametrize("first_unknown", [True, False])
@pytest.mark.parametrize(
    ("write", "state", "balance"),
    [(CardWrite.WRITTEN, State.CAPTURED, 4000), (CardWrite.NOT_WRITTEN, State.NOT_DONE, 5000)],
)
def test_an_advice_that_knows_settles_it(
    desk: Desk,
    sale: Receipt,
    first_unknown: bool,
    write: CardWrite,
    state: State,
    balance: int,
) -> None:
    if first_unknown:
        approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    receipt = approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=write))
    assert receipt.balance_minor == balance
    assert desk.state(sale.key) is state
    for other in (CardWrite.UNKNOWN, CardWrite.WRITTEN, CardWrite.NOT_WRITTEN):
        command = desk.command(E_MONEY, Type.ADVICE, of=sale.key, write=other)
        assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE
        declined(desk.apply(command)[0], "21")
    assert desk.balance(E_MONEY) == balance


def test_unknown_is_said_once(desk: Desk, sale: Receipt) -> None:
    approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    command = desk.command(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN)
    assert kind_of(desk.admit(command)) is RefusalKind.WRONG_STATE


def test_a_written_sale_can_be_refunded(desk: Desk, sale: Receipt) -> None:
    approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.WRITTEN))
    approved(desk.do(E_MONEY, Type.REFUND, of=sale.key))


def test_the_cards_next_touch_may_be_at_another_shop_the_books_stay_the_first_ones(
    desk: Desk, sale: Receipt
) -> None:
    approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.UNKNOWN))
    approved(
        desk.do(
            E_MONEY,
            Type.ADVICE,
            of=sale.key,
            write=CardWrite.NOT_WRITTEN,
            terminal="T9",
            merchant="SHOP-9",
        )
    )
    assert desk.open(terminal="T9") == ()
    assert desk.open(terminal="T1") == (ServiceTotal(E_MONEY, 3, 6000, 1000),)


def test_an_advice_with_another_card_is_refused(desk: Desk, sale: Receipt) -> None:
    command = desk.command(
        E_MONEY, Type.ADVICE, of=sale.key, write=CardWrite.NOT_WRITTEN, token="tok-two"
    )
    assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_DIFFERS


def test_an_advice_says_the_whole_amount_or_none(desk: Desk, sale: Receipt) -> None:
    command = desk.command(E_MONEY, Type.ADVICE, 999, of=sale.key, write=CardWrite.WRITTEN)
    assert kind_of(desk.admit(command)) is RefusalKind.AMOUNT_DIFFERS
    approved(desk.do(E_MONEY, Type.ADVICE, 1000, of=sale.key, write=CardWrite.WRITTEN))


def test_an_advice_of_an_unknown_original_is_not_found(desk: Desk) -> None:
    command = desk.command(
        E_MONEY, Type.ADVICE, of="T1.20261123.000777.0200", write=CardWrite.WRITTEN
    )
    assert kind_of(desk.admit(command)) is RefusalKind.ORIGINAL_NOT_FOUND


@pytest.mark.parametrize("write", [0, 4, 99])
def test_an_advice_without_a_meaning_that_reached_the_log_is_a_decline(
    desk: Desk, sale: Receipt, write: int
) -> None:
    command = desk.command(E_MONEY, Type.ADVICE, of=sale.key)
    strange = msgspec.structs.replace(command, card_write=write)
    declined(desk.apply(strange)[0], "57")


def test_only_an_advice_says_what_was_written(desk: Desk) -> None:
    strange = msgspec.structs.replace(desk.command(E_MONEY, Type.TOP_UP), card_write=99)
    approved(desk.apply(strange)[0])
    approved(desk.do(E_MONEY, Type.ADVICE, of=strange.key, write=CardWrite.WRITTEN))


def test_what_was_written_stays_with_the_record(desk: Desk, sale: Receipt) -> None:
    for write in (CardWrite.UNKNOWN, CardWrite.NOT_WRITTEN):
        approved(desk.do(E_MONEY, Type.ADVICE, of=sale.key, write=write))
        (row,) = desk.storage.get(Table.RECORD, (sale.key,)).values()
        assert decode_record(row).card_write == write


def test_a_top_up_not_written_is_taken_back(desk: Desk) -> None:
    top_up = approved(desk.do(E_MONEY, Type.TOP_UP))
    approved(desk.do(E_MONEY, Type.ADVICE, of=top_up.key, write=CardWrite.NOT_WRITTEN))
    assert desk.state(top_up.key) is State.NOT_DONE
    assert desk.balance(E_MONEY) == 0


def test_cancelled_points_go_back(desk: Desk) -> None:
    earned = approved(desk.do(POINT, Type.EARN, 100))
    spent = approved(desk.do(POINT, Type.REDEEM, 60))
    declined(desk.do(POINT, Type.CANCEL, 100, of=earned.key), "51")
    assert approved(desk.do(POINT, Type.CANCEL, 60, of=spent.key)).balance_minor == 100
    assert approved(desk.do(POINT, Type.CANCEL, 100, of=earned.key)).balance_minor == 0
    assert desk.state(earned.key) is State.VOIDED
    again = desk.command(POINT, Type.CANCEL, 60, of=spent.key)
    assert kind_of(desk.admit(again)) is RefusalKind.WRONG_STATE


def test_a_coupon_is_redeemed_once(desk: Desk) -> None:
    two = [desk.command(COUPON, Type.REDEEM, 300) for _ in range(2)]
    first, second = desk.apply(*two)
    assert approved(first).balance_minor is None
    declined(second, "57")
    declined(desk.do(COUPON, Type.REDEEM, 300), "57")
    approved(desk.do(COUPON, Type.REDEEM, 300, token="tok-two"))


@pytest.mark.parametrize("kind", [Type.CANCEL, Type.REVERSAL])
def test_a_cancelled_coupon_can_be_redeemed_again(desk: Desk, kind: Type) -> None:
    first = approved(desk.do(COUPON, Type.REDEEM, 300))
    approved(desk.do(COUPON, kind, 300, of=first.key))
    approved(desk.do(COUPON, Type.REDEEM, 300))
    again = desk.command(COUPON, kind, 300, of=first.key)
    assert kind_of(desk.admit(again)) is RefusalKind.WRONG_STATE
    declined(desk.apply(again)[0], "21")
    declined(desk.do(COUPON, Type.REDEEM, 300), "57")
