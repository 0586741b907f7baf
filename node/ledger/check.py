"""What a request must look like, whatever the ledger holds: bounds and rules a field at a time.

Fields are named as in proto/settlement.proto. All problems are found at once, so that a terminal's
maker sees them all; nothing refused here consumes a key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from node.ledger.card_numbers import DIGITS_MIN, holds_card_number
from node.ledger.commands import CardWrite, Dcc, Service, ServiceTotal, Type
from node.ledger.money import dcc_problem
from node.ledger.services import (
    ALLOWED,
    AMOUNT_MAX_MINOR,
    BEGINS,
    KEEPS_ACCOUNT,
    NAMES_ORIGINAL,
    SETTLEMENT_CURRENCY,
    SUM_MAX_MINOR,
)

MEMO_MAX_CHARACTERS: Final = 64
STAN_MAX: Final = 999_999


class FieldProblem(NamedTuple):
    """One field at fault, and what it should be."""

    field: str
    description: str


_MERCHANT: Final = re.compile(r"[A-Z0-9a-z-]{1,15}").fullmatch
_TERMINAL: Final = re.compile(r"[A-Z0-9a-z-]{1,13}").fullmatch
_BRAND: Final = re.compile(r"[A-Z0-9a-z_-]{0,24}").fullmatch
_TOKEN: Final = re.compile(r"[A-Z0-9a-z_-]{4,64}").fullmatch
_LAST4: Final = re.compile(r"[0-9]{4}").fullmatch
_KEY: Final = re.compile(r"[A-Z0-9a-z-]{1,13}\.[0-9]{8}\.[0-9]{6}\.[0-9]{4}").fullmatch
_KEY_REST: Final = len(".20261123.000042.0200")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]").search
_PAIRS: Final = frozenset(
    (int(service), int(kind)) for service, kinds in ALLOWED.items() for kind in kinds
)
_ZERO: Final = frozenset({int(Type.BALANCE), int(Type.ADVICE)})
_BALANCE: Final = int(Type.BALANCE)
_ADVICE: Final = int(Type.ADVICE)
_DCC: Final = int(Service.DCC)
_DCC_NEEDED: Final = frozenset({int(Type.AUTHORISE), int(Type.SALE)})
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check_settle(
    merchant_id: str,
    terminal_id: str,
    service: int,
    brand: str,
    kind: int,
    amount_minor: int,
    currency: str,
    business_date: int,
    stan: int,
    card_token: str,
    card_last4: str,
    original_key: str,
    dcc: Dcc | None,
    card_write: int,
    memo: str,
) -> list[FieldProblem]:
    """Everything wrong with a SettleRequest; fields in the order of the message, raw values.

    `kind` is the message's `type`; `dcc` None and `card_write` 0 where the message has none.
    """
    problems: list[FieldProblem] = []
    _check_place(problems, merchant_id, terminal_id, business_date, stan)
    if (service, kind) not in _PAIRS:
        problems.append(_wrong_pair(service, kind))
    if brand and not _BRAND(brand):
        problems.append(FieldProblem("brand", "up to 24 of A-Z a-z 0-9 - _"))
    if not 0 < amount_minor <= AMOUNT_MAX_MINOR and (amount_minor != 0 or kind not in _ZERO):
        problems.append(FieldProblem("amount_minor", f"from 1 to {AMOUNT_MAX_MINOR}"))
    if kind == _BALANCE and amount_minor:
        problems.append(FieldProblem("amount_minor", "0 for BALANCE"))
    if currency != SETTLEMENT_CURRENCY:
        problems.append(FieldProblem("currency", f"{SETTLEMENT_CURRENCY}, in whole yen"))
    _check_card(problems, service, kind, card_token, card_last4)
    if kind in NAMES_ORIGINAL:
        if not _KEY(original_key):
            problems.append(
                FieldProblem("original_key", "the idempotency key of the original transaction")
            )
    elif original_key:
        problems.append(FieldProblem("original_key", "only where another transaction is acted on"))
    if dcc is not None or service == _DCC:
        _check_dcc(problems, service, kind, amount_minor, dcc)
    if kind == _ADVICE:
        if not CardWrite.UNKNOWN <= card_write <= CardWrite.NOT_WRITTEN:
            problems.append(FieldProblem("card_write", "UNKNOWN, WRITTEN or NOT_WRITTEN"))
    elif card_write:
        problems.append(FieldProblem("card_write", "for ADVICE only"))
    if memo and (len(memo) > MEMO_MAX_CHARACTERS or _CONTROL(memo)):
        problems.append(
            FieldProblem("memo", f"up to {MEMO_MAX_CHARACTERS} characters, none of them control")
        )
    _check_card_numbers(problems, "brand", brand)
    _check_card_numbers(problems, "card_token", card_token)
    # The rest of a well-formed key is groups of 8, 6 and 4 digits with dots between.
    _check_card_numbers(problems, "original_key", original_key, DIGITS_MIN + _KEY_REST)
    if dcc is not None:
        _check_card_numbers(problems, "dcc.rate", dcc.rate)
    _check_card_numbers(problems, "memo", memo)
    return problems


def check_close(
    merchant_id: str,
    terminal_id: str,
    business_date: int,
    stan: int,
    service: int,
    expected: Sequence[ServiceTotal],
) -> list[FieldProblem]:
    """Everything wrong with a CloseRequest. `service` 0 is all; `expected` may be empty."""
    problems: list[FieldProblem] = []
    _check_place(problems, merchant_id, terminal_id, business_date, stan)
    _check_service_or_all(problems, service)
    seen: set[int] = set()
    for place, total in enumerate(expected):
        name = f"expected[{place}]"
        if total.service not in _SERVICES or (service and total.service != service):
            problems.append(FieldProblem(f"{name}.service", "one of the services being closed"))
        elif total.service in seen:
            problems.append(FieldProblem(f"{name}.service", "each service once"))
        seen.add(total.service)
        for field in ("count", "captured_minor", "voided_minor", "refunded_minor"):
            if not 0 <= getattr(total, field) <= SUM_MAX_MINOR:
                problems.append(FieldProblem(f"{name}.{field}", f"from 0 to {SUM_MAX_MINOR}"))
        if len(seen) > len(_SERVICES):
            break
    return problems


def check_interim(merchant_id: str, terminal_id: str, service: int) -> list[FieldProblem]:
    """Everything wrong with an InterimRequest. `service` 0 is all."""
    problems: list[FieldProblem] = []
    _check_names(problems, merchant_id, terminal_id)
    _check_service_or_all(problems, service)
    return problems


def check_key(idempotency_key: str) -> list[FieldProblem]:
    """Everything wrong with an InquireRequest."""
    problems: list[FieldProblem] = []
    _check_card_numbers(problems, "idempotency_key", idempotency_key, DIGITS_MIN + _KEY_REST)
    if problems or _KEY(idempotency_key):
        return problems
    return [
        FieldProblem(
            "idempotency_key",
            "terminal, business date, STAN and message class, as T0001.20261123.000042.0200",
        )
    ]


def _check_names(problems: list[FieldProblem], merchant_id: str, terminal_id: str) -> None:
    if not _MERCHANT(merchant_id):
        problems.append(FieldProblem("merchant_id", "1 to 15 of A-Z a-z 0-9 -"))
    if not _TERMINAL(terminal_id):
        problems.append(FieldProblem("terminal_id", "1 to 13 of A-Z a-z 0-9 -"))
    _check_card_numbers(problems, "merchant_id", merchant_id)
    _check_card_numbers(problems, "terminal_id", terminal_id)


def _check_place(
    problems: list[FieldProblem], merchant_id: str, terminal_id: str, business_date: int, stan: int
) -> None:
    _check_names(problems, merchant_id, terminal_id)
    if not _is_date(business_date):
        problems.append(FieldProblem("business_date", "a date as YYYYMMDD, from 2000 to 2099"))
    if not 0 < stan <= STAN_MAX:
        problems.append(FieldProblem("stan", f"from 1 to {STAN_MAX}"))


def _is_date(yyyymmdd: int) -> bool:
    year, rest = divmod(yyyymmdd, 10_000)
    month, day = divmod(rest, 100)
    if not (2000 <= year <= 2099 and 1 <= month <= 12):
        return False
    # Every fourth year from 2000 to 2099 is a leap year.
    last = 29 if month == 2 and year % 4 == 0 else _DAYS[month - 1]
    return 1 <= day <= last


def _check_service_or_all(problems: list[FieldProblem], service: int) -> None:
    if service and service not in _SERVICES:
        problems.append(FieldProblem("service", "one of the seven services, or none for all"))


_SERVICES: Final = frozenset(int(service) for service in Service)


def _wrong_pair(service: int, kind: int) -> FieldProblem:
    if service not in _SERVICES:
        return FieldProblem("service", "one of the seven services")
    allowed = " ".join(sorted(kind.name for kind in ALLOWED[Service(service)]))
    return FieldProblem("type", f"{Service(service).name} allows {allowed}")


def _check_card(
    problems: list[FieldProblem], service: int, kind: int, card_token: str, card_last4: str
) -> None:
    if card_token:
        if not _TOKEN(card_token):
            problems.append(FieldProblem("card_token", "4 to 64 of A-Z a-z 0-9 - _"))
    elif kind in BEGINS or service in KEEPS_ACCOUNT:
        problems.append(FieldProblem("card_token", "needed: 4 to 64 of A-Z a-z 0-9 - _"))
    if card_last4 and not _LAST4(card_last4):
        problems.append(FieldProblem("card_last4", "4 digits"))


def _check_dcc(
    problems: list[FieldProblem], service: int, kind: int, amount_minor: int, dcc: Dcc | None
) -> None:
    if dcc is None:
        if kind in _DCC_NEEDED:
            problems.append(FieldProblem("dcc", "needed: card amount, card currency and rate"))
    elif service != _DCC:
        problems.append(FieldProblem("dcc", "for service DCC only"))
    else:
        problem = dcc_problem(amount_minor, dcc)
        if problem is not None:
            problems.append(FieldProblem(f"dcc.{problem[0]}", problem[1]))


def _check_card_numbers(
    problems: list[FieldProblem], field: str, text: str, length_min: int = DIGITS_MIN
) -> None:
    # Most texts are too short to hold one: that look costs next to nothing.
    if len(text) >= length_min and holds_card_number(text):
        problems.append(FieldProblem(field, "holds a card number: send a token, never the number"))
