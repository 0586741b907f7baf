"""Daily close (日計) and interim totals (中間計) of a terminal.

Every act that moves value counts once, in the open line of one terminal and service, and keeps the
number of the close that will take it. A close takes a line as it stands, writes it down under that
number and opens the next: so each act is in exactly one close, and what is not closed is open.
"""

from __future__ import annotations

from node.ledger.commands import Command, Outcome, Receipt, ServiceTotal, State
from node.ledger.records import Closing, Line, Record, Till
from node.ledger.services import APPROVED, TOTALS_DIFFER
from node.ledger.sheet import Sheet


def open_totals(till: Till, service: int) -> tuple[ServiceTotal, ...]:
    """What a terminal has open, in order of service.

    One service: its total, also when nothing was done. `service` 0, all: those with any act.
    """
    if service:
        return (till.get(service, Line(service)).total(),)
    return tuple(till[number].total() for number in sorted(till) if till[number].count)


def agree(totals: tuple[ServiceTotal, ...], expected: tuple[ServiceTotal, ...]) -> bool:
    """Whether both say the same; a service that is not named counts as nothing done."""
    ours = {total.service: total for total in totals if total != ServiceTotal(total.service)}
    theirs = {total.service: total for total in expected if total != ServiceTotal(total.service)}
    return ours == theirs


def close(sheet: Sheet, command: Command, approval_code: str) -> Receipt:
    """Close one service of the terminal, or all, and keep the answer.

    The terminal's own totals, when it sent any, must be the centre's; else the answer is MISMATCH
    (95) with both, and nothing is reset: the terminal closes again, under a new key.
    """
    till = sheet.till(command.terminal)
    totals = open_totals(till, command.service)
    if command.expected is not None and not agree(totals, command.expected):
        receipt = _receipt(sheet, command, Outcome.MISMATCH, "", totals, command.expected)
    else:
        receipt = _receipt(sheet, command, Outcome.APPROVED, approval_code, totals, ())
        for total in totals:
            if total.count:
                number = till[total.service].close_number
                sheet.keep_closing(
                    Closing(command.terminal, number, total, command.key, sheet.stamp_ms)
                )
                sheet.keep_line(command.terminal, Line(total.service, number + 1))
    sheet.keep(Record(receipt, command.merchant, command.service, command.type, int(State.DONE), 0))
    return receipt


def _receipt(
    sheet: Sheet,
    command: Command,
    outcome: Outcome,
    approval_code: str,
    totals: tuple[ServiceTotal, ...],
    expected: tuple[ServiceTotal, ...],
) -> Receipt:
    approved = outcome == Outcome.APPROVED
    return Receipt(
        key=command.key,
        fingerprint=command.fingerprint,
        outcome=int(outcome),
        response_code=APPROVED if approved else TOTALS_DIFFER,
        rrn=sheet.rrn,
        approval_code=approval_code,
        state=int(State.DONE),
        balance_minor=None,
        settled_at_ms=sheet.stamp_ms,
        index=sheet.index,
        reason="" if approved else "the terminal's totals differ from the centre's",
        totals=totals,
        expected=expected,
    )
