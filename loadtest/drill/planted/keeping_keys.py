"""Faults of idempotency keys: forgotten at a takeover, or answered again in other words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from loadtest.drill.planted.fault import Fault
from loadtest.sim.planted import settling
from loadtest.sim.planted.plant import Change, Plant
from node.core.messages import EPOCH_START
from node.ledger import admission, book
from node.ledger.commands import Command, Receipt
from node.ledger.records import Record
from node.ledger.sheet import Sheet
from node.ledger.storage import LedgerStorage
from node.store import Store

_again: Final = book._again
_answer_again: Final = book.answer_again
_open: Final[Callable[..., Any]] = Store.open


class _Forgetful:
    """Applies entries as the book does, and knows the keys of the present leadership alone."""

    def __init__(self) -> None:
        self._began = 0

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """A store that applies its entries here."""
        return _open(*args, apply_entry=self.apply, **kwargs)

    def apply(self, storage: LedgerStorage, index: int, payload: bytes) -> tuple[Receipt, ...]:
        """Apply one entry; an EpochStart forgets."""
        if payload == EPOCH_START:
            self._began = index
        return book.apply(storage, index, payload)

    def again(self, sheet: Sheet, command: Command, known: Record) -> Receipt:
        """A key that stands in the ledger: settled again, unless in this leadership."""
        if known.receipt.index < self._began:
            return book._settle(sheet, command, int(sheet.rrn[-3:], 16))
        return _again(sheet, command, known)


def _answer_in_other_words(record: Record, fingerprint: bytes) -> Receipt | None:
    first = _answer_again(record, fingerprint)
    if first is None or not first.approval_code:
        return first
    return msgspec.structs.replace(first, approval_code=first.approval_code[::-1])


_forgetful: Final = _Forgetful()

FAULTS: Final = (
    Fault(
        Plant(
            "forgets-keys",
            "C1",
            "a new leadership knows no keys of former ones: a repeated command is settled again",
            (
                Change(Store, "open", staticmethod(_forgetful.open)),
                # Whoever applies the entry says what is known of the key.
                Change(admission, "_admit", settling._admit_again),
                Change(book, "_again", _forgetful.again),
            ),
        ),
        "leader-replaced",
        "double_effect",
    ),
    Fault(
        Plant(
            "replays-in-other-words",
            "C1",
            "the answer to a repeated command bears another approval code than the first one",
            (
                Change(admission, "answer_again", _answer_in_other_words),
                Change(book, "answer_again", _answer_in_other_words),
            ),
        ),
        "business",
        "wrong_replay",
    ),
)
