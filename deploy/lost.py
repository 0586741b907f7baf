"""The list of what a promotion with loss gives up, from a replica that has it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from node.ledger.commands import Outcome
from node.ledger.services import SETTLEMENT_CURRENCY


@dataclass(frozen=True, slots=True)
class Lost:
    """Settlements above `after_index`: how many, the approved ones among them with their amounts by
    currency (in minor units), and the file with every one of them, one JSON object a line.

    `possible`: requests at the end of that replica's log of which it cannot know whether they were
    settled; they are in the file, and in no sum.
    """

    after_index: int
    count: int
    approved: int
    possible: int = 0
    amounts_minor: dict[str, int] = field(default_factory=dict)
    path: Path | None = None
    sha256: str = ""

    def words(self) -> str:
        """In one sentence, for a person and for the books."""
        sums = ", ".join(f"{name} {total:,}" for name, total in sorted(self.amounts_minor.items()))
        perhaps = (
            f", and {self.possible} requests more that may have been settled"
            if self.possible
            else ""
        )
        return (
            f"{self.count} settlements above index {self.after_index}, {self.approved} of them "
            f"approved ({sums or 'no amount'}){perhaps}; keys in {self.path} "
            f"(SHA-256 {self.sha256})"
        )


def write(after_index: int, lines: Iterable[str], path: Path) -> Lost:
    """Write the records to `path` (durably: they are for the books) and add them up.

    Raises what reading `lines` raises, and `OSError`; the file is then not there.
    """
    count = approved = possible = 0
    amounts: dict[str, int] = {}
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    incomplete = path.with_suffix(".incomplete")
    with incomplete.open("wb") as file:
        for line in lines:
            record: dict[str, Any] = msgspec.json.decode(line)
            data = line.encode() + b"\n"
            file.write(data)
            digest.update(data)
            if record.get("kind") == "possible":
                possible += 1
                continue
            count += 1
            if record.get("outcome") == Outcome.APPROVED:
                approved += 1
                currency = str(record.get("currency") or SETTLEMENT_CURRENCY)
                amounts[currency] = amounts.get(currency, 0) + int(record.get("amount_minor", 0))
        file.flush()
        os.fsync(file.fileno())
    incomplete.rename(path)
    return Lost(after_index, count, approved, possible, amounts, path, digest.hexdigest())
