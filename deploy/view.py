"""A cluster's state for people: the table and the alarms of `kessai status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.table import Table

from coordinator.configuration import majority
from deploy.control import NodeStatus, leader_of
from deploy.topology import Topology

LAG_ALARM: Final = 1000  # entries behind the leader

Statuses = Mapping[str, NodeStatus | None]


def alarms(topology: Topology, statuses: Statuses) -> list[str]:
    """What an operator should look at, the worst first; empty when all is well."""
    found: list[str] = []
    leader = leader_of(statuses)
    if leader is None:
        said = sorted({each.reason for each in statuses.values() if each and each.reason})
        found.append(f"nobody settles: {'; '.join(said) or 'no leader is serving'}")
    identities = {each.cluster_id for each in statuses.values() if each and each.cluster_id}
    if len(identities) > 1:
        found.append(f"nodes of different clusters: {', '.join(sorted(identities))}")
    found += [f"{name} does not answer" for name, each in statuses.items() if each is None]
    if leader is not None:
        found += _of_leader(topology, leader)
    found += [
        f"{name} vouches for nothing: {each.reason or 'no reason given'}"
        for name, each in statuses.items()
        if each and each.role == "silent"
    ]
    return found


def _of_leader(topology: Topology, leader: NodeStatus) -> list[str]:
    in_sync = (*leader.in_sync, *leader.standby_in_sync)
    synced = {replica.partition("/")[0] for replica in in_sync}
    found = [f"{node.name} is not in sync" for node in topology.nodes if node.name not in synced]
    left = majority(len(leader.in_sync) - 1) + majority(len(leader.standby_in_sync))
    if left < leader.copies_min:
        found.append(
            f"one more loss stops settling: {len(in_sync)} in sync, copies_min {leader.copies_min}"
        )
    found += [
        f"{peer.node} is {peer.lag} entries behind"
        for peer in leader.peers
        if peer.lag >= LAG_ALARM
    ]
    return found


def table(statuses: Statuses) -> Table:
    """One row a node."""
    leader = leader_of(statuses)
    lags = {peer.node: peer.lag for peer in leader.peers} if leader else {}
    synced = {*leader.in_sync, *leader.standby_in_sync} if leader else set()
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("node", "site", "role", "epoch", "in sync"):
        made.add_column(name, no_wrap=True)
    for name in ("commit", "applied", "last", "lag", "settled"):
        made.add_column(name, no_wrap=True, justify="right")
    for name, each in statuses.items():
        if each is None:
            made.add_row(name, "", "[red]no answer[/]")
            continue
        made.add_row(
            name,
            each.site,
            f"{each.role}, serving" if each is leader else each.role,
            str(each.epoch),
            "" if leader is None else "yes" if each.replica in synced else "[red]no[/]",
            str(each.commit_index),
            str(each.applied_index),
            str(each.last_index),
            "-" if each is leader else str(lags.get(name, "")),
            str(each.settled),
        )
    return made


def reasons(statuses: Statuses) -> list[str]:
    """What each node says of itself."""
    return [f"{name}  {each.reason}" for name, each in statuses.items() if each and each.reason]
