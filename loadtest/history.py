"""What every terminal intended and heard: the evidence that the checkers start from. Pure data.

An intent is written before the first attempt is sent and holds the whole request, so whoever reads
it can repeat it. All `*_ms` are milliseconds of this machine's monotonic clock, which its processes
share. How it is kept on disk is in loadtest/history_file.py.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from loadtest.request import Request


class Result(enum.StrEnum):
    """What became of an ask, as its terminal sees it. MISMATCH is an answer to a close."""

    OK = "ok"
    DECLINED = "declined"
    MISMATCH = "mismatch"
    READ = "read"
    REFUSED = "refused"
    UNKNOWN = "unknown"


SETTLED = frozenset({Result.OK, Result.DECLINED, Result.MISMATCH})
"""Answers that the ledger must hold under the key of their request."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The centre's answer, as heard; fields as in proto/settlement.proto."""

    key: str
    outcome: int
    response_code: str
    rrn: str
    approval_code: str
    state: int
    balance_minor: int | None
    settled_at_ms: int
    index: int
    reason: str
    replayed: bool = False


class Header(msgspec.Struct, frozen=True, tag="header", tag_field="kind"):
    """First line: which run this is. `unix_at_zero_ms` turns monotonic times into dates."""

    run: str
    seed: int
    unix_at_zero_ms: float
    rate: float = 0.0
    terminals: int = 0


class Intent(msgspec.Struct, frozen=True, tag="intent", tag_field="kind", omit_defaults=True):
    """Written before sending. `again` marks the deliberate repetition of a key already asked."""

    ask: str
    key: str
    intended_ms: float
    written_ms: float
    request: Request
    again: bool = False


class Heard(msgspec.Struct, frozen=True, tag="heard", tag_field="kind", omit_defaults=True):
    """Written when an answer came, or (UNKNOWN) when the deadline passed without one.

    An ask that stayed unknown may get a second line later, with `resolved` saying how it was heard
    after all. `code` is the gRPC status of a refusal.
    """

    ask: str
    key: str
    result: Result
    intended_ms: float
    sent_ms: float
    heard_ms: float
    attempts: int
    endpoint: str
    reply: Reply | None = None
    code: str = ""
    detail: str = ""
    resolved: str = ""


class Unsent(msgspec.Struct, frozen=True, tag="unsent", tag_field="kind"):
    """Slots of one terminal whose intended start had come but which were never sent."""

    terminal: str
    slots: int
    first_intended_ms: float


class Mark(msgspec.Struct, frozen=True, tag="mark", tag_field="kind"):
    """A moment worth finding again: load began, arrivals stopped, drained."""

    name: str
    at_ms: float


class Stall(msgspec.Struct, frozen=True, tag="stall", tag_field="kind"):
    """The load generator itself stood still: who looks for gaps must know of its own."""

    at_ms: float
    for_ms: float


Line = Header | Intent | Heard | Unsent | Mark | Stall


@dataclass(frozen=True, slots=True)
class History:
    """Everything read from one or more files. `torn` counts last lines that a crash cut short."""

    headers: tuple[Header, ...]
    intents: tuple[Intent, ...]
    heard: tuple[Heard, ...]
    unsent: tuple[Unsent, ...]
    marks: tuple[Mark, ...]
    stalls: tuple[Stall, ...] = ()
    torn: int = 0

    def final(self) -> dict[str, Heard]:
        """The last word on each ask; an ask without any is absent."""
        return {line.ask: line for line in self.heard}

    def unresolved(self) -> tuple[Intent, ...]:
        """Intents of which nothing final was heard: their results are unknown."""
        final = self.final()
        return tuple(
            intent
            for intent in self.intents
            if intent.ask not in final or final[intent.ask].result is Result.UNKNOWN
        )


def gathered(lines: Sequence[Line], torn: int = 0) -> History:
    """The history that these lines are; answers in the order in which they were heard, since a
    later word on an ask may stand in a file that is read before the earlier one's."""
    return History(
        headers=tuple(each for each in lines if isinstance(each, Header)),
        intents=tuple(each for each in lines if isinstance(each, Intent)),
        heard=tuple(
            sorted((each for each in lines if isinstance(each, Heard)), key=lambda it: it.heard_ms)
        ),
        unsent=tuple(each for each in lines if isinstance(each, Unsent)),
        marks=tuple(each for each in lines if isinstance(each, Mark)),
        stalls=tuple(each for each in lines if isinstance(each, Stall)),
        torn=torn,
    )
