"""Makes the model of a report of one drill's evidence. Pure but for the hashes it looks up."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from deploy.topology import Topology
from loadtest.checkers.finding import Finding, Verdict
from loadtest.drill.player import NO_EQUIPMENT
from loadtest.drill.verdict import Course, Row, Ruling
from loadtest.measure import Figures
from loadtest.report import course as courses
from loadtest.report.dossier import Document, Dossier, Entry
from loadtest.report.model import (
    Count,
    DrillReport,
    Ending,
    Grounds,
    Happening,
    Heard,
    Invariant,
    Judged,
    Origin,
    Outcome,
    Place,
    Reign,
    Span,
    Timeline,
)
from loadtest.report.questions import QUESTIONS
from loadtest.report.recovery import recoveries
from loadtest.report.seconds import by_second
from loadtest.report.words import Words, same, word

_TOLD_ELSEWHERE: Final = frozenset({"answered", "refused"})
_SHARE: Final = re.compile(r"([\d,]+) of ([\d,]+)")


def build(dossier: Dossier, altered: Sequence[str] = ()) -> DrillReport:
    """The report of one drill. `altered`: files that `loadtest.evidence.altered` found."""
    document, drill = dossier.document, dossier.drill
    figures, course = dossier.figures, document.course
    journal = _until(dossier.journal, figures)
    done = courses.faults(dossier.events)
    found = recoveries(done, journal, dossier.history, _timings(dossier.topology))
    outcome = _outcome(dossier, done)
    return DrillReport(
        name=dossier.manifest.name,
        title=Words(drill.title, drill.title_ja),
        about=drill.about,
        ruling=document.ruling,
        sentence=_sentence(document, outcome),
        reason=course.broken or course.unplayed,
        outcome=outcome,
        gap_limit_ms=drill.limits.longest_gap_ms,
        judged=tuple(
            _judged(row, course) for row in document.rows if row.what not in _TOLD_ELSEWHERE
        ),
        timeline=_timeline(dossier, figures, journal, done) if figures else None,
        recoveries=tuple(
            replace(each, at_s=_seconds(each.at_s, figures)) for each in found if figures
        ),
        heard=_heard(figures) if figures else None,
        invariants=tuple(_invariant(finding) for finding in document.findings),
        grounds=_grounds(dossier.topology, drill.topology),
        origin=_origin(dossier, altered),
    )


def _until(journal: Sequence[Entry], figures: Figures | None) -> tuple[Entry, ...]:
    """Without the end of the run, in which leaders take their leave of a cluster that stops."""
    end_ms = figures.stopped_ms if figures else math.inf
    return tuple(entry for entry in journal if entry.at_ms <= end_ms)


def _timings(topology: Topology | None) -> dict[str, float]:
    """By name; those of the coordinators where there is a second site to switch to."""
    if topology is None:
        return {}
    found: dict[str, float] = msgspec.to_builtins(topology.timings)
    if len(topology.sites) > 1:
        found["agree_ms"] = topology.switching.agree_ms
        found["move_leader_ms"] = topology.switching.move_leader_ms
    return found


# --- what is told at the top ----------------------------------------------------------------------


def _outcome(dossier: Dossier, done: Sequence[Span]) -> Outcome:
    figures, course = dossier.figures, dossier.document.course
    found = {finding.checker: finding for finding in dossier.document.findings}

    def affected(checker: str) -> int | None:
        finding = found.get(checker)
        known = finding is not None and finding.verdict is not Verdict.UNKNOWN
        return finding.affected if finding is not None and known else None

    proven = dossier.document.ruling is not Ruling.INCONCLUSIVE  # whatever was missing: it counts
    missing = course.unplayed.startswith(NO_EQUIPMENT)
    absent = course.unplayed if missing and not proven else ""
    return Outcome(
        gap_ms=figures.longest_gap_ms if figures else None,
        lost=affected("lost_approval"),
        doubled=affected("double_effect"),
        unknown=figures.unknown_at_end if figures else None,
        p99_ms=figures.p99_ms if figures else None,
        wait_ms=figures.longest_wait_ms if figures else None,
        services=course.services,
        operator_steps=course.operator_steps,
        gap_ended=courses.gap_ended(figures, done, dossier.events) if figures else Ending.ITSELF,
        absent=absent.removeprefix(NO_EQUIPMENT).removeprefix(": "),
    )


def _sentence(document: Document, outcome: Outcome) -> Words:
    """The verdict in one line."""
    ruling, course = document.ruling, document.course
    if ruling is Ruling.INCONCLUSIVE:
        why = course.unplayed or "a question has no answer"
        return Words(f"There is no verdict: {why}.", f"判定できません：{why}")
    if ruling is Ruling.FAIL:
        bad = [_judged(row, course) for row in document.rows if row.good is False]
        en = [f"{row.what.en}: {row.value.en} (limit {row.limit.en})" for row in bad]
        ja = [f"{row.what.ja} {row.value.ja}（基準 {row.limit.ja}）" for row in bad]
        broken = [course.broken] if course.broken else []
        breached = [each.checker for each in document.findings if each.verdict is Verdict.FAIL]
        broken += [f"{checker} ✗" for checker in breached]
        return Words(
            f"Not as it must be. {'; '.join([*broken, *en])}.",
            f"基準を満たしません。{'、'.join([*broken, *ja])}。",
        )
    gap = f"{(outcome.gap_ms or 0.0) / 1000.0:.2f}"
    return Words(
        f"Terminals could not settle for {gap} s at the longest. No approval was lost, nothing "
        "took effect twice, every result is known.",
        f"決済できなかった時間は最長 {gap} 秒。"
        "承認の消失、二重計上、結果不明はいずれもありません。",
    )


def _judged(row: Row, course: Course) -> Judged:
    value, limit = same(row.value), same(row.limit.replace("<=", "≤"))
    share = _SHARE.fullmatch(row.value)
    if share:
        value = Words(row.value, f"{share.group(2)} 件中 {share.group(1)} 件")
    if row.value == "unknown":
        value = word("not_known")
    if row.limit in ("new", "the same"):
        limit = word("new_leader" if row.limit == "new" else "same_leader")
        value = same(
            f"{course.leader_before} ({course.epoch_before}) → "
            f"{course.leader_after} ({course.epoch_after})"
        )
    name = row.what if row.what.startswith("p50") else row.what[:1].upper() + row.what[1:]
    what = Words(name, row.what_ja)
    return Judged(what, value, limit, row.good)


# --- what happened --------------------------------------------------------------------------------


def _seconds(at_ms: float, figures: Figures | None) -> float:
    return (at_ms - figures.began_ms) / 1000.0 if figures else 0.0


def _timeline(
    dossier: Dossier, figures: Figures, journal: Sequence[Entry], done: Sequence[Span]
) -> Timeline:
    length_s = _seconds(figures.stopped_ms, figures)

    def within(at_ms: float | None) -> float | None:
        if at_ms is None:
            return None
        return min(max(0.0, _seconds(at_ms, figures)), length_s)

    def placed(span: Span) -> Span:
        return replace(span, from_s=within(span.from_s) or 0.0, until_s=within(span.until_s))

    def there(span: Span | Reign) -> bool:
        ended = span.until_s is not None and span.until_s <= 0.0
        return not ended and span.from_s < length_s

    reigns = [
        replace(each, from_s=within(each.from_s) or 0.0, until_s=within(each.until_s))
        for each in courses.reigns(journal, done, dossier.topology)
    ]
    modes = [placed(span) for span in courses.modes(journal, dossier.topology)]
    return Timeline(
        length_s=length_s,
        meant=sum(header.rate for header in dossier.history.headers),
        seconds=by_second(dossier.history, figures),
        faults=tuple(placed(span) for span in done),
        reigns=tuple(reign for reign in reigns if there(reign)),
        modes=tuple(span for span in modes if there(span)),
        happenings=tuple(
            Happening(round(_seconds(event.at_ms, figures), 3), event.what, event.detail)
            for event in dossier.events
        ),
    )


def _heard(figures: Figures) -> Heard:
    return Heard(
        counts=(
            Count("slots", figures.slots),
            Count("approved", figures.approved),
            Count("declined", figures.declined),
            Count("mismatched", figures.mismatched),
            Count("read", figures.read),
            Count("refused", figures.refused),
            Count("retried", figures.retried),
            Count("repeats", figures.repeats),
            Count("slips", figures.failed),
            Count("unserved", figures.unserved),
            Count("unknown_end", figures.unknown_at_end, figures.unknown_at_end == 0),
        ),
        resolved=tuple(figures.unknown_resolved.items()),
        refused=tuple(sorted(figures.refused_why.items(), key=lambda pair: -pair[1])),
    )


def _invariant(finding: Finding) -> Invariant:
    question, how = QUESTIONS.get(finding.checker, (same(finding.question), same("")))
    return Invariant(
        checker=finding.checker,
        question=question,
        how=how,
        verdict=finding.verdict,
        looked_at=finding.looked_at,
        affected=finding.affected,
        problems=finding.problems,
        notes=finding.notes,
    )


# --- what it was played on ------------------------------------------------------------------------


def _grounds(topology: Topology | None, name: str) -> Grounds | None:
    if topology is None:
        return None
    return Grounds(
        topology=name,
        copies_min=topology.copies_min,
        places=tuple(_place(topology, place) for place in topology.places()),
        timings=tuple(_timings(topology).items()),
    )


def _place(topology: Topology, place: str) -> Place:
    site = next((each for each in topology.sites if each.name == place), None)
    return Place(
        name=place,
        active=place == topology.active_site,
        nodes=tuple(node.name for node in site.nodes) if site else (),
        etcd=tuple(member.name for member in topology.etcd if member.place == place),
        coordinators=tuple(each.name for each in topology.coordinators if each.place == place),
        switches=site.switches if site else 0,
        batch_s=site.batch_every_ms / 1000.0 if site else 0.0,
        services=site.services if site else (),
    )


def _origin(dossier: Dossier, altered: Sequence[str]) -> Origin:
    manifest, headers = dossier.manifest, dossier.history.headers
    return Origin(
        folder=dossier.folder.name,
        started_at=manifest.started_at,
        command=manifest.command,
        seed=manifest.seed,
        rate=sum(header.rate for header in headers),
        terminals=sum(header.terminals for header in headers),
        ground=f"ground_{dossier.drill.ground.value}",
        versions=tuple(manifest.versions.items()),
        seal=dossier.seal,
        files=len(manifest.files),
        altered=tuple(altered),
    )
