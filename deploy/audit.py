"""The audit of a whole cluster: every replica's digests at one and the same index, compared.

While terminals are settling the replicas never stand still together, so an index a little ahead is
chosen and each replica takes its picture when it gets there. In a quiet cluster nothing would ever
get there, and the index of this moment does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import grpc

from deploy.control import AuditCall, Control, ControlError, NodeAudit

_LOOK_EVERY_S: Final = 0.1
_AHEAD_S: Final = 0.5  # how far ahead the index is chosen while terminals are settling
_QUIET_S: Final = 1.0  # an index that has not come nearer for so long will not come
_BEHIND_S: Final = 3.0  # how long the others wait, at the index, for one that is catching up
_ROUNDS: Final = 5
_PASSED_CODES: Final = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE)


@dataclass(frozen=True, slots=True)
class ClusterAudit:
    """`problems`: what the replicas disagree on, or what does not add up on one of them.

    `silent`: the nodes that could not be compared, each with why.
    """

    index: int
    replicas: tuple[NodeAudit, ...]
    problems: tuple[str, ...]
    silent: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Everything was compared and nothing was found: silence is no proof."""
        return bool(self.replicas) and not self.problems and not self.silent


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why a round has no answer of a node; an index that has passed can be chosen again."""

    why: str
    index_passed: bool


def audit(
    endpoints: Mapping[str, str], *, rederive: bool = True, timeout_s: float = 120.0
) -> ClusterAudit:
    """Audit the nodes (name to control endpoint). A node that does not answer is named in `silent`.

    With none that answers the audit is not ok, and says so.
    """
    with ExitStack() as stack:
        controls = {
            name: stack.enter_context(Control(endpoint)) for name, endpoint in endpoints.items()
        }
        silent: dict[str, str] = {}
        _applied(controls, silent)
        for name in silent:
            del controls[name]
        for ahead in range(1, _ROUNDS + 1):
            index = _choose(controls, ahead)
            calls = {
                name: control.begin_audit(index, rederive=rederive, timeout_s=timeout_s)
                for name, control in controls.items()
            }
            found, lost = _gather(controls, calls, index)
            if not lost:
                return ClusterAudit(index, tuple(found.values()), compare(found), silent)
            if any(far >= index for far in _applied(controls, {}).values()):
                # The others can be compared without those that stand still or do not answer.
                for name, loss in lost.items():
                    if not loss.index_passed:
                        silent[name] = loss.why
                        del controls[name]
        missed = dict.fromkeys(controls, "never stood at the same index as the others")
        return ClusterAudit(0, (), (), {**silent, **missed})


def compare(found: Mapping[str, NodeAudit]) -> tuple[str, ...]:
    """What is wrong with these audits, in words; they must be of one index."""
    problems = [f"{name}: {audit.problem}" for name, audit in found.items() if audit.problem]
    for what in ("index", "chain_hash", "ledger_digest", "totals_json", "records"):
        sides: dict[str, list[str]] = {}
        for name, audit in found.items():
            sides.setdefault(str(getattr(audit, what)), []).append(name)
        if len(sides) > 1:
            told = "; ".join(
                f"{', '.join(names)}: {value[:16] or 'none'}" for value, names in sides.items()
            )
            problems.append(f"{what.replace('_', ' ')} differs: {told}")
    return tuple(problems)


def _applied(controls: Mapping[str, Control], silent: dict[str, str]) -> dict[str, int]:
    """How far each node has applied; those that do not answer go to `silent`."""
    applied: dict[str, int] = {}
    for name, control in controls.items():
        try:
            applied[name] = control.status().applied_index
        except ControlError as problem:
            silent[name] = str(problem)
    return applied


def _choose(controls: Mapping[str, Control], ahead: int) -> int:
    """An index that every replica will be able to stop at; `ahead` times the usual way ahead."""
    before = max(_applied(controls, {}).values(), default=0)
    time.sleep(_LOOK_EVERY_S)
    after = max(_applied(controls, {}).values(), default=0)
    if after == before:
        return after
    return after + 1 + int((after - before) / _LOOK_EVERY_S * _AHEAD_S * ahead)


def _gather(
    controls: Mapping[str, Control], calls: Mapping[str, AuditCall], index: int
) -> tuple[dict[str, NodeAudit], dict[str, _Loss]]:
    """The answers, and why others are missing: one missing ends the round for all."""
    still_since, stood = time.monotonic(), -1
    reached_at: float | None = None
    found: dict[str, NodeAudit] = {}
    lost: dict[str, _Loss] = {}
    while len(found) < len(calls) and not lost:
        time.sleep(_LOOK_EVERY_S / 2)
        for name, call in calls.items():
            if name not in found and call.done():
                try:
                    found[name] = call.result()
                except ControlError as problem:
                    lost[name] = _Loss(str(problem), problem.code in _PASSED_CODES)
        behind = {name: far for name, far in _applied(controls, {}).items() if far < index}
        if sum(behind.values()) != stood or not behind:
            still_since, stood = time.monotonic(), sum(behind.values())
        if reached_at is None and found:
            reached_at = time.monotonic()
        if time.monotonic() - still_since > _QUIET_S:
            for name, far in behind.items():
                lost[name] = _Loss(f"stands at {far}, not at {index}", index_passed=False)
        elif reached_at is not None and time.monotonic() - reached_at > _BEHIND_S:
            for name, far in behind.items():
                words = f"is catching up: at {far}, not yet at {index}"
                lost[name] = _Loss(words, index_passed=False)
    for name, call in calls.items():
        if name not in found:
            call.cancel()
    return found, lost
