"""Why a request is turned away before the log: it consumes no key and leaves no trace."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from node.ledger.services import (
    BAD_INPUT,
    INVALID_AMOUNT,
    KEY_REUSED,
    NO_ACTION,
    NOT_PERMITTED,
    ORIGINAL_NOT_FOUND,
    OVER_LIMIT,
)


class RefusalKind(enum.StrEnum):
    """What is wrong, against what the committed ledger says.

    KEY_REUSED is ALREADY_EXISTS and ORIGINAL_NOT_FOUND is NOT_FOUND in gRPC; all others are bad
    input, INVALID_ARGUMENT.
    """

    KEY_REUSED = "key_reused"
    ORIGINAL_NOT_FOUND = "original_not_found"
    ORIGINAL_DIFFERS = "original_differs"
    NOT_ALLOWED = "not_allowed"
    WRONG_STATE = "wrong_state"
    EXCEEDS_REMAINING = "exceeds_remaining"
    AMOUNT_DIFFERS = "amount_differs"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: `field` as in proto/settlement.proto, `response_code` ISO 8583 field 39."""

    kind: RefusalKind
    field: str
    message: str
    response_code: str


DECLINE_CODE: Final[dict[RefusalKind, str]] = {
    RefusalKind.KEY_REUSED: KEY_REUSED,
    RefusalKind.ORIGINAL_NOT_FOUND: ORIGINAL_NOT_FOUND,
    RefusalKind.ORIGINAL_DIFFERS: NOT_PERMITTED,
    RefusalKind.NOT_ALLOWED: NOT_PERMITTED,
    RefusalKind.WRONG_STATE: NO_ACTION,
    RefusalKind.EXCEEDS_REMAINING: OVER_LIMIT,
    RefusalKind.AMOUNT_DIFFERS: INVALID_AMOUNT,
}
"""The code of the stored decline when the same is found only at apply. 12 is key reuse alone."""


def refusal(kind: RefusalKind, field: str, message: str) -> Refusal:
    """A refusal with the response code that a terminal hears for its kind."""
    code = DECLINE_CODE[kind] if kind in _OWN_CODE else BAD_INPUT
    return Refusal(kind, field, message, code)


_OWN_CODE: Final = frozenset({RefusalKind.KEY_REUSED, RefusalKind.ORIGINAL_NOT_FOUND})
