"""Drawn days at a few tills, small enough that commands collide often.

A day comes from a seed and a length, and a shorter day of the same seed is its beginning: so a
failure shrinks to the command that shows it.
"""

from __future__ import annotations

import random
from typing import Final

from hypothesis import strategies as st

from node.ledger import book
from node.ledger.commands import (
    CardWrite,
    Command,
    Receipt,
    Service,
    ServiceTotal,
    Type,
    encode_batch,
    fingerprint,
    idempotency_key,
)
from node.ledger.memory import MemoryStorage
from node.ledger.services import ALLOWED, AUTHORISATION_LIFE_MS, BEGINS, NAMES_ORIGINAL
from tests.node.ledger.desk import DATE, START_MS

TERMINALS: Final = ("T1", "T2")
BEGINNINGS: Final = [
    (service, kind)
    for service, kinds in ALLOWED.items()
    for kind in sorted(kinds & (BEGINS | {Type.BALANCE}))
    for _ in range(3 if service is Service.E_MONEY else 1)
]
Batches = list[tuple[int, list[Command]]]
"""Entries of a log: each a stamp and its commands."""


class _Day:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stans = dict.fromkeys(TERMINALS, 0)
        self.commands: list[Command] = []
        self.begun: list[Command] = []

    def next(self) -> Command:
        chance = self.random.random()
        if self.commands and chance < 0.06:
            return self.random.choice(self.commands)
        if self.begun and chance < 0.55:
            command = self.act(self.random.choice(self.begun[-8:]))
        elif self.commands and chance < 0.59:
            command = self.act(self.random.choice(self.commands))
        elif chance < 0.65:
            command = self.act_on_what_may_come()
        elif chance < 0.69:
            expected = self.random.choice((None, None, (ServiceTotal(1, 1, 3),)))
            service = self.random.choice((0, 0, self.random.randint(1, 7)))
            command = self.make(self.terminal(), service, Type.CLOSE, 0, "", "", expected)
        else:
            command = self.begin()
        self.commands.append(command)
        if command.type in BEGINS:
            self.begun.append(command)
        return command

    def terminal(self) -> str:
        return self.random.choice(TERMINALS)

    def begin(self) -> Command:
        service, kind = self.random.choice(BEGINNINGS)
        most = 12 if kind in (Type.TOP_UP, Type.EARN) else 4
        amount = 0 if kind == Type.BALANCE else self.random.randint(1, most)
        return self.make(self.terminal(), service, kind, amount, self.token(service), "")

    def act(self, original: Command) -> Command:
        service = Service(original.service or 1)
        kind = self.random.choice(sorted(ALLOWED[service] & NAMES_ORIGINAL))
        terminal = original.terminal if self.random.random() < 0.8 else self.terminal()
        token = original.card_token if self.random.random() < 0.95 else self.token(service)
        exact = self.random.random() < 0.8 and kind != Type.REFUND
        amount = original.amount_minor if exact else self.random.randint(1, 3)
        return self.make(terminal, service, kind, max(1, amount), token, original.key)

    def act_on_what_may_come(self) -> Command:
        service, kind = self.random.choice(BEGINNINGS)
        terminal = self.terminal()
        stan = self.stans[terminal] + self.random.randint(2, 4)
        key = idempotency_key(terminal, DATE, stan, kind)
        early = Type.REVERSAL
        if self.random.random() < 0.2:
            early = self.random.choice(sorted(ALLOWED[service] & NAMES_ORIGINAL))
        return self.make(terminal, service, early, 1, self.token(service), key)

    def token(self, service: Service) -> str:
        if self.random.random() < 0.05:
            return "tok-NOFUNDS51"
        return self.random.choice(("tok-a", "tok-b"))

    def make(
        self,
        terminal: str,
        service: int,
        kind: Type,
        amount: int,
        token: str,
        original_key: str,
        expected: tuple[ServiceTotal, ...] | None = None,
    ) -> Command:
        # Now and then a terminal forgets to count on, and a key comes again with other content.
        self.stans[terminal] += self.random.random() < 0.95
        stan = max(1, self.stans[terminal])
        write = self.random.choice(list(CardWrite)[1:]) if kind == Type.ADVICE else CardWrite.NONE
        return Command(
            key=idempotency_key(terminal, DATE, stan, kind),
            fingerprint=fingerprint(service, kind, amount, token, original_key, write, expected),
            merchant="SHOP-1",
            terminal=terminal,
            service=int(service),
            brand="",
            type=int(kind),
            amount_minor=amount,
            currency="JPY",
            business_date=DATE,
            stan=stan,
            card_token=token,
            original_key=original_key,
            card_write=int(write),
            expected=expected,
        )


def day(seed: int, length: int) -> Batches:
    """`length` commands in entries of 1 to 8; stamps now and then leap over a hold's life."""
    drawn = _Day(seed)
    stamp = START_MS
    batches: Batches = []
    room = 0
    for _ in range(length):
        if not room:
            stamp += drawn.random.choice((1, 1, 1, 1, AUTHORISATION_LIFE_MS))
            batches.append((stamp, []))
            room = drawn.random.randint(1, 8)
        batches[-1][1].append(drawn.next())
        room -= 1
    return batches


def days() -> st.SearchStrategy[Batches]:
    """Days of up to 100 commands."""
    return st.builds(day, seed=st.integers(0, 2**32 - 1), length=st.integers(1, 100))


def run(batches: Batches) -> tuple[MemoryStorage, list[tuple[Command, Receipt]]]:
    """The ledger after the batches, and every answer."""
    storage = MemoryStorage()
    heard: list[tuple[Command, Receipt]] = []
    for index, (stamp, batch) in enumerate(batches, 1):
        receipts = book.apply(storage, index, encode_batch(stamp, tuple(batch)))
        heard.extend(zip(batch, receipts, strict=True))
    return storage, heard
