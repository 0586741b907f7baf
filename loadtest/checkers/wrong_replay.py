"""Does a key always get the same answer, word for word, however often and wherever it is asked?

All answers to one key are compared with each other and with what the ledger holds: repeats,
inquiries, answers from before and after a change of leader. Only `replayed` may differ.
"""

from __future__ import annotations

from typing import Final

from loadtest.checkers.evidence import Evidence, Record
from loadtest.checkers.finding import Doubts
from loadtest.history import SETTLED, Reply

QUESTION: Final = "Did every key always get its first answer again, word for word?"
_WORDS: Final = (
    "outcome",
    "response_code",
    "rrn",
    "approval_code",
    "state",
    "balance_minor",
    "settled_at_ms",
    "index",
    "reason",
)
_HELD: Final = ("outcome", "response_code", "rrn", "approval_code", "index", "settled_at_ms")


def check(evidence: Evidence) -> Doubts:
    """Problems name the key, the field and both values."""
    answers: dict[str, list[Reply]] = {}
    as_new: dict[str, int] = {}
    for line in evidence.history.heard:
        if line.reply is None:
            continue
        answers.setdefault(line.reply.key, []).append(line.reply)
        if line.result in SETTLED and not line.reply.replayed:
            as_new[line.key] = as_new.get(line.key, 0) + 1
    records = {record.key: record for record in evidence.counting()[0].records}
    problems: list[str] = []
    affected = 0
    for key, replies in answers.items():
        first = replies[0]
        found = [words for other in replies[1:] for words in _between(key, first, other)]
        if as_new.get(key, 0) > 1:
            found.append(f"{key}: answered as new {as_new[key]} times")
        if key in records:
            found += _against(key, first, records[key])
        problems += found
        affected += bool(found)
    looked_at = sum(len(replies) for replies in answers.values())
    return Doubts(looked_at, tuple(problems), affected)


def _between(key: str, first: Reply, other: Reply) -> list[str]:
    return [
        f"{key}: {word} was {getattr(first, word)!r}, then {getattr(other, word)!r}"
        for word in _WORDS
        if getattr(first, word) != getattr(other, word)
    ]


def _against(key: str, reply: Reply, record: Record) -> list[str]:
    return [
        f"{key}: {word} was heard as {getattr(reply, word)!r}, "
        f"the ledger holds {getattr(record, word)!r}"
        for word in _HELD
        if getattr(reply, word) != getattr(record, word)
    ]
