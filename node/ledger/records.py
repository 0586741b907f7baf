"""The rows the ledger keeps, and their bytes: MessagePack arrays, frozen like what they say.

A row changes only by being written again whole. New fields go to the end, with a default, so that
rows of older versions stay readable.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.commands import Dcc, Receipt, ServiceTotal


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Table RECORD: what became of one idempotency key, and what may still be done with it.

    `receipt` is the first answer, word for word; `state` is where the transaction stands now.
    `amount_minor` is what the act moved or held. `close_number` is the close of the booking
    terminal and service that the act counts in, 0 where no value moved: so it is in exactly one.
    `type` 0 and an empty fingerprint in the receipt: a tombstone, left by a reversal that came
    before its original.
    """

    receipt: Receipt
    merchant: str
    service: int
    type: int
    state: int
    amount_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0
    close_number: int = 0
    card_token: str = ""
    original_key: str = ""
    card_write: int = 0
    dcc: Dcc | None = None
    brand: str = ""


class Account(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Table BALANCE: stored value of a card token, or, for a coupon, the key that redeemed it."""

    balance_minor: int = 0
    used_by: str = ""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One service of a terminal, open since its last close. `close_number`: the next close's."""

    service: int
    close_number: int = 1
    count: int = 0
    captured_minor: int = 0
    voided_minor: int = 0
    refunded_minor: int = 0

    def total(self) -> ServiceTotal:
        """The same sums, as a terminal hears them."""
        return ServiceTotal(
            self.service, self.count, self.captured_minor, self.voided_minor, self.refunded_minor
        )


Till = dict[int, Line]
"""Table TOTAL: the lines of one terminal, by service."""


class Closing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Table CLOSING: one service's totals as the close `key` took them."""

    terminal: str
    close_number: int
    total: ServiceTotal
    key: str
    settled_at_ms: int


_encoder: Final = msgspec.msgpack.Encoder()
encode = _encoder.encode
"""The bytes of any row above."""

decode_record = msgspec.msgpack.Decoder(Record).decode
decode_account = msgspec.msgpack.Decoder(Account).decode
decode_till = msgspec.msgpack.Decoder(Till).decode
decode_closing = msgspec.msgpack.Decoder(Closing).decode


def account_key(service: int, card_token: str) -> str:
    """The row of a stored-value account or coupon in table BALANCE."""
    return f"{service}:{card_token}"


def closing_key(terminal: str, service: int, close_number: int) -> str:
    """The row of one close of one service in table CLOSING."""
    return f"{terminal}.{service}.{close_number:08d}"


def terminal_of(key: str) -> str:
    """The terminal that an idempotency key names."""
    return key.partition(".")[0]
