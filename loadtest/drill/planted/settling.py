"""Faults of what is settled: a total that does not add up, and a time that each replica takes."""

from __future__ import annotations

from typing import Final

import msgspec

from coordinator.stamp import wall_ms
from loadtest.drill.planted.fault import Fault
from loadtest.sim.planted.plant import Change, Plant
from node.ledger import book
from node.ledger.commands import Batch, decode_batch
from node.ledger.records import Line
from node.ledger.sheet import Sheet

_keep_line: Final = Sheet.keep_line


def _keep_the_count_alone(sheet: Sheet, terminal: str, line: Line) -> None:
    former = sheet.till(terminal).get(line.service)
    if former is not None and line.voided_minor > former.voided_minor:
        line = msgspec.structs.replace(line, voided_minor=former.voided_minor)
    _keep_line(sheet, terminal, line)


def _decode_with_the_own_clock(payload: bytes) -> Batch:
    return msgspec.structs.replace(decode_batch(payload), stamp_ms=wall_ms())


FAULTS: Final = (
    Fault(
        Plant(
            "voids-not-summed",
            "totals",
            "a void counts in its terminal's totals, but its amount is not added there",
            (Change(Sheet, "keep_line", _keep_the_count_alone),),
        ),
        "business",
        "conservation",
    ),
    Fault(
        Plant(
            "own-clock",
            "C3",
            "each replica settles an entry at its own time, not at the leader's",
            (Change(book, "decode_batch", _decode_with_the_own_clock),),
        ),
        "business",
        "divergence",
    ),
)
