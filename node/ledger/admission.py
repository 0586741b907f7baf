"""What the committed ledger already says about a request, before it is put in the log."""

from __future__ import annotations

from collections.abc import Sequence

from node.ledger.book import answer_again
from node.ledger.commands import Command, Receipt, Type
from node.ledger.originals import examine
from node.ledger.records import decode_record
from node.ledger.refusals import Refusal as Refusal
from node.ledger.refusals import RefusalKind as RefusalKind
from node.ledger.refusals import refusal
from node.ledger.rules import RULES
from node.ledger.services import NAMES_ORIGINAL
from node.ledger.storage import LedgerStorage, Table


def admit(storage: LedgerStorage, commands: Sequence[Command]) -> list[Receipt | Refusal | None]:
    """One answer a command, in order; one `get` for all.

    A `Receipt`: the key is settled, this is its first answer (`replayed` set). A `Refusal`: it
    cannot be, nothing of it goes in the log. None: propose it; apply judges again, and there it is
    final. Funds, coupons, test tokens and expiry are apply's alone: they are stored declines.
    """
    keys = {command.key for command in commands}
    keys.update(command.original_key for command in commands if command.original_key)
    records = storage.get(Table.RECORD, keys)
    return [_admit(command, records) for command in commands]


def _admit(command: Command, records: dict[str, bytes]) -> Receipt | Refusal | None:
    known = records.get(command.key)
    if known is not None:
        return answer_again(decode_record(known), command.fingerprint) or refusal(
            RefusalKind.KEY_REUSED, "stan", "the key was used before with other content"
        )
    if command.type == Type.CLOSE:
        return None
    if (command.service, command.type) not in RULES:
        return refusal(
            RefusalKind.NOT_ALLOWED, "type", "the service does not have this transaction type"
        )
    if command.type not in NAMES_ORIGINAL:
        return None
    original = records.get(command.original_key)
    return examine(command, None if original is None else decode_record(original))
