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
    NOT_OFFERED,
    NOT_PERMITTED,
    ORIGINAL_NOT_FOUND,
    OVER_LIMIT,
)


class RefusalKind(enum.StrEnum):
    """What is wrong, against what the committed ledger says, or what this site offers.

    KEY_REUSED is ALREADY_EXISTS, ORIGINAL_NOT_FOUND is NOT_FOUND and SERVICE_NOT_OFFERED is
    FAILED_PRECONDITION in gRPC; all others are bad input, INVALID_ARGUMENT.
    """

    KEY_REUSED = "key_reused"
    ORIGINAL_NOT_FOUND = "original_not_found"
    ORIGINAL_DIFFERS = "original_differs"
    NOT_ALLOWED = "not_allowed"
    WRONG_STATE = "wrong_state"
    EXCEEDS_REMAINING = "exceeds_remaining"
    AMOUNT_DIFFERS = "amount_differs"
    SERVICE_NOT_OFFERED = "service_not_offered"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: `field` as in proto/settlement.proto, `response_code` ISO 8583 field 39.

    `facts`: names and values that a program may look for, beside the message for people.
    """

    kind: RefusalKind
    field: str
    message: str
    response_code: str
    facts: tuple[tuple[str, str], ...] = ()


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


_REFUSAL_CODE: Final[dict[RefusalKind, str]] = {
    RefusalKind.KEY_REUSED: KEY_REUSED,
    RefusalKind.ORIGINAL_NOT_FOUND: ORIGINAL_NOT_FOUND,
    RefusalKind.SERVICE_NOT_OFFERED: NOT_OFFERED,
}
"""What a terminal hears when it is refused; every other kind is bad input."""


def refusal(
    kind: RefusalKind, field: str, message: str, facts: tuple[tuple[str, str], ...] = ()
) -> Refusal:
    """A refusal with the response code that a terminal hears for its kind."""
    return Refusal(kind, field, message, _REFUSAL_CODE.get(kind, BAD_INPUT), facts)
