"""Bounds and rules a field at a time, before anything is looked up."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.card_numbers import holds_card_number, passes_luhn
from node.ledger.check import check_close, check_interim, check_key, check_settle
from node.ledger.commands import CardWrite, Dcc, Service, ServiceTotal, Type
from node.ledger.money import EXPONENT
from node.ledger.services import AMOUNT_MAX_MINOR, SUM_MAX_MINOR

SALE: dict[str, Any] = {
    "merchant_id": "SHOP-1",
    "terminal_id": "T0001",
    "service": Service.CREDIT,
    "brand": "VISA",
    "kind": Type.SALE,
    "amount_minor": 1000,
    "currency": "JPY",
    "business_date": 20261123,
    "stan": 42,
    "card_token": "tok-abcd",
    "card_last4": "1234",
    "original_key": "",
    "dcc": None,
    "card_write": 0,
    "memo": "",
}
ORIGINAL = "T0001.20261123.000041.0200"
PAN = "4111111111111111"


def fields(**changes: Any) -> list[str]:
    """The fields at fault in a sale with some changes."""
    return [problem.field for problem in check_settle(**(SALE | changes))]


def test_a_sound_sale_has_no_problem() -> None:
    assert fields() == []
    assert fields(brand="", card_last4="", memo="領収書 二枚", service=Service.J_DEBIT) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("merchant_id", ""),
        ("merchant_id", "M" * 16),
        ("merchant_id", "SHOP 1"),
        ("merchant_id", "店"),
        ("terminal_id", ""),
        ("terminal_id", "T" * 14),
        ("terminal_id", "T.1"),
        ("terminal_id", "T1\n"),
        ("service", 0),
        ("service", 8),
        ("service", -1),
        ("brand", "B" * 25),
        ("brand", "VISA!"),
        ("amount_minor", 0),
        ("amount_minor", -1),
        ("amount_minor", AMOUNT_MAX_MINOR + 1),
        ("amount_minor", 2**63 - 1),
        ("currency", "USD"),
        ("currency", "jpy"),
        ("currency", ""),
        ("business_date", 0),
        ("business_date", 20261301),
        ("business_date", 20260229),
        ("business_date", 20261131),
        ("business_date", 20260100),
        ("business_date", 19991231),
        ("business_date", 2**32 - 1),
        ("stan", 0),
        ("stan", 1_000_000),
        ("card_token", ""),
        ("card_token", "tok"),
        ("card_token", "t" * 65),
        ("card_token", "tok.abcd"),
        ("card_last4", "123"),
        ("card_last4", "12345"),
        ("card_last4", "12a4"),
        ("card_last4", "１２３４"),
        ("original_key", ORIGINAL),
        ("dcc", Dcc(667, "USD", "0.00667")),
        ("card_write", 1),
        ("memo", "m" * 65),
        ("memo", "two\nlines"),
    ],
)
def test_a_field_out_of_bounds_is_named(field: str, value: object) -> None:
    assert fields(**{field: value}) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", AMOUNT_MAX_MINOR),
        ("business_date", 20280229),
        ("stan", 999_999),
        ("merchant_id", "M" * 15),
        ("terminal_id", "T" * 13),
        ("brand", "B" * 24),
        ("card_token", "t" * 64),
        ("memo", "紙" * 64),
    ],
)
def test_a_field_at_its_bound_passes(field: str, value: object) -> None:
    assert fields(**{field: value}) == []


def test_every_problem_is_named_at_once() -> None:
    assert fields(merchant_id="", amount_minor=0, currency="", stan=0) == [
        "merchant_id",
        "stan",
        "amount_minor",
        "currency",
    ]


@pytest.mark.parametrize("kind", [0, 13, 20, -5])
def test_a_type_that_is_none_is_named(kind: int) -> None:
    assert "type" in fields(kind=kind)


def test_a_type_that_the_service_does_not_have_is_named_with_those_it_has() -> None:
    problems = check_settle(**(SALE | {"service": Service.J_DEBIT, "kind": Type.VOID}))
    assert "REFUND" in next(each.description for each in problems if each.field == "type")


@pytest.mark.parametrize(
    ("service", "kind"),
    [
        (Service.CREDIT, Type.CAPTURE),
        (Service.CREDIT, Type.VOID),
        (Service.CREDIT, Type.REFUND),
        (Service.CREDIT, Type.REVERSAL),
        (Service.POINT, Type.CANCEL),
    ],
)
def test_an_act_on_another_transaction_names_it(service: Service, kind: Type) -> None:
    assert fields(service=service, kind=kind, original_key=ORIGINAL) == []
    for key in ("", "T0001", ORIGINAL + "0", "T0001.20261123.41.0200", "." + ORIGINAL):
        assert fields(service=service, kind=kind, original_key=key) == ["original_key"]


def test_the_card_token_may_be_left_out_only_where_the_original_names_the_card() -> None:
    refund = {"kind": Type.REFUND, "original_key": ORIGINAL, "card_token": ""}
    assert fields(**refund) == []
    assert fields(**refund, service=Service.E_MONEY) == ["card_token"]


def test_a_balance_has_no_amount_an_advice_may() -> None:
    balance = {"service": Service.POINT, "kind": Type.BALANCE}
    assert fields(**balance, amount_minor=0) == []
    assert fields(**balance, amount_minor=1) == ["amount_minor"]
    advice = {
        "service": Service.E_MONEY,
        "kind": Type.ADVICE,
        "original_key": ORIGINAL,
        "card_write": CardWrite.UNKNOWN,
    }
    assert fields(**advice, amount_minor=0) == []
    assert fields(**advice, amount_minor=1000) == []
    assert fields(**(advice | {"card_write": 0})) == ["card_write"]
    assert fields(**(advice | {"card_write": 4})) == ["card_write"]


# --- the holder's currency ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "dcc",
    [
        Dcc(667, "USD", "0.00667"),
        Dcc(666, "USD", "0.00667"),
        Dcc(668, "USD", "0.00667"),
        Dcc(9090, "KRW", "9.09"),
        Dcc(2040, "KWD", "0.00204"),
    ],
)
def test_an_offer_within_one_minor_unit_passes(dcc: Dcc) -> None:
    assert fields(service=Service.DCC, dcc=dcc) == []


@pytest.mark.parametrize(
    ("dcc", "field"),
    [
        (Dcc(665, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(669, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(7, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(909_000, "KRW", "9.09"), "dcc.card_amount_minor"),
        (Dcc(204, "KWD", "0.00204"), "dcc.card_amount_minor"),
        (Dcc(0, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(-667, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(2**63 - 1, "USD", "0.00667"), "dcc.card_amount_minor"),
        (Dcc(1000, "JPY", "1"), "dcc.card_currency"),
        (Dcc(667, "usd", "0.00667"), "dcc.card_currency"),
        (Dcc(667, "XXX", "0.00667"), "dcc.card_currency"),
        (Dcc(667, "", "0.00667"), "dcc.card_currency"),
        (Dcc(667, "USD", ""), "dcc.rate"),
        (Dcc(667, "USD", "0"), "dcc.rate"),
        (Dcc(667, "USD", "0.0"), "dcc.rate"),
        (Dcc(667, "USD", "-0.00667"), "dcc.rate"),
        (Dcc(667, "USD", "1e-3"), "dcc.rate"),
        (Dcc(667, "USD", ".00667"), "dcc.rate"),
        (Dcc(667, "USD", "0.00667 "), "dcc.rate"),
        (Dcc(667, "USD", "０.00667"), "dcc.rate"),
        (Dcc(667, "USD", "0.006670000000000"), "dcc.rate"),
    ],
)
def test_an_offer_that_contradicts_itself_is_named(dcc: Dcc, field: str) -> None:
    assert fields(service=Service.DCC, dcc=dcc) == [field]


def test_an_offer_is_needed_where_the_holder_is_asked() -> None:
    for kind in (Type.SALE, Type.AUTHORISE):
        assert fields(service=Service.DCC, kind=kind) == ["dcc"]
    assert fields(service=Service.DCC, kind=Type.REFUND, original_key=ORIGINAL) == []


def test_each_currency_has_one_exponent() -> None:
    assert EXPONENT["JPY"] == EXPONENT["KRW"] == 0
    assert EXPONENT["USD"] == EXPONENT["EUR"] == 2
    assert EXPONENT["KWD"] == EXPONENT["TND"] == 3
    assert all(len(code) == 3 and code.isupper() for code in EXPONENT)


@given(
    amount=st.integers(1, AMOUNT_MAX_MINOR // 1000),
    currency=st.sampled_from(sorted(set(EXPONENT) - {"JPY"})),
    rate=st.integers(1, 10**6),
    scale=st.integers(0, 6),
)
def test_an_offer_rounded_either_way_passes(
    amount: int, currency: str, rate: int, scale: int
) -> None:
    text = f"{rate / 10**scale:.{scale}f}"
    exact, rest = divmod(amount * rate * 10 ** EXPONENT[currency], 10**scale)
    for card_amount in {exact, exact + (rest > 0)}:
        if 0 < card_amount <= AMOUNT_MAX_MINOR:
            dcc = Dcc(card_amount, currency, text)
            assert fields(service=Service.DCC, amount_minor=amount, dcc=dcc) == []


# --- card numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        PAN,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 - 1111 - 1111 - 1111",
        "card4111111111111111.",
        "ＶＩＳＡ４１１１１１１１１１１１１１１１",
        "４１１１－１１１１－１１１１－１１１１",
        "4111　1111　1111　1111",
        "2 x 4111111111111111 1",
        "tel 03 1234 / 4111111111111111",
        "378282246310005",
        "30569309025904",
        "6304000000000000",
        "6304000000000000000",
        "500000000009",
        "1 2 3 4111 1111 1111 1111 9 9",
    ],
)
def test_a_card_number_is_seen_however_it_is_written(text: str) -> None:
    assert holds_card_number(text)
    assert fields(memo=text) == ["memo"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "41111111111",
        "4111/1111/1111/1111",
        "T0001.20261123.000042.0200",
        "1234 1234",
        "0" * 11,
        "99999999994444444444",
    ],
)
def test_other_digits_are_not_card_numbers(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("merchant_id", "378282246310005"),
        ("terminal_id", "4222222222222"),
        ("brand", f"VISA-{PAN}"),
        ("card_token", PAN),
        ("card_token", f"tok-{PAN}"),
        ("card_token", "tok_4111-1111-1111-1111"),
        ("memo", f"ﾒﾓ {PAN}"),
    ],
)
def test_a_card_number_is_refused_in_every_text_field(field: str, value: str) -> None:
    assert fields(**{field: value}) == [field]


def test_a_card_number_is_refused_in_an_original_key_and_a_rate() -> None:
    key = "4222222222222.20261123.000041.0200"
    assert fields(kind=Type.REFUND, original_key=key) == ["original_key"]
    assert "original_key" in fields(kind=Type.REFUND, original_key=PAN)
    assert "dcc.rate" in fields(service=Service.DCC, dcc=Dcc(1, "USD", PAN))


@given(st.text("0123456789", min_size=11, max_size=18), st.sampled_from(["", " ", "-", "　"]))
def test_any_digits_with_their_check_digit_are_seen(digits: str, between: str) -> None:
    check = next(digit for digit in "0123456789" if passes_luhn(digits + digit))
    assert holds_card_number(between.join(digits + check))
    wrong = str((int(check) + 1) % 10)
    assert not passes_luhn(digits + wrong)


# --- closes, interim totals, inquiries -----------------------------------------------------------


def close_fields(**changes: Any) -> list[str]:
    close: dict[str, Any] = {
        "merchant_id": "SHOP-1",
        "terminal_id": "T0001",
        "business_date": 20261123,
        "stan": 42,
        "service": 0,
        "expected": (),
    }
    return [problem.field for problem in check_close(**(close | changes))]


def test_a_close_is_of_one_service_or_all() -> None:
    for service in range(8):
        assert close_fields(service=service) == []
    assert close_fields(service=8) == close_fields(service=-1) == ["service"]


@pytest.mark.parametrize(
    ("expected", "field"),
    [
        ((ServiceTotal(0),), "expected[0].service"),
        ((ServiceTotal(9),), "expected[0].service"),
        ((ServiceTotal(1), ServiceTotal(1)), "expected[1].service"),
        ((ServiceTotal(1, -1),), "expected[0].count"),
        ((ServiceTotal(1, 1, -1),), "expected[0].captured_minor"),
        ((ServiceTotal(1, 1, 1, SUM_MAX_MINOR + 1),), "expected[0].voided_minor"),
        ((ServiceTotal(1, 1, 1, 1, 2**63 - 1),), "expected[0].refunded_minor"),
    ],
)
def test_a_closes_own_totals_are_checked(expected: tuple[ServiceTotal, ...], field: str) -> None:
    assert close_fields(expected=expected) == [field]


def test_a_close_of_one_service_expects_that_one_only() -> None:
    assert close_fields(service=1, expected=(ServiceTotal(1, 2, 3),)) == []
    assert close_fields(service=1, expected=(ServiceTotal(2),)) == ["expected[0].service"]


def test_a_close_checks_its_place_and_holds_no_card_number() -> None:
    assert close_fields(merchant_id="", terminal_id="", business_date=1, stan=0) == [
        "merchant_id",
        "terminal_id",
        "business_date",
        "stan",
    ]
    assert close_fields(terminal_id="4222222222222") == ["terminal_id"]


def test_totals_are_asked_by_merchant_terminal_and_service() -> None:
    assert check_interim("SHOP-1", "T0001", 0) == []
    problems = check_interim("", "4222222222222", 8)
    assert [problem.field for problem in problems] == ["merchant_id", "terminal_id", "service"]


def test_an_inquiry_names_a_whole_key() -> None:
    assert check_key(ORIGINAL) == []
    for key in ("", "T0001", PAN, "4222222222222.20261123.000041.0200", ORIGINAL + "\n"):
        assert [problem.field for problem in check_key(key)] == ["idempotency_key"]


# --- anything at all -----------------------------------------------------------------------------


@given(st.data())
def test_whatever_is_sent_the_check_answers(data: st.DataObject) -> None:
    numbers, words = st.integers(-(2**63), 2**63 - 1), st.text(max_size=80)
    arguments: dict[str, Any] = {}
    for name in inspect.signature(check_settle).parameters:
        sound = SALE[name]
        if name == "dcc":
            strange: st.SearchStrategy[object] = st.builds(Dcc, numbers, words, words)
        else:
            strange = words if isinstance(sound, str) else numbers
        arguments[name] = data.draw(st.just(sound) | strange, label=name)
    for problem in check_settle(**arguments):
        assert problem.description
        assert problem.field.partition(".")[0] in {*SALE, "type"}
