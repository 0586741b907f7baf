"""What a terminal writes on every request: who it is, the business date, its running number."""

from __future__ import annotations

from random import Random
from typing import Final

from loadtest import market
from loadtest.business_date import following
from loadtest.request import Call, Dcc, Request, Service, Total, Type

STAN_MAX: Final = 999_999


class Desk:
    """One terminal's. The last four digits of cards are drawn from `random`."""

    def __init__(self, merchant: str, terminal: str, business_date: int, random: Random) -> None:
        self.merchant = merchant
        self.terminal = terminal
        self._date = business_date
        self._random = random
        self._stan = 0

    def next_date(self) -> None:
        """From now on requests are of the next business date; the running number goes on."""
        self._date = following(self._date)

    def request(
        self, service: Service, kind: Type, amount: int, token: str, dcc: Dcc | None = None
    ) -> Request:
        """A transaction of its own, in minor units of JPY."""
        return Request(
            self.merchant,
            self.terminal,
            self._date,
            stan=self._take_stan(),
            service=service,
            type=kind,
            brand=market.brand(service, token),
            amount_minor=amount,
            card_token=token,
            card_last4=f"{self._random.randrange(10_000):04d}",
            dcc=dcc,
        )

    def follow(self, original: Request, kind: Type, amount: int, *, card_write: int = 0) -> Request:
        """A transaction that refers to an earlier one, such as a refund."""
        return Request(
            self.merchant,
            self.terminal,
            self._date,
            stan=self._take_stan(),
            service=original.service,
            type=kind,
            brand=original.brand,
            amount_minor=amount,
            card_token=original.card_token,
            card_last4=original.card_last4,
            original_key=original.key,
            card_write=card_write,
        )

    def inquiry(self, target: str) -> Request:
        """What became of this key?"""
        return Request(self.merchant, self.terminal, self._date, call=Call.INQUIRE, target=target)

    def interim(self) -> Request:
        """中間計: totals of all services so far."""
        return Request(self.merchant, self.terminal, self._date, call=Call.INTERIM)

    def close(self, expected: tuple[Total, ...] = ()) -> Request:
        """日計: totals of all services, which then begin anew; `expected`: what the clerk typed."""
        return Request(
            self.merchant,
            self.terminal,
            self._date,
            stan=self._take_stan(),
            call=Call.CLOSE,
            expected=expected,
        )

    def _take_stan(self) -> int:
        self._stan = self._stan % STAN_MAX + 1
        return self._stan
