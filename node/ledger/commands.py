"""What goes into the log and what comes out: commands, receipts, and their bytes.

A batch of commands is encoded once, by the leader, with the time it stamped (C3); every replica
decodes the same bytes and reaches the same receipts. MessagePack arrays: small, and both ways in C.
The first field of a batch is its format version, so an older log stays readable.

`gc=False`: none of these can refer to itself, and the collector's rounds would cost as much as the
rules.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final

import msgspec

FORMAT_VERSION: Final = 1


class Service(enum.IntEnum):
    """The seven services; numbers as in proto/settlement.proto."""

    CREDIT = 1
    UNIONPAY = 2
    J_DEBIT = 3
    E_MONEY = 4
    POINT = 5
    COUPON = 6
    DCC = 7


class Type(enum.IntEnum):
    """Transaction types; 1 to 12 as in proto/settlement.proto, CLOSE is a request of its own."""

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
    CLOSE = 20


class CardWrite(enum.IntEnum):
    """What an e-money terminal knows of the card write; UNKNOWN is 処理未了."""

    NONE = 0
    UNKNOWN = 1
    WRITTEN = 2
    NOT_WRITTEN = 3


class Outcome(enum.IntEnum):
    """What a stored answer says; numbers as in proto/settlement.proto."""

    APPROVED = 1
    DECLINED = 2
    MISMATCH = 3


class State(enum.IntEnum):
    """Where a transaction stands; numbers as in proto/settlement.proto."""

    AUTHORISED = 1
    CAPTURED = 2
    VOIDED = 3
    REFUNDED = 4
    REVERSED = 5
    EXPIRED = 6
    DECLINED = 7
    UNKNOWN = 8
    NOT_DONE = 9
    DONE = 10


class Dcc(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The holder's side of a DCC payment. `rate` is decimal text, card currency per JPY."""

    card_amount_minor: int
    card_currency: str
    rate: str


class ServiceTotal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One service's totals since the last close; amounts in minor units."""

    service: int
    count: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    refunded_minor: int = 0


class Command(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One checked request. `service` 0 is "all services", for CLOSE only.

    `expected` is a CLOSE's own totals; None when the terminal sent none.
    """

    key: str
    fingerprint: bytes
    merchant: str
    terminal: str
    service: int
    brand: str
    type: int
    amount_minor: int
    currency: str
    business_date: int
    stan: int
    card_token: str = ""
    card_last4: str = ""
    original_key: str = ""
    dcc: Dcc | None = None
    card_write: int = 0
    memo: str = ""
    expected: tuple[ServiceTotal, ...] | None = None


class Receipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stored answer to a command. `totals` are a CLOSE's own."""

    key: str
    fingerprint: bytes
    outcome: int
    response_code: str
    rrn: str
    approval_code: str
    state: int
    balance_minor: int | None
    settled_at_ms: int
    index: int
    reason: str
    replayed: bool = False
    totals: tuple[ServiceTotal, ...] = ()
    expected: tuple[ServiceTotal, ...] = ()


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The payload of one log entry."""

    format_version: int
    stamp_ms: int
    commands: tuple[Command, ...]


class PayloadError(ValueError):
    """A log payload this version cannot read; applying stops rather than guesses."""


MESSAGE_CLASS: Final[dict[Type, str]] = {
    # ISO 8583: 01xx authorisation, 02xx financial, 04xx reversal, 05xx reconciliation.
    Type.AUTHORISE: "0100",
    Type.CAPTURE: "0220",
    Type.SALE: "0200",
    Type.VOID: "0420",
    Type.REFUND: "0200",
    Type.REVERSAL: "0400",
    Type.TOP_UP: "0200",
    Type.BALANCE: "0100",
    Type.EARN: "0200",
    Type.REDEEM: "0200",
    Type.CANCEL: "0420",
    Type.ADVICE: "0220",
    Type.CLOSE: "0500",
}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def idempotency_key(terminal: str, business_date: int, stan: int, kind: Type) -> str:
    """The key of a request: terminal, business date, STAN and message class, joined by dots."""
    return f"{terminal}.{business_date:08d}.{stan:06d}.{MESSAGE_CLASS[kind]}"


def fingerprint(*content: object) -> bytes:
    """16 bytes of SHA-256 over what matters in a request: equal content, equal fingerprint (C1)."""
    return hashlib.sha256(_encoder.encode(content)).digest()[:16]


def encode_batch(stamp_ms: int, commands: tuple[Command, ...]) -> bytes:
    """The payload of one entry. `stamp_ms` is Unix time in milliseconds, the leader's (C3)."""
    return _encoder.encode(Batch(FORMAT_VERSION, stamp_ms, commands))


def decode_batch(payload: bytes) -> Batch:
    """The inverse of `encode_batch`. Raises `PayloadError` on unknown versions and other bytes."""
    try:
        batch = _decoder.decode(payload)
    except msgspec.MsgspecError as problem:
        raise PayloadError(f"log payload cannot be read: {problem}") from problem
    if batch.format_version != FORMAT_VERSION:
        raise PayloadError(
            f"log payload has format version {batch.format_version}, "
            f"this node reads {FORMAT_VERSION}: upgrade it before it joins"
        )
    return batch
