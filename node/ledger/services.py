"""What each service allows, the answers a centre gives, and the card tokens that ask for a decline.

| service  | begins with     | then                          | always               |
|----------|-----------------|-------------------------------|----------------------|
| CREDIT   | AUTHORISE, SALE | CAPTURE, VOID, REFUND         | REVERSAL             |
| UNIONPAY | AUTHORISE, SALE | CAPTURE, VOID, REFUND         | REVERSAL             |
| DCC      | AUTHORISE, SALE | CAPTURE, VOID, REFUND         | REVERSAL             |
| J_DEBIT  | SALE            | REFUND                        | REVERSAL             |
| E_MONEY  | SALE, TOP_UP    | REFUND (of a SALE), ADVICE    | REVERSAL, BALANCE    |
| POINT    | EARN, REDEEM    | CANCEL                        | REVERSAL, BALANCE    |
| COUPON   | REDEEM          | CANCEL                        | REVERSAL             |

A card token that ends as below is declined with that response code whenever it begins something
(AUTHORISE, SALE, TOP_UP, EARN, REDEEM) or asks a BALANCE, whatever its account holds:

| token ends with | code | meaning                    |
|-----------------|------|----------------------------|
| -DECLINE05      | 05   | do not honour              |
| -LOST41         | 41   | lost card                  |
| -STOLEN43       | 43   | stolen card                |
| -NOFUNDS51      | 51   | not enough funds           |
| -EXPIRED54      | 54   | expired card               |
| -NOTPERMITTED57 | 57   | not permitted to this card |
| -LIMIT61        | 61   | over the card's limit      |
"""

from __future__ import annotations

from typing import Final

from node.ledger.commands import Service, Type

AMOUNT_MAX_MINOR: Final = 999_999_999_999
"""The largest amount of one transaction, and of one balance: 12 digits, as ISO 8583 field 4."""

SUM_MAX_MINOR: Final = 9_000_000_000_000_000_000
"""The largest open total of a terminal and service: below 2**63, so that no sum can overflow."""

AUTHORISATION_LIFE_MS: Final = 7 * 24 * 3600 * 1000
"""An authorisation not captured within 7 days has expired (our rule; schemes allow 5 to 30)."""

SETTLEMENT_CURRENCY: Final = "JPY"
"""What merchants settle in, for all seven services."""

# ISO 8583 field 39.
APPROVED: Final = "00"
KEY_REUSED: Final = "12"
INVALID_AMOUNT: Final = "13"
NO_ACTION: Final = "21"
ORIGINAL_NOT_FOUND: Final = "25"
BAD_INPUT: Final = "30"
NO_FUNDS: Final = "51"
NOT_PERMITTED: Final = "57"
OVER_LIMIT: Final = "61"
NOT_OFFERED: Final = "91"
TOTALS_DIFFER: Final = "95"

TEST_DECLINES: Final[dict[str, tuple[str, str]]] = {
    "-DECLINE05": ("05", "the issuer does not honour this card"),
    "-LOST41": ("41", "the card is reported lost"),
    "-STOLEN43": ("43", "the card is reported stolen"),
    "-NOFUNDS51": (NO_FUNDS, "not enough funds"),
    "-EXPIRED54": ("54", "the card has expired"),
    "-NOTPERMITTED57": (NOT_PERMITTED, "the transaction is not permitted to this card"),
    "-LIMIT61": (OVER_LIMIT, "over the limit of this card"),
}
"""Ending of a card token -> response code and reason."""

TEST_ENDINGS: Final = tuple(TEST_DECLINES)

_CARD: Final = frozenset(
    {Type.AUTHORISE, Type.CAPTURE, Type.SALE, Type.VOID, Type.REFUND, Type.REVERSAL}
)

ALLOWED: Final[dict[Service, frozenset[Type]]] = {
    Service.CREDIT: _CARD,
    Service.UNIONPAY: _CARD,
    Service.J_DEBIT: frozenset({Type.SALE, Type.REFUND, Type.REVERSAL}),
    Service.E_MONEY: frozenset(
        {Type.SALE, Type.REFUND, Type.TOP_UP, Type.BALANCE, Type.ADVICE, Type.REVERSAL}
    ),
    Service.POINT: frozenset({Type.EARN, Type.REDEEM, Type.CANCEL, Type.BALANCE, Type.REVERSAL}),
    Service.COUPON: frozenset({Type.REDEEM, Type.CANCEL, Type.REVERSAL}),
    Service.DCC: _CARD,
}
"""The table above as sets. CLOSE is a request of its own, for any service."""

BEGINS: Final = frozenset({Type.AUTHORISE, Type.SALE, Type.TOP_UP, Type.EARN, Type.REDEEM})
"""Types that begin a transaction with a life of its own: it can be undone, refunded or captured."""

NAMES_ORIGINAL: Final = frozenset(
    {Type.CAPTURE, Type.VOID, Type.REFUND, Type.REVERSAL, Type.CANCEL, Type.ADVICE}
)
"""Types that act on another transaction, named by `original_key`."""

STORED_VALUE: Final = frozenset({Service.E_MONEY, Service.POINT})
"""Services whose balance the centre keeps, one account a card token; it opens at 0."""

KEEPS_ACCOUNT: Final = STORED_VALUE | {Service.COUPON}
"""Services with a row in the balance table; every request of theirs names its card token."""


def allowed(service: int, kind: int) -> bool:
    """Whether the service has the transaction type; False for numbers that are neither."""
    try:
        return Type(kind) in ALLOWED[Service(service)]
    except (ValueError, KeyError):
        return False


def declined_by_token(card_token: str) -> tuple[str, str] | None:
    """Response code and reason that a test token asks for; None for every other token."""
    if not card_token.endswith(TEST_ENDINGS):
        return None
    ending = card_token[card_token.rindex("-") :]
    return TEST_DECLINES[ending]
