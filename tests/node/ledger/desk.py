"""A shop's desk for tests: asks the ledger one thing after another, as the front and log would."""

from __future__ import annotations

from node.ledger import book
from node.ledger.admission import admit
from node.ledger.commands import (
    CardWrite,
    Command,
    Dcc,
    Outcome,
    Receipt,
    Service,
    ServiceTotal,
    State,
    Type,
    encode_batch,
    fingerprint,
    idempotency_key,
)
from node.ledger.memory import MemoryStorage
from node.ledger.queries import Inquiry, inquire, interim
from node.ledger.refusals import Refusal
from node.ledger.verify import verify

DATE = 20261123
START_MS = 1_795_395_600_000
OFFER = Dcc(667, "USD", "0.00667")
"""1,000 JPY in dollars, within a cent."""


class Desk:
    """A ledger in memory and the commands it is asked; every command gets the next STAN."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.index = 0
        self.now_ms = START_MS
        self.stan = 0
        self.log: list[tuple[int, bytes]] = []

    def command(
        self,
        service: Service | int,
        kind: Type,
        amount: int | None = None,
        *,
        of: str = "",
        terminal: str = "T1",
        merchant: str = "SHOP-1",
        token: str = "tok-one",
        stan: int | None = None,
        write: CardWrite = CardWrite.NONE,
        dcc: Dcc | None = None,
        expected: tuple[ServiceTotal, ...] | None = None,
    ) -> Command:
        """A command that has passed the front; 1,000 yen unless told otherwise."""
        if stan is None:
            self.stan += 1
            stan = self.stan
        if amount is None:
            amount = 0 if kind in (Type.BALANCE, Type.ADVICE, Type.CLOSE) else 1000
        if dcc is None and service == Service.DCC and kind in (Type.SALE, Type.AUTHORISE):
            dcc = OFFER
        return Command(
            key=idempotency_key(terminal, DATE, stan, kind),
            fingerprint=fingerprint(merchant, service, kind, amount, token, of, write, dcc),
            merchant=merchant,
            terminal=terminal,
            service=int(service),
            brand="",
            type=int(kind),
            amount_minor=amount,
            currency="JPY",
            business_date=DATE,
            stan=stan,
            card_token=token,
            original_key=of,
            dcc=dcc,
            card_write=int(write),
            expected=expected,
        )

    def apply(self, *commands: Command) -> tuple[Receipt, ...]:
        """Put the commands in one entry of the log and apply it."""
        self.index += 1
        self.now_ms += 1
        payload = encode_batch(self.now_ms, commands)
        self.log.append((self.index, payload))
        return book.apply(self.storage, self.index, payload)

    def do(
        self,
        service: Service | int,
        kind: Type,
        amount: int | None = None,
        *,
        of: str = "",
        terminal: str = "T1",
        merchant: str = "SHOP-1",
        token: str = "tok-one",
        stan: int | None = None,
        write: CardWrite = CardWrite.NONE,
        dcc: Dcc | None = None,
        expected: tuple[ServiceTotal, ...] | None = None,
    ) -> Receipt:
        """One command in an entry of its own, past admission."""
        (receipt,) = self.apply(
            self.command(
                service,
                kind,
                amount,
                of=of,
                terminal=terminal,
                merchant=merchant,
                token=token,
                stan=stan,
                write=write,
                dcc=dcc,
                expected=expected,
            )
        )
        return receipt

    def admit(self, command: Command) -> Receipt | Refusal | None:
        """What admission says to one command."""
        (answer,) = admit(self.storage, (command,))
        return answer

    def inquire(self, key: str) -> Inquiry:
        """What became of a key that the ledger knows."""
        inquiry = inquire(self.storage, key)
        assert inquiry is not None, f"{key} is not in the ledger"
        return inquiry

    def state(self, key: str) -> State:
        """Where a known key stands."""
        return State(self.inquire(key).state_now)

    def open(self, service: Service | int = 0, terminal: str = "T1") -> tuple[ServiceTotal, ...]:
        """The interim totals of a terminal."""
        return interim(self.storage, terminal, int(service))

    def balance(self, service: Service, token: str = "tok-one") -> int:
        """What an account holds, asked as a terminal asks it."""
        receipt = approved(self.do(service, Type.BALANCE, token=token))
        assert receipt.balance_minor is not None
        return receipt.balance_minor

    def adds_up(self) -> None:
        """Fail unless the ledger adds up."""
        assert verify(self.storage) == []


def approved(receipt: Receipt) -> Receipt:
    """The receipt, which must be an approval."""
    assert (receipt.outcome, receipt.response_code) == (Outcome.APPROVED, "00"), receipt
    return receipt


def declined(receipt: Receipt, code: str) -> Receipt:
    """The receipt, which must be a decline with `code`."""
    assert (receipt.outcome, receipt.response_code) == (Outcome.DECLINED, code), receipt
    return receipt
