"""deploy/view: what an operator is alarmed about, and what is said in the table."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from deploy import view
from deploy.control import NodeStatus, PeerStatus, leader_of
from deploy.topology import DEFAULT, load

TOPOLOGY = load(DEFAULT)


def node(name: str, role: str = "follower", *, reason: str = "", epoch: int = 5) -> NodeStatus:
    return NodeStatus(
        node=name,
        disk_id=f"d{name}",
        site="a",
        role=role,
        epoch=epoch,
        leader="a1",
        leader_endpoint="127.0.0.1:7101",
        commit_index=90,
        applied_index=90,
        last_index=91,
        last_hash="00",
        cluster_id="c1",
        active_site="a",
        copies_min=2,
        configuration_revision=3,
        in_sync=("a1/da1", "a2/da2", "a3/da3"),
        standby_in_sync=(),
        serving=role == "leader",
        reason=reason,
        peers=(),
        settled=1,
        fsyncs=1,
        cpu_seconds=0.5,
    )


def cluster() -> dict[str, NodeStatus | None]:
    return {"a1": node("a1", "leader"), "a2": node("a2"), "a3": node("a3")}


def test_a_whole_cluster_raises_no_alarm() -> None:
    assert view.alarms(TOPOLOGY, cluster()) == []


def test_nobody_leads() -> None:
    statuses = {**cluster(), "a1": node("a1", "campaigning", reason="etcd does not answer")}
    assert view.alarms(TOPOLOGY, statuses) == ["nobody settles: etcd does not answer"]


def test_a_leader_that_does_not_serve_is_none() -> None:
    statuses = {**cluster(), "a1": replace(node("a1", "leader"), serving=False)}
    assert leader_of(statuses) is None


def test_of_two_that_claim_to_lead_the_later_epoch_counts() -> None:
    statuses = {**cluster(), "a2": node("a2", "leader", epoch=6)}
    leader = leader_of(statuses)
    assert leader is not None
    assert leader.node == "a2"


def test_a_lost_node_and_what_another_loss_would_mean() -> None:
    leader = replace(node("a1", "leader"), in_sync=("a1/da1", "a2/da2"))
    statuses = {"a1": leader, "a2": node("a2"), "a3": None}
    assert view.alarms(TOPOLOGY, statuses) == [
        "a3 does not answer",
        "a3 is not in sync",
        "one more loss stops settling: 2 in sync, copies_min 2",
    ]


def test_a_replica_far_behind() -> None:
    slow = PeerStatus("a3", "da3", True, 12, 1000, 3)
    statuses = {**cluster(), "a1": replace(node("a1", "leader"), peers=(slow,))}
    assert view.alarms(TOPOLOGY, statuses) == ["a3 is 1000 entries behind"]


def test_a_node_that_vouches_for_nothing_says_why() -> None:
    statuses = {**cluster(), "a2": node("a2", "silent", reason="disk full")}
    assert view.alarms(TOPOLOGY, statuses) == ["a2 vouches for nothing: disk full"]


def test_nodes_of_two_clusters() -> None:
    statuses = {**cluster(), "a3": replace(node("a3"), cluster_id="c2")}
    assert view.alarms(TOPOLOGY, statuses) == ["nodes of different clusters: c1, c2"]


def test_the_table_has_a_row_for_every_node_even_a_silent_one() -> None:
    out = StringIO()
    Console(file=out, width=100).print(view.table({**cluster(), "a3": None}))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert rows[1][:6] == ["a1", "a", "leader,", "serving", "5", "yes"]
    assert rows[2][:5] == ["a2", "a", "follower", "5", "yes"]
    assert rows[3] == ["a3", "no", "answer"]
