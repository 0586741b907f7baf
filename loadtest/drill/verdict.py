"""The verdict of a drill: figures against limits, and the checkers' findings. Never a silent pass.

PASS: everything asked was answered, and well. FAIL: something is proven wrong. INCONCLUSIVE: the
drill could not be played, or a checker has no answer.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from loadtest.checkers.finding import Finding, Verdict, compose
from loadtest.drill.catalogue import Limits
from loadtest.measure import Figures

SERVICES: Final = 7
"""So many services there are."""


class Ruling(enum.StrEnum):
    """The last word. Only PASS leaves with exit status 0."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


def worst(rulings: Iterable[Ruling]) -> Ruling:
    """Of several: one that failed counts most, then one that could not be judged; PASS of none."""
    found = set(rulings)
    return next((each for each in (Ruling.FAIL, Ruling.INCONCLUSIVE) if each in found), Ruling.PASS)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the verdict's table. `good` None: told, not judged."""

    what: str
    what_ja: str
    value: str
    limit: str = ""
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How the drill went, as the runner saw it. `unplayed`: why it could not be played out.

    `broken`: what the cluster did not do although a step demands it. Disturbed: from the first
    fault to the last steady state; None where there was none, or it never ended.
    """

    leader_before: str
    epoch_before: int
    leader_after: str
    epoch_after: int
    steady_ms: float | None
    healed_ms: float | None
    resumed_ms: float | None
    disturbed_from_ms: float | None = None
    disturbed_to_ms: float | None = None
    unplayed: str = ""
    broken: str = ""
    services: int | None = None
    operator_steps: int = 0


@dataclass(frozen=True, slots=True)
class DrillVerdict:
    """Everything that was judged and told."""

    ruling: Ruling
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    unplayed: str = ""
    broken: str = ""


def judge(
    limits: Limits, figures: Figures | None, course: Course, findings: tuple[Finding, ...]
) -> DrillVerdict:
    """The verdict. Without figures there is nothing to pass."""
    rows = _rows(limits, figures, course, findings) if figures else ()
    proven = compose(findings)
    if proven is Verdict.FAIL or course.broken:
        ruling = Ruling.FAIL
    elif proven is Verdict.UNKNOWN or course.unplayed or figures is None:
        ruling = Ruling.INCONCLUSIVE  # limits mean little where the fault was not the one meant
    elif any(row.good is False for row in rows):
        ruling = Ruling.FAIL
    else:
        ruling = Ruling.PASS
    return DrillVerdict(ruling, rows, findings, course.unplayed, course.broken)


def _rows(
    limits: Limits, figures: Figures, course: Course, findings: tuple[Finding, ...]
) -> tuple[Row, ...]:
    found = {finding.checker: finding for finding in findings}
    changed = course.epoch_before != course.epoch_after
    led = f"{course.leader_after}, epoch {course.epoch_after}"
    if changed:
        led += f" (before: {course.leader_before}, epoch {course.epoch_before})"
    rows = [
        _bounded(
            "time terminals could not settle",
            "決済できなかった時間",
            figures.longest_gap_ms,
            limits.longest_gap_ms,
        ),
        _counted("approvals lost", "失われた承認", found.get("lost_approval")),
        _counted("double effects", "二重計上", found.get("double_effect")),
        Row(
            "results unknown at the deadline",
            "期限内に結果不明",
            _unknown(figures),
            *_judged(figures.failed, limits.failed),
        ),
        Row(
            "results unknown at the end",
            "最後まで結果不明",
            f"{figures.unknown_at_end}",
            *_judged(figures.unknown_at_end, 0),
        ),
        Row(
            "slots not served",
            "処理されなかった取引",
            f"{figures.unserved:,} of {figures.slots:,}",
            *_judged(figures.unserved, limits.unserved),
        ),
        Row("answered", "応答件数", _answered(figures)),
        Row("refused", "エラー応答", _refused(figures)),
        Row(
            "p50 / p99 from the intended start",
            "応答時間 p50 / p99",
            f"{figures.p50_ms:,.0f} ms / {figures.p99_ms:,.0f} ms",
            *_below(figures.p99_ms, limits.p99_ms),
        ),
        _bounded(
            "longest wait while disturbed",
            "障害中の端末の最長待ち時間",
            figures.longest_wait_ms,
            limits.longest_wait_ms,
        ),
        Row(
            "longest stall of the load generator",
            "負荷生成側の最長停止",
            f"{figures.generator_stall_ms:,.0f} ms",
        ),
        Row(
            "leader and epoch",
            "リーダーとエポック",
            led,
            "" if limits.new_leader is None else "new" if limits.new_leader else "the same",
            None if limits.new_leader is None else changed is limits.new_leader,
        ),
    ]
    if limits.resumed_ms is not None:
        rows.append(
            _bounded(
                "from the repair to the next settlement",
                "復旧から決済再開まで",
                float("inf") if course.resumed_ms is None else course.resumed_ms,
                limits.resumed_ms,
            )
        )
    return (*rows, *_of_people(limits, course))


def _of_people(limits: Limits, course: Course) -> list[Row]:
    """What is still offered to customers, and what the people on duty had to do for it."""
    rows = []
    if course.services is not None or limits.services is not None:
        known = "not asked" if course.services is None else f"{course.services} of {SERVICES}"
        least = limits.services
        rows.append(
            Row(
                "services still offered",
                "サービス提供",
                known,
                "" if least is None else f">= {least}",
                None if least is None else (course.services or 0) >= least,
            )
        )
    rows.append(Row("operator steps", "運用者の操作", f"{course.operator_steps}"))
    return rows


def _bounded(what: str, what_ja: str, value_ms: float, limit_ms: float | None) -> Row:
    return Row(what, what_ja, f"{value_ms:,.0f} ms", *_below(value_ms, limit_ms))


def _below(value_ms: float, limit_ms: float | None) -> tuple[str, bool | None]:
    if limit_ms is None:
        return "", None
    return f"<= {limit_ms:,.0f} ms", value_ms <= limit_ms


def _judged(value: int, limit: int | None) -> tuple[str, bool | None]:
    if limit is None:
        return "", None
    return (f"<= {limit}" if limit else "0"), value <= limit


def _counted(what: str, what_ja: str, finding: Finding | None) -> Row:
    if finding is None or finding.verdict is Verdict.UNKNOWN:
        return Row(what, what_ja, "unknown", "0")
    return Row(what, what_ja, str(finding.affected), "0", finding.affected == 0)


def _unknown(figures: Figures) -> str:
    how = ", ".join(f"{count} {words}" for words, count in figures.unknown_resolved.items())
    return f"{figures.failed:,}" + (f" ({how})" if how else "")


def _answered(figures: Figures) -> str:
    return (
        f"{figures.answered:,}: {figures.approved:,} approved, {figures.declined:,} declined, "
        f"{figures.mismatched:,} closes differed, {figures.read:,} read; "
        f"{figures.retried:,} needed a retry, {figures.repeats:,} repeated"
    )


def _refused(figures: Figures) -> str:
    if not figures.refused:
        return "0"
    why = sorted(figures.refused_why.items(), key=lambda pair: -pair[1])[:3]
    return f"{figures.refused:,}: " + "; ".join(f"{count} {words[:60]}" for words, count in why)
