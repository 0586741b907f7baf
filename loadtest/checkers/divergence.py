"""Do all replicas hold the same log and the same ledger?

Chain hashes must agree at every index that two exports share, and the chain within one export must
have no gap. Ledgers taken at the same index must be equal row by row, and so must the replicas' own
audits, which must have found nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from loadtest.checkers.evidence import Audit, Evidence, Ledger, NotEnough
from loadtest.checkers.finding import Doubts

QUESTION: Final = "Do all replicas hold the same log and the same ledger?"
_SHOWN: Final = 5


def check(evidence: Evidence) -> Doubts:
    """Problems name both replicas and the index or row. Needs two exports or more."""
    if len(evidence.ledgers) < 2:
        raise NotEnough(f"{len(evidence.ledgers)} ledger exported; two are needed to compare")
    problems: list[str] = []
    compared = 0
    for ledger in evidence.ledgers:
        problems += _chain(ledger)
    for one, other in itertools.combinations(evidence.ledgers, 2):
        shared, found = _logs(one, other)
        compared += shared
        problems += found
        if one.meta.index == other.meta.index:
            compared += len(one.records)
            problems += _ledgers(one, other)
    problems += _audits(evidence.audits)
    return Doubts(compared, tuple(problems), len(problems))


def _chain(ledger: Ledger) -> list[str]:
    expected = range(ledger.meta.prune_index + 1, ledger.meta.index + 1)
    if [entry.index for entry in ledger.entries] != list(expected):
        return [f"{ledger.name}: its log is not whole from {expected.start} to {expected.stop - 1}"]
    if ledger.entries and ledger.entries[-1].hash != ledger.meta.chain_hash:
        return [f"{ledger.name}: its chain hash at {ledger.meta.index} is not that of the entry"]
    epochs = [entry.epoch for entry in ledger.entries]
    if epochs != sorted(epochs):
        return [f"{ledger.name}: epochs go back in its log"]
    return []


def _logs(one: Ledger, other: Ledger) -> tuple[int, list[str]]:
    theirs = {entry.index: entry for entry in other.entries}
    shared = [entry for entry in one.entries if entry.index in theirs]
    for entry in shared:
        twin = theirs[entry.index]
        if (entry.hash, entry.epoch, entry.commands) != (twin.hash, twin.epoch, twin.commands):
            words = f"{one.name} and {other.name} differ from index {entry.index} on"
            return len(shared), [f"{words}: {entry.hash[:16]} and {twin.hash[:16]}"]
    return len(shared), []


def _ledgers(one: Ledger, other: Ledger) -> list[str]:
    pairs: tuple[tuple[str, Sequence[object], Sequence[object]], ...] = (
        ("records", one.records, other.records),
        ("balances", one.balances, other.balances),
        ("totals", one.totals, other.totals),
        ("closings", one.closings, other.closings),
    )
    problems = []
    for name, here, there in pairs:
        if here == there:
            continue
        ours, theirs = set(here), set(there)
        only = [row for row in here if row not in theirs][:_SHOWN]
        missing = [row for row in there if row not in ours][:_SHOWN]
        problems.append(
            f"{name} differ at index {one.meta.index}: {one.name} has {only}, "
            f"{other.name} has {missing}"
        )
    return problems


def _audits(audits: Sequence[Audit]) -> list[str]:
    problems = [f"{audit.node}'s own audit: {audit.problem}" for audit in audits if audit.problem]
    for one, other in itertools.combinations(audits, 2):
        if one.index != other.index:
            continue
        for word in ("chain_hash", "ledger_digest", "totals_json", "records"):
            if getattr(one, word) != getattr(other, word):
                problems.append(f"{word} of {one.node} and {other.node} differ at {one.index}")
    return problems
