"""Did anything take effect twice, or without having been asked?

One key, one record, made by the first log entry that holds the key and with that entry's content;
one reference number, one record; one void, capture or reversal an original; and no effect under a
key that no terminal wrote down before it sent it.

Where the log was pruned the records alone are judged, which are never pruned; the answer says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from loadtest.checkers.evidence import APPROVED, Command, Evidence, Ledger, Record
from loadtest.checkers.finding import Doubts
from loadtest.request import Type

QUESTION: Final = "Did every key take effect at most once, and only if a terminal asked?"
_ONCE: Final = frozenset({Type.CAPTURE, Type.VOID, Type.REVERSAL, Type.CANCEL})
_TOMBSTONE: Final = 0


def check(evidence: Evidence) -> Doubts:
    """Problems name the replica and the key."""
    intended = {intent.key for intent in evidence.history.intents if intent.key}
    terminals = {intent.request.terminal for intent in evidence.history.intents}
    problems: list[str] = []
    distinct: set[str] = set()
    looked_at = 0
    for ledger in evidence.counting():
        looked_at += len(ledger.records)
        found = [*_twice(ledger), *_against_log(ledger)]
        for record in ledger.records:
            if record.terminal in terminals and record.key not in intended:
                found.append(f"{record.key} is settled, but no terminal wrote it down")
        problems += [f"{ledger.name}: {words}" for words in found]
        distinct.update(found)
    return Doubts(looked_at, tuple(problems), len(distinct), _unseen(evidence))


def _unseen(evidence: Evidence) -> tuple[str, ...]:
    """Which entries nobody has any more: what they did is judged by the records alone."""
    ledgers = evidence.counting()
    gone = min(ledger.meta.prune_index for ledger in ledgers)
    if not gone:
        return ()
    records = sum(0 < record.index <= gone for record in ledgers[0].records)
    return (f"entries 1 to {gone} are pruned everywhere: {records} records judged without them",)


def _twice(ledger: Ledger) -> Iterator[str]:
    records = [record for record in ledger.records if record.type != _TOMBSTONE]
    keys = Counter(record.key for record in ledger.records)
    yield from (f"{key} has {count} records" for key, count in keys.items() if count > 1)
    references = Counter(record.rrn for record in records)
    yield from (f"reference {rrn} stands {n} times" for rrn, n in references.items() if n > 1)
    done = Counter(
        (record.type, record.original_key)
        for record in records
        if record.outcome == APPROVED and record.type in _ONCE
    )
    for (type_, original), count in done.items():
        if count > 1:
            yield f"{Type(type_).name} of {original} took effect {count} times"


def _against_log(ledger: Ledger) -> Iterator[str]:
    """Each record comes from the first entry that holds its key."""
    first: dict[str, tuple[int, Command]] = {}
    for entry in ledger.entries:
        for command in entry.commands:
            index, known = first.setdefault(command.key, (entry.index, command))
            if known.fingerprint != command.fingerprint:
                yield f"{command.key} is logged with two contents, at {index} and {entry.index}"
    by_key: dict[str, Record] = {record.key: record for record in ledger.records}
    for key, (index, command) in first.items():
        record = by_key.get(key)
        if record is None:
            yield f"{key} is logged at {index} and has no record"
        elif record.type == _TOMBSTONE or record.index <= ledger.meta.prune_index:
            continue
        elif record.index != index:
            yield f"{key} is recorded at {record.index}, but first logged at {index}"
        elif (record.fingerprint, record.type) != (command.fingerprint, command.type):
            yield f"{key} is recorded with another content than was logged at {index}"
    for key, record in by_key.items():
        if record.index > ledger.meta.prune_index and key not in first and record.type:
            yield f"{key} has a record at {record.index}, but was never logged"
