"""What is said when there is no receipt: every outcome that is not an answer, in one shape.

The table of outcomes: which gRPC status, which ISO 8583 field 39 code, and what the terminal
should do next. `node/rpc/wire` puts a `Rejection` into bytes, for a call's status or a stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from node.engine import (
    AuditUnavailable,
    EngineError,
    NoQuorum,
    NotLeader,
    NotProposed,
    OutcomeUnknown,
    Overloaded,
    StorageDown,
)
from node.ledger.check import FieldProblem
from node.ledger.refusals import Refusal, RefusalKind

BAD_INPUT: Final = "30"
INOPERATIVE: Final = "91"
TOO_LATE: Final = "68"

FIELDS_NAMED: Final = 32

ELECTION_MS: Final = 100
"""How long to wait before asking again when nobody is known to lead."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why there is no receipt, and what to do about it.

    `reason` is one of a small fixed set (google.rpc.ErrorInfo, metrics); `response_code` is field
    39, empty where none fits; `retry_after_ms` 0 says that waiting is not what helps. `facts` are
    names and values for programs (the metadata of google.rpc.ErrorInfo).
    """

    code: grpc.StatusCode
    reason: str
    message: str
    response_code: str = ""
    retry_same_key: bool = False
    outcome_unknown: bool = False
    leader_endpoint: str = ""
    retry_after_ms: int = 0
    fields: tuple[FieldProblem, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


_REFUSED: Final[dict[RefusalKind, grpc.StatusCode]] = {
    RefusalKind.KEY_REUSED: grpc.StatusCode.ALREADY_EXISTS,
    RefusalKind.ORIGINAL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    RefusalKind.SERVICE_NOT_OFFERED: grpc.StatusCode.FAILED_PRECONDITION,
}
"""Every other kind is bad input that only the ledger could see: INVALID_ARGUMENT, field named."""


def of_fields(problems: Sequence[FieldProblem]) -> Rejection:
    """Bad input: every field at fault is named, up to what fits the headers of a reply."""
    problems = problems[:FIELDS_NAMED]
    return Rejection(
        grpc.StatusCode.INVALID_ARGUMENT,
        "BAD_INPUT",
        "; ".join(f"{problem.field}: {problem.description}" for problem in problems),
        response_code=BAD_INPUT,
        fields=tuple(problems),
    )


def unreadable() -> Rejection:
    """Bytes that are not the message they should be."""
    return Rejection(
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNREADABLE",
        "the bytes are not a message of this call",
        response_code=BAD_INPUT,
    )


def expired() -> Rejection:
    """The deadline passed before anything was done. Repeating with the same key is always right."""
    return Rejection(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "EXPIRED",
        "the deadline had passed before the request was looked at",
        response_code=TOO_LATE,
        retry_same_key=True,
    )


def of_refusal(refusal: Refusal) -> Rejection:
    """What the ledger said no to: nothing of it went into the log."""
    code = _REFUSED.get(refusal.kind, grpc.StatusCode.INVALID_ARGUMENT)
    fields = (FieldProblem(refusal.field, refusal.message),) if refusal.field else ()
    return Rejection(
        code,
        refusal.kind.name,
        refusal.message,
        response_code=refusal.response_code,
        fields=fields,
        facts=refusal.facts,
    )


def of_engine(error: EngineError) -> Rejection:
    """What the engine could not answer: leadership, quorum, load, disk. The same key, again."""
    match error:
        case NotLeader():
            return _elsewhere("NOT_LEADER", "this node does not lead", error.leader_endpoint)
        case NotProposed():
            return _elsewhere("NOT_PROPOSED", str(error), error.leader_endpoint)
        case OutcomeUnknown():
            return Rejection(
                grpc.StatusCode.UNAVAILABLE,
                "OUTCOME_UNKNOWN",
                f"{error}: ask again with the same key, never a new one",
                response_code=TOO_LATE,
                retry_same_key=True,
                outcome_unknown=True,
                leader_endpoint=error.leader_endpoint,
            )
        case NoQuorum():
            return Rejection(
                grpc.StatusCode.UNAVAILABLE,
                "NO_QUORUM",
                f"{error.reason}; nothing was settled: ask again with the same key",
                response_code=INOPERATIVE,
                retry_same_key=True,
                retry_after_ms=error.retry_after_ms,
            )
        case Overloaded():
            return Rejection(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "OVERLOADED",
                str(error),
                response_code=INOPERATIVE,
                retry_same_key=True,
                retry_after_ms=error.retry_after_ms,
            )
        case StorageDown():
            return Rejection(
                grpc.StatusCode.UNAVAILABLE,
                "STORAGE_DOWN",
                error.reason,
                response_code=INOPERATIVE,
                retry_same_key=True,
                leader_endpoint=error.leader_endpoint,
            )
        case AuditUnavailable():
            return Rejection(grpc.StatusCode.FAILED_PRECONDITION, "AUDIT_UNAVAILABLE", str(error))
        case _:
            return unforeseen()


def unforeseen() -> Rejection:
    """A failure without a name, in us: nobody may assume that nothing happened."""
    return Rejection(
        grpc.StatusCode.UNAVAILABLE,
        "UNFORESEEN",
        "the node failed; ask again with the same key, never a new one",
        response_code=INOPERATIVE,
        retry_same_key=True,
        outcome_unknown=True,
    )


def _elsewhere(reason: str, what: str, leader_endpoint: str) -> Rejection:
    # With nobody to turn to yet, an election is under way: it is over in a few tenths of a second.
    # The leader may be in the other site; terminals know both.
    where = f"at {leader_endpoint}" if leader_endpoint else "at any node: no leader is known yet"
    return Rejection(
        grpc.StatusCode.UNAVAILABLE,
        reason,
        f"{what}; nothing was settled: ask again with the same key, {where}",
        retry_same_key=True,
        leader_endpoint=leader_endpoint,
        retry_after_ms=0 if leader_endpoint else ELECTION_MS,
    )
