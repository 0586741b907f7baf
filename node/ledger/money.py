"""Currencies and the holder's side of a DCC payment, in whole numbers only.

Source of codes and exponents: ISO 4217, list one (active funds codes, testing codes and metals left
out: no card is issued in them).
"""

from __future__ import annotations

import re
from typing import Final

from node.ledger.commands import Dcc
from node.ledger.services import AMOUNT_MAX_MINOR, SETTLEMENT_CURRENCY

_CODES: Final[dict[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP "
        "GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD "
        "LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB "
        "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
        "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW "
        "ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}

EXPONENT: Final[dict[str, int]] = {
    code: exponent for exponent, codes in _CODES.items() for code in codes.split()
}
"""Digits below the unit of each currency: JPY 0, USD 2, KWD 3."""

RATE_MAX_CHARACTERS: Final = 16
_RATE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def dcc_problem(amount_minor: int, dcc: Dcc) -> tuple[str, str] | None:
    """The field (within `dcc`) and what is wrong with a holder's offer for `amount_minor` JPY.

    The card amount must be the JPY amount times the rate, in minor units of the card currency, give
    or take one: schemes round in different directions. So an amount stated with another currency's
    exponent does not pass.
    """
    exponent = EXPONENT.get(dcc.card_currency)
    if exponent is None or dcc.card_currency == SETTLEMENT_CURRENCY:
        return "card_currency", f"an ISO 4217 currency other than {SETTLEMENT_CURRENCY}"
    if not 0 < dcc.card_amount_minor <= AMOUNT_MAX_MINOR:
        return "card_amount_minor", f"from 1 to {AMOUNT_MAX_MINOR}"
    if len(dcc.rate) > RATE_MAX_CHARACTERS or not _RATE.fullmatch(dcc.rate):
        return "rate", f"a decimal number of at most {RATE_MAX_CHARACTERS} characters"
    whole, _, fraction = dcc.rate.partition(".")
    rate, scale = int(whole + fraction), 10 ** len(fraction)
    if rate == 0:
        return "rate", "above zero"
    difference = amount_minor * rate * 10**exponent - dcc.card_amount_minor * scale
    if abs(difference) > scale:
        return "card_amount_minor", f"not the amount times the rate in {dcc.card_currency}"
    return None
