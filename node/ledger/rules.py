"""What each transaction does to the ledger, from the entry alone.

A rule looks at the sheet, decides, and changes it only when it approves (but for writing down that
an authorisation has expired). Value moves first on the account (stored value, coupon), then in the
line of the booking terminal; both or neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from node.ledger.commands import CardWrite, Command, Outcome, Receipt, Service, State, Type
from node.ledger.originals import examine
from node.ledger.records import Account, Line, Record, terminal_of
from node.ledger.refusals import DECLINE_CODE
from node.ledger.services import (
    ALLOWED,
    AMOUNT_MAX_MINOR,
    AUTHORISATION_LIFE_MS,
    KEEPS_ACCOUNT,
    NO_ACTION,
    NO_FUNDS,
    NOT_PERMITTED,
    OVER_LIMIT,
    SUM_MAX_MINOR,
    TEST_ENDINGS,
    declined_by_token,
)
from node.ledger.sheet import Sheet
from node.ledger.verdicts import Decline, Effect

Rule = Callable[[Sheet, Command], Effect | Decline]

# Plain integers: a look-up of an enum member costs more than the rule.
_AUTHORISED: Final = int(State.AUTHORISED)
_CAPTURED: Final = int(State.CAPTURED)
_DONE: Final = int(State.DONE)
_COUPON: Final = int(Service.COUPON)

_SIGN: Final[dict[int, int]] = {Type.SALE: -1, Type.REDEEM: -1, Type.TOP_UP: 1, Type.EARN: 1}
"""What beginning a transaction does to the account it is of; undoing it does the opposite."""


def begin(sheet: Sheet, command: Command) -> Effect | Decline:
    """SALE, TOP_UP, EARN, REDEEM: captured at once."""
    if command.card_token.endswith(TEST_ENDINGS):
        return _test_decline(command)
    amount = command.amount_minor
    line = _line(sheet, command.terminal, command.service)
    captured = line.captured_minor + amount
    if captured > SUM_MAX_MINOR:
        return _FULL
    balance = None
    if command.service in KEEPS_ACCOUNT:
        moved = _move(sheet, command, _SIGN[command.type], amount, command.key)
        if isinstance(moved, Decline):
            return moved
        balance = moved
    number = line.close_number
    sheet.keep_line(
        command.terminal,
        Line(
            command.service,
            number,
            line.count + 1,
            captured,
            line.voided_minor,
            line.refunded_minor,
        ),
    )
    return Effect(_CAPTURED, amount, amount, number, balance)


def authorise(sheet: Sheet, command: Command) -> Effect | Decline:
    """AUTHORISE: holds an amount, moves nothing."""
    if command.card_token.endswith(TEST_ENDINGS):
        return _test_decline(command)
    return Effect(_AUTHORISED, command.amount_minor)


def balance(sheet: Sheet, command: Command) -> Effect | Decline:
    """BALANCE: what the account holds; one never used holds 0."""
    if command.card_token.endswith(TEST_ENDINGS):
        return _test_decline(command)
    account = sheet.account(command.service, command.card_token)
    return Effect(_DONE, 0, balance_minor=account.balance_minor)


def capture(sheet: Sheet, command: Command) -> Effect | Decline:
    """CAPTURE: once, up to what was authorised; the rest is let go."""
    original = _original(sheet, command)
    if isinstance(original, Decline):
        return original
    if _expire(sheet, original):
        return EXPIRED
    amount = command.amount_minor
    line = _line(sheet, command.terminal, command.service)
    if line.captured_minor + amount > SUM_MAX_MINOR:
        return _FULL
    sheet.keep_line(
        command.terminal,
        _replace(line, count=line.count + 1, captured_minor=line.captured_minor + amount),
    )
    sheet.keep(_replace(original, state=_CAPTURED, captured_minor=amount))
    return Effect(_DONE, amount, close_number=line.close_number)


def void(sheet: Sheet, command: Command) -> Effect | Decline:
    """VOID, and CANCEL of points and coupons: the whole, once."""
    original = _original(sheet, command)
    if isinstance(original, Decline):
        return original
    return _undo(sheet, command, original, State.VOIDED, command.terminal)


def refund(sheet: Sheet, command: Command) -> Effect | Decline:
    """REFUND: as often as asked, up to what was captured."""
    original = _original(sheet, command)
    if isinstance(original, Decline):
        return original
    amount = command.amount_minor
    line = _line(sheet, command.terminal, command.service)
    if line.refunded_minor + amount > SUM_MAX_MINOR:
        return _FULL
    left = _move(sheet, command, 1, amount, "")
    if isinstance(left, Decline):
        return left
    sheet.keep_line(
        command.terminal,
        _replace(line, count=line.count + 1, refunded_minor=line.refunded_minor + amount),
    )
    sheet.keep(
        _replace(
            original,
            state=int(State.REFUNDED),
            refunded_minor=original.refunded_minor + amount,
        )
    )
    return Effect(_DONE, amount, close_number=line.close_number, balance_minor=left)


def reverse(sheet: Sheet, command: Command) -> Effect | Decline:
    """REVERSAL: the original never was. Not here yet: a tombstone will refuse it when it comes."""
    if command.original_key not in sheet.records:
        refused = examine(command, None)
        if refused is not None:
            return Decline(DECLINE_CODE[refused.kind], refused.message)
        sheet.keep(_tombstone(sheet, command))
        return Effect(_DONE, command.amount_minor)
    original = _original(sheet, command)
    if isinstance(original, Decline):
        return original
    if original.state != _AUTHORISED:
        return _undo(sheet, command, original, State.REVERSED, command.terminal)
    if _expire(sheet, original):
        return EXPIRED
    sheet.keep(_replace(original, state=int(State.REVERSED)))
    return Effect(_DONE, original.amount_minor)


def advise(sheet: Sheet, command: Command) -> Effect | Decline:
    """ADVICE: what became of the card write.

    UNKNOWN (処理未了) leaves the value where it is until somebody knows; WRITTEN confirms it;
    NOT_WRITTEN takes it back, in the books of the terminal that began it.
    """
    original = _original(sheet, command)
    if isinstance(original, Decline):
        return original
    if command.card_write == CardWrite.NOT_WRITTEN:
        terminal = terminal_of(command.original_key)
        return _undo(sheet, command, original, State.NOT_DONE, terminal)
    unknown = command.card_write == CardWrite.UNKNOWN
    sheet.keep(
        _replace(
            original,
            state=int(State.UNKNOWN) if unknown else _CAPTURED,
            card_write=command.card_write,
        )
    )
    account = sheet.account(command.service, command.card_token)
    return Effect(_DONE, 0, balance_minor=account.balance_minor)


def _undo(
    sheet: Sheet, command: Command, original: Record, state: State, terminal: str
) -> Effect | Decline:
    amount = original.captured_minor
    line = _line(sheet, terminal, command.service)
    if line.voided_minor + amount > SUM_MAX_MINOR:
        return _FULL
    sign = -_SIGN.get(original.type, 0)
    left = _move(sheet, command, sign, amount, "")
    if isinstance(left, Decline):
        return left
    sheet.keep_line(
        terminal,
        _replace(line, count=line.count + 1, voided_minor=line.voided_minor + amount),
    )
    sheet.keep(
        _replace(original, state=int(state), card_write=command.card_write or original.card_write)
    )
    return Effect(_DONE, amount, close_number=line.close_number, balance_minor=left)


def _move(
    sheet: Sheet, command: Command, sign: int, amount_minor: int, used_by: str
) -> int | Decline | None:
    """Move value on the account, where the service keeps one; its new balance, or why not.

    A coupon is used by the key `used_by`, or given back when that is empty.
    """
    service, token = command.service, command.card_token
    if service not in KEEPS_ACCOUNT:
        return None
    account = sheet.account(service, token)
    if service == _COUPON:
        if used_by and account.used_by:
            return Decline(NOT_PERMITTED, "the coupon is already redeemed")
        sheet.keep_account(service, token, Account(0, used_by))
        return None
    left = account.balance_minor + sign * amount_minor
    if left < 0:
        return Decline(NO_FUNDS, "not enough stored value", account.balance_minor)
    if left > AMOUNT_MAX_MINOR:
        return Decline(OVER_LIMIT, "more than an account can hold", account.balance_minor)
    sheet.keep_account(service, token, Account(left))
    return left


def _original(sheet: Sheet, command: Command) -> Record | Decline:
    original = sheet.records.get(command.original_key)
    refused = examine(command, original)
    if refused is not None:
        return Decline(DECLINE_CODE[refused.kind], refused.message)
    assert original is not None, "examine lets only a reversal pass without its original"
    return original


def _expire(sheet: Sheet, original: Record) -> bool:
    """Whether the authorisation has run out by the entry's stamp; if so, it is written down."""
    if sheet.stamp_ms - original.receipt.settled_at_ms < AUTHORISATION_LIFE_MS:
        return False
    sheet.keep(_replace(original, state=int(State.EXPIRED)))
    return True


def _tombstone(sheet: Sheet, command: Command) -> Record:
    # It is its original's stored answer already: whatever arrives under that key hears it.
    receipt = Receipt(
        key=command.original_key,
        fingerprint=b"",
        outcome=int(Outcome.DECLINED),
        response_code=NO_ACTION,
        rrn=sheet.rrn,
        approval_code="",
        state=int(State.REVERSED),
        balance_minor=None,
        settled_at_ms=sheet.stamp_ms,
        index=sheet.index,
        reason="reversed before it arrived",
    )
    return Record(receipt, command.merchant, command.service, 0, int(State.REVERSED), 0)


def _line(sheet: Sheet, terminal: str, service: int) -> Line:
    return sheet.till(terminal).get(service) or Line(service)


def _test_decline(command: Command) -> Decline:
    declined = declined_by_token(command.card_token)
    assert declined is not None, "called for test tokens only"
    return Decline(*declined)


_replace = msgspec.structs.replace
EXPIRED: Final = Decline(NO_ACTION, "the authorisation has expired")
_FULL: Final = Decline(OVER_LIMIT, "the open total of the terminal is full: close it first")

_BY_TYPE: Final[dict[Type, Rule]] = {
    Type.AUTHORISE: authorise,
    Type.CAPTURE: capture,
    Type.SALE: begin,
    Type.VOID: void,
    Type.REFUND: refund,
    Type.REVERSAL: reverse,
    Type.TOP_UP: begin,
    Type.BALANCE: balance,
    Type.EARN: begin,
    Type.REDEEM: begin,
    Type.CANCEL: void,
    Type.ADVICE: advise,
}

RULES: Final[dict[tuple[int, int], Rule]] = {
    (int(service), int(kind)): _BY_TYPE[kind]
    for service, kinds in ALLOWED.items()
    for kind in kinds
}
"""The rule of every service and type that is allowed."""
