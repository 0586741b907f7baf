"""What a rule decides about one command."""

from __future__ import annotations

import msgspec


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What an approved command did. `close_number` 0: no value moved."""

    state: int
    amount_minor: int
    captured_minor: int = 0
    close_number: int = 0
    balance_minor: int | None = None


class Decline(msgspec.Struct, frozen=True, gc=False):
    """Why a command is declined: ISO 8583 field 39 and words; the balance where one is kept."""

    code: str
    reason: str
    balance_minor: int | None = None
