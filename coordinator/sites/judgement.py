"""What is to be done about the active site, given what the places report. Pure.

A place complains when terminals there have been served by nobody for long enough. How long is
enough depends on what the site can still do for itself: nothing when it is silent; elect another
leader while a takeover quorum answers; drop a standby that is cut off while its leader stalls. A
majority of the places must complain, of the same configuration, in fresh reports; and a place that
reaches the standby no better has no say, since it may be cut off itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.configuration import Configuration, majority, takeover_size
from coordinator.planning import SwitchRefused, plan
from coordinator.records import NodeSight, Reach, ReportRecord
from coordinator.settings import Mode, Switching
from coordinator.sites.reports import Heard

STALLED_MS: Final = 5000
"""Patience with a leader that answers but proves nothing: first it evicts whoever is silent (S6:
1.5 s), in a transaction that may meet an election inside etcd."""

SETTLE_MS: Final = 10_000
"""Patience with a site that has not served yet since it became active, or since we looked."""

FAILOVER_MS: Final = 30_000
"""After a failover no other one for so long: it would lead back to where nobody was served, and a
cluster that is merely overloaded must not be driven to and fro."""

LED_MS: Final = 10_000
"""A leader that has led for less is not moved: moving it again would only prolong the trouble."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class MoveLeader:
    """Ask `node`, which leads `epoch`, to hand over within its site."""

    node: str
    epoch: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Make `to` the active site."""

    to: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Propose:
    """Tell the operator; `kind` is the event's word."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """A switch is called for and may not be made: an alarm."""

    reason: str


Decision = Nothing | MoveLeader | Switch | Propose | Blocked


@dataclass(frozen=True, slots=True)
class Look:
    """What one place knows when it judges: etcd's configuration, its own sight, the others'."""

    configuration: Configuration | None
    revision: int
    mine: ReportRecord
    others: Sequence[Heard]


def judge(look: Look, switching: Switching) -> Decision:
    """What to do now. Judged by every place for itself, on the same rules."""
    configuration = look.configuration
    if configuration is None:
        return Nothing("the cluster has no configuration yet")
    active, standby = configuration.active_site, configuration.standby_site
    if standby is None:
        return Nothing(f"site {active} is the only one")
    places = len(configuration.in_sync) + 1  # the sites and the witness (X5)
    needed = majority(places)
    fresh = _fresh(look, switching)
    complaints = [each for each in fresh if complaint(each, configuration, switching)]
    unreached = [each for each in fresh if _leader_unreached(each, look.mine, switching)]
    if len(complaints) >= needed:
        evidence = (
            f"site {active} serves no terminals as seen from "
            f"{_told(complaints, lambda each: complaint(each, configuration, switching))}"
        )
        try:
            plan(configuration, standby)
        except SwitchRefused as refused:
            if len(unreached) < needed:
                return Blocked(f"{evidence}; no switch: {refused}")
        else:
            return _switch(standby, evidence, switching.mode)
    if len(unreached) >= needed:
        return _move(look.mine, unreached, switching.mode)
    if complaints:
        told = _told(complaints, lambda each: complaint(each, configuration, switching))
        return Nothing(f"only {told} sees site {active} serve nobody; {needed} places must")
    return Nothing(f"nothing to do about site {active}")


def complaint(report: ReportRecord, configuration: Configuration, switching: Switching) -> str:
    """Why this place holds that the active site serves nobody, in words; "" if it does not."""
    active = configuration.active_site
    if report.unserved_ms < _patience_ms(report, configuration, switching):
        return ""
    if 0 <= report.failover_ms < FAILOVER_MS:
        return ""
    if not any(_answers(node) and node.site != active for node in report.nodes):
        return ""
    there = ", ".join(
        f"{node.node} {node.reach}{f' ({node.reason})' if node.reason else ''}"
        for node in report.nodes
        if node.site == active
    )
    return f"{report.unserved_ms / 1000:.1f} s: {there}"


def _patience_ms(report: ReportRecord, configuration: Configuration, switching: Switching) -> float:
    if report.awaited:
        return max(SETTLE_MS, switching.agree_ms)
    there = [node for node in report.nodes if node.site == configuration.active_site]
    if any(node.reach is Reach.STALLS for node in there):
        return max(STALLED_MS, switching.agree_ms)
    answering = {node.node for node in there if _answers(node)}
    members = {member.node for member in configuration.active_set}
    takeover = takeover_size(len(members))
    if takeover is not None and len(members & answering) >= takeover:
        return switching.move_leader_ms + switching.agree_ms
    return switching.agree_ms


def _fresh(look: Look, switching: Switching) -> list[ReportRecord]:
    """The reports that count, one a place: of this configuration, and seen to change lately."""
    reports = {look.mine.place: look.mine}
    for heard in look.others:
        if heard.age_ms is not None and heard.age_ms <= switching.fresh_ms:
            reports.setdefault(heard.report.place, heard.report)
    return [reports[place] for place in sorted(reports) if _same(reports[place], look)]


def _same(report: ReportRecord, look: Look) -> bool:
    return report.revision == look.revision


def _leader_unreached(report: ReportRecord, mine: ReportRecord, switching: Switching) -> bool:
    """Does this place not reach the leader that we know, while others of its site answer it?"""
    return (
        report.epoch == mine.epoch != 0
        and not 0 <= report.led_ms < LED_MS
        and report.leader_unreached_ms >= switching.move_leader_ms
        and any(_answers(node) for node in report.nodes)
    )


def _answers(node: NodeSight) -> bool:
    return node.reach is not Reach.SILENT


def _switch(to: str, evidence: str, mode: Mode) -> Decision:
    if mode is Mode.AUTOMATIC:
        return Switch(to, evidence)
    if mode is Mode.MANUAL:
        return Propose("switch-proposed", f"{evidence}: kessai site switch --to {to}")
    return Propose("would-have-switched", f"would have switched to site {to}: {evidence}")


def _move(mine: ReportRecord, unreached: Sequence[ReportRecord], mode: Mode) -> Decision:
    told = _told(unreached, lambda each: f"{each.leader_unreached_ms / 1000:.1f} s")
    evidence = f"terminals at {told} do not reach the leader {mine.leader}, only others of its site"
    if mode is Mode.OBSERVE_ONLY:
        return Propose("would-have-moved", f"would have moved the leader: {evidence}")
    return MoveLeader(mine.leader, mine.epoch, evidence)


def _told(reports: Sequence[ReportRecord], words: Callable[[ReportRecord], str]) -> str:
    """`b (1.4 s: ...) and witness (...)`."""
    return " and ".join(f"{report.place} ({words(report)})" for report in reports)
