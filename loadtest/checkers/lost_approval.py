"""Is every settlement that a terminal was told of in the ledger of every replica that counts?

Approvals, declines and closes alike: each must stand under its key, at the index the terminal was
told, with the outcome it was told, and with the content that it had asked for. A promotion with
loss is no excuse: what it gave up is lost to whoever was told of it, and is counted here.
"""

from __future__ import annotations

from typing import Final

from loadtest.checkers.evidence import APPROVED, CLOSE_TYPE, DECLINED, MISMATCH, Evidence, Record
from loadtest.checkers.finding import Doubts
from loadtest.history import SETTLED, Heard, Reply, Result
from loadtest.request import Call, Request

QUESTION: Final = "Is every answer that a terminal heard in every in-sync ledger?"
_OUTCOMES: Final = {
    Result.OK: APPROVED,
    Result.DECLINED: DECLINED,
    Result.MISMATCH: MISMATCH,
}


def check(evidence: Evidence) -> Doubts:
    """Problems name the key, the replica and what differs."""
    asked = {intent.ask: intent.request for intent in evidence.history.intents}
    told = [line for line in evidence.history.heard if line.result in SETTLED]
    problems: dict[str, str] = {}
    for line in told:
        if line.reply is None or line.ask not in asked:
            problems[f"{line.key}: an answer is on record without its content or intent"] = line.key
        elif line.reply.key != line.key:
            problems[f"{line.key}: the answer heard was that of {line.reply.key}"] = line.key
    for ledger in evidence.counting():
        records = {record.key: record for record in ledger.records}
        for line in told:
            if line.reply is None or line.ask not in asked:
                continue
            for words in _doubts(records.get(line.key), line, line.reply, asked[line.ask]):
                problems[f"{line.key} on {ledger.name}: {words}"] = line.key
    gone = _gone(evidence, told)
    notes = (f"approvals heard that no ledger that counts holds: {gone:,}",) if gone else ()
    return Doubts(len(told), tuple(problems), len(set(problems.values())), notes)


def _gone(evidence: Evidence, told: list[Heard]) -> int:
    """How many approvals are in no ledger that counts, whatever became of the others."""
    held = {
        record.key
        for ledger in evidence.counting()
        for record in ledger.records
        if record.outcome == APPROVED
    }
    return len({line.key for line in told if line.result is Result.OK} - held)


def _doubts(record: Record | None, line: Heard, reply: Reply, request: Request) -> list[str]:
    if record is None:
        return [f"{line.result} at {reply.index} is not there"]
    return [*_against_answer(record, line, reply), *_against_request(record, request)]


def _against_answer(record: Record, line: Heard, reply: Reply) -> list[str]:
    found = []
    if record.outcome != _OUTCOMES[line.result]:
        found.append(f"heard {line.result}, the ledger holds outcome {record.outcome}")
    if record.index != reply.index:
        found.append(f"heard index {reply.index}, the ledger holds {record.index}")
    if record.rrn != reply.rrn:
        found.append(f"heard reference {reply.rrn}, the ledger holds {record.rrn}")
    return found


def _against_request(record: Record, request: Request) -> list[str]:
    asked_type = CLOSE_TYPE if request.call is Call.CLOSE else request.type
    pairs: list[tuple[str, object, object]] = [
        ("terminal", request.terminal, record.terminal),
        ("service", request.service, record.service),
        ("type", asked_type, record.type),
        ("original_key", request.original_key, record.original_key),
    ]
    if record.type == 0:
        return []  # a tombstone: its reversal came first, so nothing of the request was kept
    if record.outcome == APPROVED and request.amount_minor:
        pairs.append(("amount_minor", request.amount_minor, record.amount_minor))
    return [
        f"{name} asked {asked!r}, the ledger holds {held!r}"
        for name, asked, held in pairs
        if asked != held
    ]
