"""What an operator should look at, the worst first: one sentence each, with what helps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.configuration import majority
from deploy.control import NodeStatus
from deploy.sight import Sight, without_disks
from node.ledger.commands import Service

LAG_ALARM: Final = 1000
"""Entries behind the leader."""

QUIET_ALARM_MS: Final = 5000
"""A coordinator that has not reported for so long is silent."""


def alarms(sight: Sight) -> list[str]:
    """Empty when all is well."""
    return [
        *_settling(sight),
        *_services(sight),
        *_standby(sight),
        *_proposals(sight),
        *_nodes(sight),
        *_losses(sight),
        *_watch(sight),
    ]


def _settling(sight: Sight) -> Iterator[str]:
    statuses = sight.statuses
    if sight.leader is None:
        said = sorted({each.reason for each in statuses.values() if each and each.reason})
        yield f"nobody settles: {'; '.join(said) or 'no leader is serving'}"
    identities = {each.cluster_id for each in statuses.values() if each and each.cluster_id}
    if len(identities) > 1:
        yield f"nodes of different clusters: {', '.join(sorted(identities))}"


def _services(sight: Sight) -> Iterator[str]:
    if sight.leader is not None:
        offered = sight.topology.site(sight.leader.site).services
        refused = [each.name for each in Service if offered and each.name not in offered]
        if refused:
            yield (
                f"site {sight.leader.site} settles and offers {', '.join(offered)} only; refused: "
                f"{', '.join(refused)}"
            )


def _standby(sight: Sight) -> Iterator[str]:
    if sight.mode != "degraded":
        return
    for site in sight.sites():
        if site.role == "standby":
            because = without_disks(sight.leader.last_set_change) if sight.leader else ""
            yield (
                f"degraded: standby site {site.name} is not in sync, what is settled now is only "
                f"in site {sight.active_site}" + (f" ({because})" if because else "")
            )


def _proposals(sight: Sight) -> Iterator[str]:
    reports = sight.written.reports if sight.written else ()
    fresh = [report for report in reports if sight.at_ms - report.at_ms <= QUIET_ALARM_MS]
    for proposal in sorted({report.proposal for report in fresh} - {""}):
        yield f"proposed: {proposal}"


def _nodes(sight: Sight) -> Iterator[str]:
    """One alarm a node, about what keeps it from counting; then those that lag."""
    leader, given_up = sight.leader, sight.given_up()
    counted = {replica.partition("/")[0] for site in sight.sites() for replica in site.in_sync}
    for name, each in sight.statuses.items():
        by_design = sight.batch_every_ms(sight.topology.site_of(name)) > 0
        out = leader is not None and name not in counted and not by_design
        if each is None:
            yield f"{name} does not answer" + (", and is not in sync" if out else "")
        elif each.replica in given_up:
            yield (
                f"the disk of {name} was given up and never counts again: "
                f"`kessai new-disk {name}` keeps its files aside and takes the node back"
            )
        elif each.role == "silent":
            yield f"{name} vouches for nothing: {each.reason or 'no reason given'}"
        elif out and leader is not None:
            yield f"{name} is not in sync" + _how(each, leader)
    for peer in leader.peers if leader else ():
        if peer.lag >= LAG_ALARM and peer.feed != "in batches":
            yield f"{peer.node} is {peer.lag} entries behind"


def _how(status: NodeStatus, leader: NodeStatus) -> str:
    """What is being done about a node that is not in sync."""
    if status.snapshot:
        return f": {status.snapshot}"
    feed = next((peer.feed for peer in leader.peers if peer.node == status.node), "")
    return f" ({feed})" if feed else ""


def _losses(sight: Sight) -> Iterator[str]:
    """What one more loss would do: to settling, and to a switch."""
    leader = sight.leader
    if leader is None:
        return
    active, standby, least = len(leader.in_sync), len(leader.standby_in_sync), leader.copies_min
    if majority(active - 1) + majority(standby) < least:
        count = active + standby
        yield f"one more loss stops settling: {count} in sync, copies_min {least}"
    if standby and majority(active) < least:
        yield (
            f"the loss of the standby site stops settling: {active} in sync in the active one, "
            f"copies_min {least}"
        )
    if standby and majority(standby) < least:
        yield f"no switch is possible: {standby} in sync in the standby site, copies_min {least}"
    elif standby and majority(standby - 1) < least:
        yield (
            f"one more loss in the standby site makes a switch impossible: {standby} in sync "
            f"there, copies_min {least}"
        )


def _watch(sight: Sight) -> Iterator[str]:
    if sight.written is None and sight.etcd_problem:
        yield f"etcd does not answer, so nobody could take over: {sight.etcd_problem}"
    away = [name for name, healthy in sight.etcd.items() if not healthy]
    if away and sight.written is not None:
        left = len(sight.etcd) - len(away)
        more = "" if left > majority(len(sight.etcd)) else ": one more, and nobody could take over"
        yield f"etcd member{'s' * (len(away) > 1)} away: {', '.join(away)}{more}"
    if sight.written is None:
        return
    for coordinator in sight.topology.coordinators:
        report = sight.report_of(coordinator.place)
        where = f"coordinator {coordinator.name} at {coordinator.place}"
        if report is None:
            yield f"{where} has not reported: is it running?"
        elif sight.at_ms - report.at_ms > QUIET_ALARM_MS:
            yield f"{where} has been silent for {(sight.at_ms - report.at_ms) / 1000:.0f} s"
