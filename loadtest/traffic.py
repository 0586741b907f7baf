"""A believable day at the tills: what each terminal asks, in order, drawn from one seed.

The sequence of a terminal depends on nothing but its seed and number: not on answers, not on time,
but for the slot at which the business date ends, where that is told. So two runs ask the same, and
a void or refund refers to a sale that the plan means to succeed. A terminal repeats some keys it
has already asked (an answer lost on its way looks like that), closes its day now and then, and
inquires after its own sales.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadtest import market
from loadtest.desk import Desk
from loadtest.request import CardWrite, Dcc, Request, Service, Total, Type

_DECLINED_SHARE: Final = 0.015


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do at a till. `again`: the key was asked before, the answer must be the same."""

    request: Request
    again: bool = False


@dataclass(slots=True)
class _Sale:
    """An earlier sale as the plan sees it; `left_minor` is what may still be given back."""

    request: Request
    left_minor: int

    @property
    def whole(self) -> bool:
        return self.left_minor == self.request.amount_minor


class Till:
    """One terminal's plan. `tag` sets a run apart from earlier ones on the same ledger.

    Terminal ids are "T", the tag and four digits, so a tag has up to 8 of A-Z a-z 0-9.
    """

    def __init__(self, *, seed: int, number: int, tag: str, business_date: int) -> None:
        if len(tag) > 8 or not tag.isalnum() or not 0 <= number <= 9999:
            raise ValueError(f"tag {tag!r} and number {number} do not make a terminal id")
        self.terminal = f"T{tag}{number:04d}"
        self._random = random.Random(f"traffic/{seed}/{number}")
        self._desk = Desk(f"SHOP-{number // 4:04d}", self.terminal, business_date, self._random)
        self._sales: list[_Sale] = []
        self._authorised: list[Request] = []
        self._cancellable: list[Request] = []
        self._asked: list[Request] = []
        self._purses: dict[tuple[Service, str], int] = {}
        self._next: list[Action] = []
        # How the day is made up, in parts of a thousand.
        self._mix: tuple[tuple[Callable[[], Request | None], int], ...] = (
            (lambda: self._sale(Service.CREDIT), 300),
            (lambda: self._sale(Service.UNIONPAY), 55),
            (lambda: self._sale(Service.J_DEBIT), 60),
            (lambda: self._sale(Service.DCC), 28),
            (self._authorise, 80),
            (self._capture, 60),
            (self._spend_e_money, 175),
            (lambda: self._put_in(Service.E_MONEY, Type.TOP_UP), 45),
            (self._unsure, 8),
            (lambda: self._put_in(Service.POINT, Type.EARN), 70),
            (self._redeem_points, 25),
            (self._redeem_coupon, 34),
            (self._balance, 12),
            (self._void, 12),
            (self._refund, 12),
            (self._cancel, 4),
            (self._reverse, 3),
            (self._desk.interim, 3),
            (self._close, 5),
            (self._inquire, 8),
        )
        self._makers = [make for make, _ in self._mix]
        self._weights = [weight for _, weight in self._mix]

    def next(self) -> Action:
        """The next thing to do at this terminal; there is always one."""
        if self._next:
            return self._next.pop(0)
        if self._asked and self._random.random() < 0.02:
            return Action(self._random.choice(self._asked), again=True)
        make = self._random.choices(self._makers, self._weights)[0]
        request = make() or self._sale(Service.CREDIT)
        if request.key:
            self._asked = [*self._asked[-30:], request]
        return Action(request)

    def roll_over(self) -> None:
        """The business date ends: next comes a close of all services, and then the new date.

        What the clerk was in the middle of comes first. STANs go on, and yesterday's sales can
        still be refunded.
        """
        self._next.append(Action(self._desk.close()))
        self._desk.next_date()

    # --- cards -----------------------------------------------------------------------------------

    def _sale(self, service: Service) -> Request:
        amount = market.amount(self._random, service)
        declined = self._random.random() < _DECLINED_SHARE
        dcc = market.offer(self._random, amount) if service is Service.DCC else None
        request = self._request(service, Type.SALE, amount, declined=declined, dcc=dcc)
        if not declined:
            self._sales = [*self._sales[-40:], _Sale(request, amount)]
        return request

    def _authorise(self) -> Request:
        declined = self._random.random() < _DECLINED_SHARE
        request = self._request(
            Service.CREDIT,
            Type.AUTHORISE,
            market.amount(self._random, Service.CREDIT),
            declined=declined,
        )
        if not declined:
            self._authorised = [*self._authorised[-20:], request]
        return request

    def _capture(self) -> Request | None:
        if not self._authorised:
            return None
        original = self._authorised.pop(0)
        # A hotel charges what was used, never more than was authorised.
        amount = (
            original.amount_minor
            if self._random.random() < 0.8
            else max(1, original.amount_minor * 9 // 10)
        )
        return self._desk.follow(original, Type.CAPTURE, amount)

    def _void(self) -> Request | None:
        whole = [sale for sale in self._sales if sale.whole and _voidable(sale.request)]
        if not whole:
            return None
        sale = self._random.choice(whole)
        self._sales.remove(sale)
        return self._desk.follow(sale.request, Type.VOID, sale.request.amount_minor)

    def _refund(self) -> Request | None:
        open_ = [sale for sale in self._sales if sale.left_minor > 0]
        if not open_:
            return None
        sale = self._random.choice(open_)
        part = self._random.choice((1.0, 1.0, 0.5, 0.3))
        amount = max(1, int(sale.left_minor * part))
        sale.left_minor -= amount
        self._give(sale.request, amount)
        return self._desk.follow(sale.request, Type.REFUND, amount)

    def _reverse(self) -> Request | None:
        if not self._authorised:
            return None
        original = self._authorised.pop(0)
        return self._desk.follow(original, Type.REVERSAL, original.amount_minor)

    # --- stored value ----------------------------------------------------------------------------

    def _put_in(self, service: Service, kind: Type) -> Request:
        token = self._holder(service)
        steps = (1000, 2000, 3000, 5000) if service is Service.E_MONEY else (12, 48, 120, 300)
        amount = self._random.choice(steps)
        purse = (service, token)
        self._purses[purse] = self._purses.get(purse, 0) + amount
        return self._request(service, kind, amount, token=token)

    def _spend_e_money(self) -> Request:
        token = self._holder(Service.E_MONEY)
        amount = market.amount(self._random, Service.E_MONEY)
        purse = (Service.E_MONEY, token)
        if self._purses.get(purse, 0) < amount and self._random.random() < 0.97:
            return self._put_in(Service.E_MONEY, Type.TOP_UP)
        request = self._request(Service.E_MONEY, Type.SALE, amount, token=token)
        if self._purses.get(purse, 0) >= amount:  # else: declined, not enough value
            self._purses[purse] -= amount
            self._sales = [*self._sales[-40:], _Sale(request, amount)]
        return request

    def _unsure(self) -> Request | None:
        """処理未了: the card left the reader early; its next touch tells what was written."""
        sale = self._spend_e_money()
        if not self._sales or self._sales[-1].request is not sale:
            return sale
        self._sales.pop()
        written = CardWrite.WRITTEN if self._random.random() < 0.6 else CardWrite.NOT_WRITTEN
        if written is CardWrite.NOT_WRITTEN:
            self._give(sale, sale.amount_minor)
        for state in (CardWrite.UNKNOWN, written):
            advice = self._desk.follow(sale, Type.ADVICE, 0, card_write=state)
            self._next.append(Action(advice))
        return sale

    def _redeem_points(self) -> Request | None:
        token = self._holder(Service.POINT)
        purse = (Service.POINT, token)
        held = self._purses.get(purse, 0)
        if held < 2:
            return None
        amount = self._random.randint(1, held)
        self._purses[purse] = held - amount
        request = self._request(Service.POINT, Type.REDEEM, amount, token=token)
        self._cancellable = [*self._cancellable[-20:], request]
        return request

    def _redeem_coupon(self) -> Request:
        amount = market.amount(self._random, Service.COUPON)
        # A coupon is used once: another run with the same seed must bring others.
        coupon = f"{self.terminal}-{market.token(self._random)}"
        request = self._request(Service.COUPON, Type.REDEEM, amount, token=coupon)
        self._cancellable = [*self._cancellable[-20:], request]
        return request

    def _cancel(self) -> Request | None:
        if not self._cancellable:
            return None
        original = self._cancellable.pop(self._random.randrange(len(self._cancellable)))
        self._give(original, original.amount_minor)
        return self._desk.follow(original, Type.CANCEL, original.amount_minor)

    def _balance(self) -> Request:
        service = self._random.choice((Service.E_MONEY, Service.POINT))
        return self._request(service, Type.BALANCE, 0, token=self._holder(service))

    def _give(self, original: Request, amount: int) -> None:
        """Stored value that went out comes back to its purse, if the service keeps one."""
        purse = (Service(original.service), original.card_token)
        if purse in self._purses:
            self._purses[purse] += amount

    # --- the clerk's own -------------------------------------------------------------------------

    def _inquire(self) -> Request | None:
        if not self._asked:
            return None
        target = self._random.choice(self._asked).key
        return self._desk.inquiry(target)

    def _close(self) -> Request:
        # One clerk in three types a wrong total: the centre answers MISMATCH, resets nothing.
        wrong = self._random.random() < 0.33
        return self._desk.close(
            (Total(Service.CREDIT, count=1, captured_minor=1),) if wrong else ()
        )

    # --- cards of customers ----------------------------------------------------------------------

    def _request(
        self,
        service: Service,
        kind: Type,
        amount: int,
        *,
        token: str = "",
        declined: bool = False,
        dcc: Dcc | None = None,
    ) -> Request:
        token = token or market.token(self._random, declined=declined)
        return self._desk.request(service, kind, amount, token, dcc)

    def _holder(self, service: Service) -> str:
        """One of the shop's regular customers."""
        kind = "em" if service is Service.E_MONEY else "pt"
        return f"{kind}-{self.terminal}-{self._random.randrange(12):02d}"


def _voidable(request: Request) -> bool:
    return request.service in (Service.CREDIT, Service.UNIONPAY, Service.DCC)
