"""A cluster's state for people and for programs: what `kessai status` shows."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec
from rich.table import Table

from deploy.alarms import alarms
from deploy.control import NodeStatus
from deploy.sight import Sight, SiteSight, without_disks


def headline(sight: Sight) -> str:
    """One line: who leads where, and how settlements are replicated."""
    leader = sight.leader
    who = f"{leader.node} leads epoch {leader.epoch}" if leader else "no leader"
    where = f" in site {leader.site}" if leader and len(sight.topology.sites) > 1 else ""
    how = "standby in batches" if sight.mode == "batches" else sight.mode
    return f"{sight.topology.cluster}: {who}{where}" + (f", {how}" if how else "")


def sites(sight: Sight) -> Table:
    """One row a site."""
    made = _table("site", "role", "replication", "in sync", "replicas")
    for site in sight.sites():
        made.add_row(
            site.name,
            site.role or "?",
            _replication(sight, site),
            f"{len(site.in_sync)} of {len(site.nodes)}",
            " ".join(replica.partition("/")[0] for replica in site.in_sync) or "-",
        )
    return made


def _replication(sight: Sight, site: SiteSight) -> str:
    if site.role == "active":
        return "settles" if sight.leader else "[red]settles nothing[/]"
    if not site.role:
        return "?"
    if sight.mode == "batches":
        return f"a batch every {sight.batch_every_ms(site.name) / 1000:g} s"
    return "in sync" if sight.mode == "in sync" else "[red]not in sync[/]"


def table(sight: Sight) -> Table:
    """One row a node."""
    leader = sight.leader
    peers = {peer.node: peer for peer in leader.peers} if leader else {}
    synced = {replica for site in sight.sites() for replica in site.in_sync}
    made = _table("node", "site", "role", "epoch", "in sync")
    for name in ("commit", "applied", "lag"):
        made.add_column(name, no_wrap=True, justify="right")
    made.add_column("feed", no_wrap=True)
    made.add_column("settled", no_wrap=True, justify="right")
    for name, each in sight.statuses.items():
        if each is None:
            made.add_row(name, sight.topology.site_of(name), "[red]no answer[/]")
            continue
        peer = peers.get(name)
        made.add_row(
            name,
            each.site,
            _role(each, leader),
            str(each.epoch),
            "" if leader is None else _counts(sight, each, synced),
            str(each.commit_index),
            str(each.applied_index),
            str(peer.lag) if peer else "-",
            peer.feed or "-" if peer else "-",
            str(each.settled),
        )
    return made


def _counts(sight: Sight, status: NodeStatus, synced: Container[str]) -> str:
    if status.replica in synced:
        return "yes"
    return "never" if sight.batch_every_ms(status.site) else "[red]no[/]"


def _role(status: NodeStatus, leader: NodeStatus | None) -> str:
    if status is leader:
        return "[bold]leader[/]"
    return "leader, not serving" if status.role == "leader" else status.role


def coordinators(sight: Sight) -> Table:
    """One row a coordinator: what it last reported."""
    made = _table("coordinator", "place", "reported", "mode", "etcd")
    made.add_column("sees")
    for each in sight.topology.coordinators:
        report = sight.report_of(each.place)
        if report is None:
            made.add_row(each.name, each.place, "[red]never[/]")
            continue
        made.add_row(
            each.name,
            each.place,
            f"{max(0, sight.at_ms - report.at_ms) / 1000:.1f} s ago",
            report.mode,
            "healthy" if report.etcd_ok else f"[red]{report.etcd or 'away'}[/]",
            report.says or _seen(report.active_site, report.unserved_ms),
        )
    return made


def _seen(active_site: str, unserved_ms: int) -> str:
    if unserved_ms:
        return f"site {active_site} has served nobody for {unserved_ms} ms"
    return f"site {active_site} serves"


def reasons(sight: Sight) -> Iterator[str]:
    """How the standby is fed, what is under way, what was done last, and what each node says of
    itself."""
    for site in sight.sites():
        if sight.mode == "batches" and site.role == "standby":
            yield (
                f"standby site {site.name} is fed every "
                f"{sight.batch_every_ms(site.name) / 1000:g} s and lags: it can take over with "
                f"loss only"
            )
    if sight.leader is not None and sight.leader.manoeuvre:
        yield f"under way  {without_disks(sight.leader.manoeuvre)}"
    if sight.leader is not None and sight.leader.last_set_change:
        yield f"last set change  {without_disks(sight.leader.last_set_change)}"
    for name, each in sight.statuses.items():
        if each and each.snapshot:
            yield f"{name}  {each.snapshot}"
        if each and each.reason:
            yield f"{name}  {without_disks(each.reason)}"


def document(sight: Sight) -> bytes:
    """All of it for programs, as one JSON document."""
    leader = sight.leader
    made = {
        "cluster": sight.topology.cluster,
        "leader": leader.node if leader else None,
        "epoch": leader.epoch if leader else None,
        "active_site": sight.active_site,
        "mode": sight.mode,
        "in_sync": leader.in_sync if leader else [],
        "standby_in_sync": leader.standby_in_sync if leader else [],
        "manoeuvre": leader.manoeuvre if leader else "",
        "last_set_change": leader.last_set_change if leader else "",
        "given_up": sorted(sight.given_up()),
        "sites": sight.sites(),
        "nodes": sight.statuses,
        "etcd": sight.etcd,
        "coordinators": [
            {"name": each.name, "place": each.place, "report": sight.report_of(each.place)}
            for each in sight.topology.coordinators
        ],
        "alarms": alarms(sight),
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2)


def _table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=True)
    return made
