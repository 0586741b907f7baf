"""Was anybody told that something is not there which had been settled before it was asked for?

An inquiry that finds nothing, and a refusal for want of an original, are read from the ledger: a
leader that was fenced without knowing it would deny what its successor has settled (R1). Only what
a terminal had *heard* before the question was first sent can be held against the answer.
"""

from __future__ import annotations

from typing import Final

from loadtest.checkers.evidence import Evidence
from loadtest.checkers.finding import Doubts
from loadtest.history import SETTLED, Heard, Result
from loadtest.request import Call, Request

QUESTION: Final = "Was anything denied that a terminal had been told of before?"
_NOT_FOUND: Final = "NOT_FOUND"


def check(evidence: Evidence) -> Doubts:
    """Problems name the key, who denied it, and both moments."""
    heard_at: dict[str, float] = {}
    for line in evidence.history.heard:
        if line.result in SETTLED:
            heard_at[line.key] = min(line.heard_ms, heard_at.get(line.key, line.heard_ms))
    asked = {intent.ask: intent.request for intent in evidence.history.intents}
    problems: list[str] = []
    denied: set[str] = set()
    looked_at = len(heard_at)
    for line in evidence.history.heard:
        request = asked.get(line.ask)
        key = _denied(line, request) if request is not None else ""
        looked_at += bool(key)
        if key in heard_at and heard_at[key] < line.sent_ms:
            denied.add(key)
            problems.append(
                f"{key} was heard at {heard_at[key]:.0f} ms, and denied by {line.endpoint} to a "
                f"question sent at {line.sent_ms:.0f} ms"
            )
    return Doubts(looked_at, tuple(problems), len(denied))


def _denied(line: Heard, request: Request) -> str:
    """The key that this answer says is not there, "" if it says no such thing."""
    if request.call is Call.INQUIRE:
        return request.target if line.result is Result.READ and line.reply is None else ""
    if line.result is Result.REFUSED and line.code == _NOT_FOUND:
        return request.original_key
    return ""
