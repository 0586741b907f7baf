"""Do all replicas hold the same log and the same ledger?

Chain hashes must agree at every index that two exports share, and the chain within one export must
have no gap. Ledgers taken at the same index must be equal row by row, and so must the replicas' own
audits, which must have found nothing. The chain hash vouches for the pruned part of a log as well:
two replicas with the same one at the same index hold the same log from the first entry on.

A replica that does not count (it is catching up) may be behind, but must not contradict. One whose
disk was given up may: it is told of, and not judged.
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
    given_up = [each for each in evidence.ledgers if each.replica in evidence.given_up]
    ledgers = [each for each in evidence.ledgers if each not in given_up]
    if len(ledgers) < 2:
        raise NotEnough(f"{len(ledgers)} ledger exported; two are needed to compare")
    problems: list[str] = []
    compared = 0
    apart: list[str] = []
    for ledger in ledgers:
        problems += _chain(ledger)
    for one, other in itertools.combinations(ledgers, 2):
        shared, found = _logs(one, other)
        problems += found
        if one.meta.index == other.meta.index:
            shared += 1 + len(one.records)
            problems += [*_ends(one, other), *_ledgers(one, other)]
        if not shared and one.in_sync and other.in_sync:
            apart.append(f"{one.name} and {other.name}")
        compared += shared
    names = {each.name for each in given_up}
    problems += _audits([audit for audit in evidence.audits if audit.node not in names])
    if apart and not problems:
        raise NotEnough(f"nothing in common to compare: {', '.join(apart)}")
    notes = [f"{each.name}: its disk was given up, so it is not compared" for each in given_up]
    notes += [
        f"{each.name} does not count; it stands at index {each.meta.index}"
        for each in ledgers
        if not each.in_sync
    ]
    return Doubts(compared, tuple(problems), len(problems), tuple(notes))


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


def _ends(one: Ledger, other: Ledger) -> list[str]:
    """The chain hashes at the same index, of logs of which nothing else may be left in common."""
    if one.meta.chain_hash == other.meta.chain_hash:
        return []
    hashes = f"{one.meta.chain_hash[:16]} and {other.meta.chain_hash[:16]}"
    return [f"{one.name} and {other.name} differ at index {one.meta.index}: {hashes}"]


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
