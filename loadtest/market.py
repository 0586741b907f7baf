"""What is bought and paid with: typical amounts, brands, cards, and exchange rates."""

from __future__ import annotations

import random
from typing import Final

from loadtest.request import Dcc, Service

DECLINE_ENDINGS: Final = ("DECLINE05", "NOFUNDS51", "EXPIRED54", "LIMIT61")
"""Documented endings of card tokens that the centre declines, with the response code at the end."""

_BRANDS: Final[dict[Service, tuple[str, ...]]] = {
    Service.CREDIT: ("VISA", "VISA", "JCB", "JCB", "MASTERCARD", "AMEX", "DINERS"),
    Service.UNIONPAY: ("UNIONPAY",),
    Service.J_DEBIT: ("BANK-0001", "BANK-0005", "BANK-0009", "BANK-9900"),
    Service.E_MONEY: ("TRANSIT-IC", "TRANSIT-IC", "EDY", "NANACO", "WAON"),
    Service.POINT: ("POINT-A", "POINT-B"),
    Service.COUPON: ("COUPON-SPRING", "COUPON-APP"),
    Service.DCC: ("VISA", "MASTERCARD"),
}
# Typical amounts in yen (or points): the median, and the bound.
_AMOUNTS: Final[dict[Service, tuple[int, int]]] = {
    Service.CREDIT: (4200, 300_000),
    Service.UNIONPAY: (9800, 500_000),
    Service.J_DEBIT: (3600, 100_000),
    Service.E_MONEY: (540, 20_000),
    Service.POINT: (120, 5_000),
    Service.COUPON: (300, 1_000),
    Service.DCC: (12_000, 300_000),
}
# Card currency, its units per JPY, and its minor units in one JPY.
_RATES: Final = (("USD", "0.00667", 0.667), ("EUR", "0.00617", 0.617), ("KRW", "9.09", 9.09))


def amount(draw: random.Random, service: Service) -> int:
    """A purchase in minor units of JPY: mostly small, now and then large."""
    median, most = _AMOUNTS[service]
    return max(1, min(most, round(median * draw.lognormvariate(0.0, 0.8))))


def brand(service: Service, token: str) -> str:
    """The scheme or issuer of a card: always the same for the same card."""
    brands = _BRANDS[service]
    return brands[sum(token.encode()) % len(brands)]


def token(draw: random.Random, *, declined: bool = False) -> str:
    """A card nobody has seen before; `declined`: one that the centre will decline."""
    card = f"tok-{draw.getrandbits(40):010x}"
    return f"{card}-{draw.choice(DECLINE_ENDINGS)}" if declined else card


def offer(draw: random.Random, amount_minor: int) -> Dcc:
    """The holder's side of a DCC sale of so many JPY."""
    currency, rate, minor_per_yen = draw.choice(_RATES)
    return Dcc(max(1, round(amount_minor * minor_per_yen)), currency, rate)
