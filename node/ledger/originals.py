"""What may be done to an earlier transaction: one judge for admission and for apply.

| act      | of                                | in state            | amount                |
|----------|-----------------------------------|---------------------|-----------------------|
| CAPTURE  | AUTHORISE                         | AUTHORISED          | up to the authorised  |
| VOID     | SALE, captured AUTHORISE          | CAPTURED            | the whole             |
| REFUND   | SALE, captured AUTHORISE          | CAPTURED, REFUNDED  | up to what is left    |
| CANCEL   | EARN, REDEEM                      | CAPTURED            | the whole             |
| REVERSAL | AUTHORISE                         | AUTHORISED          | the whole             |
| REVERSAL | SALE, TOP_UP, EARN, REDEEM        | CAPTURED            | the whole             |
| ADVICE   | e-money SALE, TOP_UP              | CAPTURED, UNKNOWN   | 0 or the whole        |

The original is of the same service and merchant, and of the same card token where one is given. A
reversal comes from the terminal that sent the original; where the original is not known (yet), it
leaves a tombstone, so it needs none. An advice may come from anywhere: the card's next touch can
be at another shop, so the card token is what ties it to the original. Void and refund count in the
close of the terminal that makes them, also after the original's close.
"""

from __future__ import annotations

from typing import Final

from node.ledger.commands import CardWrite, Command, State, Type
from node.ledger.records import Record, terminal_of
from node.ledger.refusals import Refusal, RefusalKind, refusal
from node.ledger.services import KEEPS_ACCOUNT

_TARGETS: Final[dict[int, frozenset[int]]] = {
    Type.CAPTURE: frozenset({Type.AUTHORISE}),
    Type.VOID: frozenset({Type.SALE, Type.AUTHORISE}),
    Type.REFUND: frozenset({Type.SALE, Type.AUTHORISE}),
    Type.CANCEL: frozenset({Type.EARN, Type.REDEEM}),
    Type.REVERSAL: frozenset({Type.AUTHORISE, Type.SALE, Type.TOP_UP, Type.EARN, Type.REDEEM}),
    Type.ADVICE: frozenset({Type.SALE, Type.TOP_UP}),
}

_STATES: Final[dict[int, frozenset[int]]] = {
    Type.CAPTURE: frozenset({State.AUTHORISED}),
    Type.VOID: frozenset({State.CAPTURED}),
    Type.REFUND: frozenset({State.CAPTURED, State.REFUNDED}),
    Type.CANCEL: frozenset({State.CAPTURED}),
    Type.REVERSAL: frozenset({State.AUTHORISED, State.CAPTURED}),
    Type.ADVICE: frozenset({State.CAPTURED, State.UNKNOWN}),
}

_REVERSIBLE_CLASSES: Final = (".0100", ".0200")


def examine(command: Command, original: Record | None) -> Refusal | None:
    """What is wrong with `command` acting on `original`; None when nothing is.

    The command's type is one that names an original and is allowed for its service. Whether an
    authorisation has expired is not judged here: it depends on the entry's stamp.
    """
    if original is None:
        return _examine_absent(command)
    return (
        _examine_identity(command, original)
        or _examine_state(command, original)
        or _examine_amount(command, original)
    )


def _examine_absent(command: Command) -> Refusal | None:
    if (
        command.type == Type.REVERSAL
        and terminal_of(command.original_key) == command.terminal
        and command.original_key.endswith(_REVERSIBLE_CLASSES)
    ):
        return None
    return _not_found(command)


def _examine_identity(command: Command, original: Record) -> Refusal | None:
    if original.merchant != command.merchant and command.type != Type.ADVICE:
        return _not_found(command)
    if not original.type:
        return _wrong_state(original)
    if original.service != command.service:
        return refusal(
            RefusalKind.ORIGINAL_DIFFERS, "service", "the original is of another service"
        )
    if command.type == Type.REVERSAL and terminal_of(command.original_key) != command.terminal:
        return refusal(
            RefusalKind.ORIGINAL_DIFFERS,
            "original_key",
            "only the terminal that sent the original can reverse it",
        )
    if original.type not in _TARGETS[command.type]:
        hint = f": name its original {original.original_key}" if original.original_key else ""
        return refusal(
            RefusalKind.ORIGINAL_DIFFERS,
            "original_key",
            f"{Type(command.type).name} of a {Type(original.type).name} is not possible{hint}",
        )
    if original.card_token != command.card_token and (
        command.card_token or command.service in KEEPS_ACCOUNT
    ):
        return refusal(
            RefusalKind.ORIGINAL_DIFFERS, "card_token", "the original is of another card token"
        )
    if command.dcc and original.dcc and command.dcc.card_currency != original.dcc.card_currency:
        return refusal(
            RefusalKind.ORIGINAL_DIFFERS,
            "dcc.card_currency",
            f"the original was offered in {original.dcc.card_currency}",
        )
    return None


def _examine_state(command: Command, original: Record) -> Refusal | None:
    state = original.state
    if state not in _STATES[command.type]:
        return _wrong_state(original)
    if command.type == Type.REVERSAL and (state == State.AUTHORISED) != (
        original.type == Type.AUTHORISE
    ):
        return refusal(
            RefusalKind.WRONG_STATE, "original_key", "the authorisation is captured: void it"
        )
    if command.type == Type.ADVICE:
        if command.card_write not in _CARD_WRITES:
            return refusal(RefusalKind.NOT_ALLOWED, "card_write", "an advice says what was written")
        if original.card_write and (
            original.card_write != CardWrite.UNKNOWN or command.card_write == CardWrite.UNKNOWN
        ):
            return refusal(
                RefusalKind.WRONG_STATE,
                "card_write",
                f"already advised as {CardWrite(original.card_write).name}",
            )
    return None


_CARD_WRITES: Final = frozenset({CardWrite.UNKNOWN, CardWrite.WRITTEN, CardWrite.NOT_WRITTEN})


def _examine_amount(command: Command, original: Record) -> Refusal | None:
    amount = command.amount_minor
    if command.type == Type.CAPTURE:
        return _exceeds(amount, original.amount_minor)
    if command.type == Type.REFUND:
        return _exceeds(amount, original.captured_minor - original.refunded_minor)
    whole = original.captured_minor or original.amount_minor
    if amount == whole or (command.type == Type.ADVICE and amount == 0):
        return None
    return refusal(RefusalKind.AMOUNT_DIFFERS, "amount_minor", f"must be the whole amount, {whole}")


def _exceeds(amount: int, remaining: int) -> Refusal | None:
    if amount <= remaining:
        return None
    return refusal(
        RefusalKind.EXCEEDS_REMAINING, "amount_minor", f"{amount} is more than is left, {remaining}"
    )


def _not_found(command: Command) -> Refusal:
    return refusal(
        RefusalKind.ORIGINAL_NOT_FOUND,
        "original_key",
        f"no transaction {command.original_key} of this merchant",
    )


def _wrong_state(original: Record) -> Refusal:
    return refusal(
        RefusalKind.WRONG_STATE, "original_key", f"the original is {State(original.state).name}"
    )
