"""What a terminal asks of the centre, in the load test's own words.

Numbers are those of proto/settlement.proto, and the idempotency key is derived here a second time:
what judges the node must not borrow the node's arithmetic.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec


class Service(enum.IntEnum):
    """The seven services; ALL is for closes and interim totals."""

    ALL = 0
    CREDIT = 1
    UNIONPAY = 2
    J_DEBIT = 3
    E_MONEY = 4
    POINT = 5
    COUPON = 6
    DCC = 7


class Type(enum.IntEnum):
    """Transaction types; NONE where a request is not a transaction."""

    NONE = 0
    AUTHORISE = 1
    CAPTURE = 2
    SALE = 3
    VOID = 4
    REFUND = 5
    REVERSAL = 6
    TOP_UP = 7
    BALANCE = 8
    EARN = 9
    REDEEM = 10
    CANCEL = 11
    ADVICE = 12


class CardWrite(enum.IntEnum):
    """What an e-money terminal knows of the card write; UNKNOWN is 処理未了."""

    NONE = 0
    UNKNOWN = 1
    WRITTEN = 2
    NOT_WRITTEN = 3


class Call(enum.StrEnum):
    """Which of the centre's calls carries the request."""

    SETTLE = "settle"
    CLOSE = "close"
    INTERIM = "interim"
    INQUIRE = "inquire"


SERVICE_NAMES: Final[dict[int, tuple[str, str]]] = {
    Service.ALL: ("all services", "全サービス"),
    Service.CREDIT: ("credit card", "クレジットカード"),
    Service.UNIONPAY: ("UnionPay", "銀聯"),
    Service.J_DEBIT: ("J-Debit", "J-Debit"),
    Service.E_MONEY: ("electronic money", "電子マネー"),
    Service.POINT: ("points", "ポイント"),
    Service.COUPON: ("coupons", "クーポン"),
    Service.DCC: ("card in the holder's currency", "外貨建て"),
}

TYPE_NAMES: Final[dict[int, tuple[str, str]]] = {
    Type.AUTHORISE: ("authorisation", "オーソリ"),
    Type.CAPTURE: ("capture", "売上確定"),
    Type.SALE: ("sale", "売上"),
    Type.VOID: ("void", "取消"),
    Type.REFUND: ("refund", "返品"),
    Type.REVERSAL: ("reversal", "障害取消"),
    Type.TOP_UP: ("top-up", "チャージ"),
    Type.BALANCE: ("balance", "残高照会"),
    Type.EARN: ("points earned", "ポイント付与"),
    Type.REDEEM: ("redemption", "利用"),
    Type.CANCEL: ("cancellation", "取消"),
    Type.ADVICE: ("card write advice", "処理結果通知"),
}

# ISO 8583: 01xx authorisation, 02xx financial, 04xx reversal, 05xx reconciliation.
_MESSAGE_CLASS: Final[dict[int, str]] = {
    Type.AUTHORISE: "0100",
    Type.BALANCE: "0100",
    Type.SALE: "0200",
    Type.REFUND: "0200",
    Type.TOP_UP: "0200",
    Type.EARN: "0200",
    Type.REDEEM: "0200",
    Type.CAPTURE: "0220",
    Type.ADVICE: "0220",
    Type.REVERSAL: "0400",
    Type.VOID: "0420",
    Type.CANCEL: "0420",
}
_CLOSE_CLASS: Final = "0500"


class Dcc(msgspec.Struct, frozen=True):
    """The holder's side of a DCC payment; `rate` is decimal text, card currency per JPY."""

    card_amount_minor: int
    card_currency: str
    rate: str


class Total(msgspec.Struct, frozen=True):
    """A terminal's own totals of one service, sent with a close to be compared."""

    service: int
    count: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    refunded_minor: int = 0


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request, whole: what is written down before it is sent and repeated until it is heard.

    INTERIM and INQUIRE only read: they have no key of their own (INQUIRE names one in `target`).
    """

    merchant: str
    terminal: str
    business_date: int
    stan: int = 0
    call: Call = Call.SETTLE
    service: int = 0
    type: int = 0
    brand: str = ""
    amount_minor: int = 0
    currency: str = "JPY"
    card_token: str = ""
    card_last4: str = ""
    original_key: str = ""
    dcc: Dcc | None = None
    card_write: int = 0
    memo: str = ""
    expected: tuple[Total, ...] = ()
    target: str = ""

    @property
    def key(self) -> str:
        """The idempotency key; empty for calls that only read."""
        if self.call is Call.SETTLE:
            return derive_key(self.terminal, self.business_date, self.stan, self.type)
        if self.call is Call.CLOSE:
            return f"{self.terminal}.{self.business_date:08d}.{self.stan:06d}.{_CLOSE_CLASS}"
        return ""

    @property
    def label(self) -> str:
        """A short name for statistics, for example "CREDIT SALE"."""
        service = Service(self.service).name
        return f"{service} {Type(self.type).name if self.type else self.call.value.upper()}"


def derive_key(terminal: str, business_date: int, stan: int, type_: int) -> str:
    """Terminal, business date (YYYYMMDD), STAN and message class of the type, joined by dots."""
    return f"{terminal}.{business_date:08d}.{stan:06d}.{_MESSAGE_CLASS[type_]}"
