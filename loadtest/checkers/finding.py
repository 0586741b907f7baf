"""A checker's answer to its one question, and the verdict made of all of them.

A checker that crashes or lacks evidence has found "unknown", and unknown is not a pass: a broken
judge acquits nobody. Nor is there a pass while a replica that counts was not there to be asked.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loadtest.checkers.evidence import Evidence


class Verdict(enum.StrEnum):
    """FAIL is a proven breach; UNKNOWN is no answer. Only PASS is good."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `looked_at` counts what was compared; a pass over nothing is worth nothing.

    `affected` counts the keys or rows that something is wrong with, however many replicas say so.
    `notes`: what was not looked at, or not judged, and why.
    """

    checker: str
    question: str
    verdict: Verdict
    looked_at: int
    problems: tuple[str, ...] = ()
    affected: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doubts:
    """What one checker's examination came to; fields as in `Finding`."""

    looked_at: int
    problems: tuple[str, ...]
    affected: int
    notes: tuple[str, ...] = ()


Checker = Callable[[Evidence], Doubts]


def ask(name: str, question: str, checker: Checker, evidence: Evidence) -> Finding:
    """Run one checker. Whatever it raises becomes UNKNOWN."""
    try:
        doubts = checker(evidence)
    except Exception as problem:  # any crash of a judge is an answer: unknown
        words = f"{type(problem).__name__}: {problem}"
        return Finding(name, question, Verdict.UNKNOWN, 0, (words,))
    verdict = Verdict.FAIL if doubts.problems else Verdict.PASS
    if verdict is Verdict.PASS and not doubts.looked_at:
        nothing = ("there was nothing to look at",)
        return Finding(name, question, Verdict.UNKNOWN, 0, nothing)
    notes = doubts.notes
    if verdict is Verdict.PASS and evidence.missing:
        # What the others hold says nothing about a replica that was not there to be asked.
        verdict = Verdict.UNKNOWN
        notes = (*notes, f"in sync, but not examined: {', '.join(evidence.missing)}")
    return Finding(
        name, question, verdict, doubts.looked_at, doubts.problems, doubts.affected, notes
    )


def ask_all(checkers: Mapping[str, tuple[str, Checker]], evidence: Evidence) -> tuple[Finding, ...]:
    """Run every checker, in the mapping's order; the value is (question, checker)."""
    return tuple(
        ask(name, question, checker, evidence) for name, (question, checker) in checkers.items()
    )


def compose(findings: Iterable[Finding]) -> Verdict:
    """FAIL if any failed, else UNKNOWN if any is unknown or there is none, else PASS."""
    verdicts = [finding.verdict for finding in findings]
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    if Verdict.UNKNOWN in verdicts or not verdicts:
        return Verdict.UNKNOWN
    return Verdict.PASS
