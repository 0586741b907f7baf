"""deploy/view and deploy/alarms: what is shown of a cluster, and what an operator is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import msgspec
from rich.console import Console
from rich.table import Table

from coordinator.configuration import Configuration, ReplicaId
from coordinator.records import ReportRecord
from deploy import view
from deploy.alarms import alarms
from deploy.control import NodeStatus, PeerStatus, leader_of
from deploy.sight import Sight
from deploy.topology import DEFAULT, FOLDER, Topology, load
from deploy.written import Written

ONE = load(FOLDER / "one-site-3node.toml")
TWO = load(DEFAULT)
LEGACY = load(FOLDER / "legacy-2node.toml")
NOW_MS = 1_000_000


def node(name: str, role: str = "follower", *, reason: str = "", epoch: int = 5) -> NodeStatus:
    return NodeStatus(
        node=name,
        disk_id=f"d{name}",
        site=name[0],
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
    """One site."""
    return {"a1": node("a1", "leader"), "a2": node("a2"), "a3": node("a3")}


def both(**changed: object) -> dict[str, NodeStatus | None]:
    """Two sites, all in sync; `changed` in what the leader says."""
    leader = replace(
        node("a1", "leader"),
        standby_in_sync=("b1/db1", "b2/db2", "b3/db3"),
        mode="in sync",
        peers=tuple(
            PeerStatus(name, f"d{name}", True, 91, 0, 3, name[0], "streaming")
            for name in ("a2", "a3", "b1", "b2", "b3")
        ),
        **changed,  # type: ignore[arg-type]
    )
    others = {name: node(name) for name in ("a2", "a3", "b1", "b2", "b3")}
    return {"a1": leader, **others}


def report(place: str, **changed: object) -> ReportRecord:
    """A report of half a second ago."""
    made = ReportRecord(
        place=place,
        source=f"c{place[0]}",
        sequence=7,
        at_ms=NOW_MS - 500,
        mode="automatic",
        revision=3,
        active_site="a",
        unserved_ms=0,
        awaited=False,
        leader="a1",
        epoch=5,
        leader_unreached_ms=0,
        led_ms=5000,
        failover_ms=-1,
        nodes=(),
        etcd="127.0.0.1:7401",
        etcd_ok=True,
        etcd_away_ms=0,
    )
    return msgspec.structs.replace(made, **changed)


def seen(
    statuses: dict[str, NodeStatus | None],
    *,
    topology: Topology = TWO,
    reports: tuple[ReportRecord, ...] = tuple(map(report, ("a", "b", "witness"))),
    configuration: Configuration | None = None,
    etcd: tuple[bool, bool, bool] = (True, True, True),
) -> Sight:
    """What was seen at `NOW_MS`."""
    written = Written(configuration, 3, None, (), reports)
    return Sight(
        topology, statuses, written, dict(zip(("e1", "e2", "e3"), etcd, strict=True)), "", NOW_MS
    )


def raised(statuses: dict[str, NodeStatus | None]) -> list[str]:
    """The alarms of one site."""
    return alarms(seen(statuses, topology=ONE))


def text(part: Table) -> list[list[str]]:
    """The rows of a table in words, without its head."""
    out = StringIO()
    Console(file=out, width=160).print(part)
    return [line.split() for line in out.getvalue().splitlines()[1:]]


def test_a_whole_cluster_raises_no_alarm() -> None:
    assert raised(cluster()) == []


def test_nobody_leads() -> None:
    statuses = {**cluster(), "a1": node("a1", "campaigning", reason="etcd does not answer")}
    assert raised(statuses) == ["nobody settles: etcd does not answer"]


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
    assert raised(statuses) == [
        "a3 does not answer, and is not in sync",
        "one more loss stops settling: 2 in sync, copies_min 2",
    ]


def test_a_replica_far_behind() -> None:
    slow = PeerStatus("a3", "da3", True, 12, 1000, 3)
    statuses = {**cluster(), "a1": replace(node("a1", "leader"), peers=(slow,))}
    assert raised(statuses) == ["a3 is 1000 entries behind"]


def test_a_node_that_vouches_for_nothing_says_why() -> None:
    statuses = {**cluster(), "a2": node("a2", "silent", reason="disk full")}
    assert raised(statuses) == ["a2 vouches for nothing: disk full"]


def test_nodes_of_two_clusters() -> None:
    statuses = {**cluster(), "a3": replace(node("a3"), cluster_id="c2")}
    assert raised(statuses) == ["nodes of different clusters: c1, c2"]


def test_the_table_has_a_row_for_every_node_even_a_silent_one() -> None:
    rows = text(view.table(seen({**cluster(), "a3": None}, topology=ONE)))
    assert rows[0][:6] == ["a1", "a", "leader", "5", "yes", "90"]
    assert rows[1][:5] == ["a2", "a", "follower", "5", "yes"]
    assert rows[2] == ["a3", "a", "no", "answer"]


def test_two_sites_at_a_glance() -> None:
    sight = seen(both())
    assert alarms(sight) == []
    assert view.headline(sight) == "renewed: a1 leads epoch 5 in site a, in sync"
    assert text(view.sites(sight)) == [
        ["a", "active", "settles", "3", "of", "3", "a1", "a2", "a3"],
        ["b", "standby", "in", "sync", "3", "of", "3", "b1", "b2", "b3"],
    ]
    rows = text(view.table(sight))
    assert [row[0] for row in rows] == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert rows[5] == ["b3", "b", "follower", "5", "yes", "90", "90", "0", "streaming", "1"]
    assert text(view.coordinators(sight))[2] == (
        ["cw", "witness", "0.5", "s", "ago", "automatic", "healthy", "site", "a", "serves"]
    )


def test_people_read_names_not_disks() -> None:
    change = f"evict b1/{'0a' * 16} b2/{'1b' * 16} (configuration 108)"
    sight = seen(both(last_set_change=change))
    assert list(view.reasons(sight)) == ["last set change  evict b1 b2 (configuration 108)"]
    assert json.loads(view.document(sight))["last_set_change"] == change


def test_one_site_has_no_standby_to_miss() -> None:
    sight = seen(cluster(), topology=ONE)
    assert sight.mode == "one site"
    assert view.headline(sight) == "renewed: a1 leads epoch 5, one site".replace(
        "renewed", ONE.cluster
    )


def test_degraded() -> None:
    statuses = both(last_set_change="site b dropped: silent for 1500 ms")
    assert statuses["a1"] is not None
    statuses["a1"] = replace(statuses["a1"], standby_in_sync=(), mode="degraded")
    statuses["b1"] = None
    statuses["b2"] = replace(node("b2"), snapshot="takes in a snapshot at 80: 40 of 120 MB")
    sight = seen(statuses)
    assert alarms(sight) == [
        "degraded: standby site b is not in sync, what is settled now is only in site a "
        "(site b dropped: silent for 1500 ms)",
        "b1 does not answer, and is not in sync",
        "b2 is not in sync: takes in a snapshot at 80: 40 of 120 MB",
        "b3 is not in sync (streaming)",
    ]
    assert text(view.sites(sight))[1] == ["b", "standby", "not", "in", "sync", "0", "of", "3", "-"]
    assert list(view.reasons(sight)) == [
        "last set change  site b dropped: silent for 1500 ms",
        "b2  takes in a snapshot at 80: 40 of 120 MB",
    ]


def test_what_one_more_loss_would_do() -> None:
    statuses = both()
    leader = statuses["a1"]
    assert leader is not None

    def with_sets(active: int, standby: int) -> list[str]:
        changed = replace(
            leader,
            in_sync=leader.in_sync[:active],
            standby_in_sync=leader.standby_in_sync[:standby],
        )
        return [each for each in alarms(seen({**statuses, "a1": changed})) if "not in" not in each]

    assert with_sets(3, 3) == []
    assert with_sets(3, 2) == [
        "one more loss in the standby site makes a switch impossible: 2 in sync there, copies_min 2"
    ]
    assert with_sets(3, 1) == ["no switch is possible: 1 in sync in the standby site, copies_min 2"]
    assert with_sets(2, 3) == []
    assert with_sets(1, 3) == [
        "the loss of the standby site stops settling: 1 in sync in the active one, copies_min 2"
    ]
    assert with_sets(2, 0) == ["one more loss stops settling: 2 in sync, copies_min 2"]


def test_coordinators_that_are_silent_or_propose() -> None:
    reports = (
        report("a", at_ms=NOW_MS - 12_000, proposal="switch to c"),
        report("b", proposal="switch to b: site a has served nobody for 1300 ms", etcd_ok=False),
    )
    sight = seen(both(), reports=reports)
    assert alarms(sight) == [
        "proposed: switch to b: site a has served nobody for 1300 ms",
        "coordinator ca at a has been silent for 12 s",
        "coordinator cw at witness has not reported: is it running?",
    ]
    assert text(view.coordinators(sight))[2] == ["cw", "witness", "never"]


def test_etcd_members_away() -> None:
    assert alarms(seen(both(), etcd=(True, False, True))) == [
        "etcd member away: e2: one more, and nobody could take over"
    ]
    sight = replace(
        seen(both(), etcd=(False, False, True)), written=None, etcd_problem="no member answers"
    )
    assert alarms(sight) == ["etcd does not answer, so nobody could take over: no member answers"]


def test_a_disk_that_was_given_up_needs_a_person() -> None:
    configuration = Configuration(
        "c1",
        "b",
        {"a": frozenset(), "b": frozenset([ReplicaId("b1", "db1"), ReplicaId("b2", "db2")])},
        2,
        given_up=frozenset([ReplicaId("a2", "da2")]),
    )
    found = alarms(seen(both(), configuration=configuration))
    assert found == [
        "the disk of a2 was given up and never counts again: `kessai new-disk a2` keeps its "
        "files aside and takes the node back"
    ]


def test_without_a_leader_etcd_says_who_counts() -> None:
    configuration = Configuration(
        "c1", "b", {"a": frozenset(), "b": frozenset([ReplicaId("b1", "db1")])}, 1
    )
    statuses: dict[str, NodeStatus | None] = dict.fromkeys(("a1", "a2", "a3", "b1", "b2", "b3"))
    sight = seen(statuses, configuration=configuration)
    assert view.headline(sight) == "renewed: no leader, degraded"
    assert [(site.role, site.in_sync) for site in sight.sites()] == [
        ("standby", ()),
        ("active", ("b1/db1",)),
    ]
    assert text(view.sites(sight))[1][:4] == ["b", "active", "settles", "nothing"]


def test_the_document_for_programs_holds_all_of_it() -> None:
    found = json.loads(view.document(seen(both(manoeuvre="handover to a2: draining"))))
    assert found["leader"] == "a1"
    assert found["mode"] == "in sync"
    assert [site["role"] for site in found["sites"]] == ["active", "standby"]
    assert found["nodes"]["b3"]["disk_id"] == "db3"
    assert found["manoeuvre"] == "handover to a2: draining"
    assert found["coordinators"][2]["report"]["place"] == "witness"
    assert found["etcd"] == {"e1": True, "e2": True, "e3": True}
    assert found["alarms"] == []


def legacy(**changed: object) -> dict[str, NodeStatus | None]:
    """Two in the active site, and one that is fed in batches; `changed` in what a1 says."""
    b1 = PeerStatus("b1", "db1", True, 40, 1200, 3, "b", "in batches")
    said: dict[str, object] = {"mode": "batches", "copies_min": 1, "peers": (b1,), **changed}
    leader = replace(node("a1", "leader"), in_sync=("a1/da1", "a2/da2"), **said)  # type: ignore[arg-type]
    return {"a1": leader, "a2": node("a2"), "b1": node("b1")}


def test_a_standby_that_is_fed_in_batches_is_no_alarm_and_said_in_words() -> None:
    sight = seen(legacy(), topology=LEGACY)
    assert alarms(sight) == []
    assert view.headline(sight) == "legacy: a1 leads epoch 5 in site a, standby in batches"
    assert list(view.reasons(sight)) == [
        "standby site b is fed every 5 s and lags: it can take over with loss only"
    ]
    assert text(view.sites(sight))[1][:7] == ["b", "standby", "a", "batch", "every", "5", "s"]
    assert text(view.table(sight))[2][:5] == ["b1", "b", "follower", "5", "never"]


def test_a_standby_in_batches_that_is_away_is_an_alarm() -> None:
    sight = seen({**legacy(), "b1": None}, topology=LEGACY)
    assert alarms(sight) == ["b1 does not answer"]


def test_a_standby_in_batches_that_fetches_a_snapshot_is_too_far_behind() -> None:
    b1 = PeerStatus("b1", "db1", True, 40, 1200, 3, "b", "snapshot")
    sight = seen(legacy(peers=(b1,)), topology=LEGACY)
    assert alarms(sight) == ["b1 is 1200 entries behind"]


def test_without_a_leader_the_standby_in_batches_is_still_called_so() -> None:
    a, b = frozenset({ReplicaId("a1", "d")}), frozenset[ReplicaId]()
    configuration = Configuration("c1", "a", {"a": a, "b": b}, 1)
    nobody: dict[str, NodeStatus | None] = {"a1": None, "a2": None, "b1": None}
    assert seen(nobody, topology=LEGACY, configuration=configuration).mode == "batches"


def test_what_the_site_that_settles_does_not_offer() -> None:
    leader = replace(
        node("b1", "leader"), active_site="b", in_sync=("b1/db1",), copies_min=1, mode="degraded"
    )
    sight = seen({"a1": None, "a2": None, "b1": leader}, topology=LEGACY)
    assert alarms(sight)[:2] == [
        "site b settles and offers CREDIT only; refused: UNIONPAY, J_DEBIT, E_MONEY, POINT, "
        "COUPON, DCC",
        "degraded: standby site a is not in sync, what is settled now is only in site b",
    ]
