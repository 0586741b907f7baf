"""What a drill reads from statuses, and what it demands of them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from deploy.control import NodeStatus, PeerStatus
from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest.drill.admissions import Admissions
from loadtest.drill.lookout import (
    DrillFailed,
    Lookout,
    fulfils,
    in_words,
    installed,
    lacking,
    together,
)
from loadtest.drill.runner import Played
from loadtest.drill.services import one_of_each
from loadtest.drill.show import show_repeats
from loadtest.drill.steps import Await, Whole
from loadtest.drill.verdict import DrillVerdict, Ruling
from loadtest.request import Service
from tests.deploy.small import two_sites
from tests.loadtest.test_drill_parts import figures


def peer(name: str, *, lag: int = 0, connected: bool = True) -> PeerStatus:
    return PeerStatus(name, "d", connected, 100 - lag, lag, 10, name[0])


def leader(*peers: PeerStatus, mode: str = "in sync") -> NodeStatus:
    names = ("a1", *(each.node for each in peers))
    return NodeStatus(
        node="a1",
        disk_id="d",
        site="a",
        role="leader",
        epoch=7,
        leader="a1",
        leader_endpoint="",
        commit_index=100,
        applied_index=100,
        last_index=100,
        last_hash="",
        cluster_id="c",
        active_site="a",
        copies_min=2,
        configuration_revision=3,
        in_sync=tuple(f"{name}/d" for name in names if name[0] == "a"),
        standby_in_sync=tuple(f"{name}/d" for name in names if name[0] == "b"),
        serving=True,
        reason="",
        peers=peers,
        settled=0,
        fsyncs=0,
        cpu_seconds=0.0,
        mode=mode,
    )


WHOLE = leader(peer("a2"), peer("a3"), peer("b1"), peer("b2"), peer("b3"))


@pytest.mark.parametrize(
    ("wanted", "fulfilled"),
    [
        (Await(), True),
        (Await(in_sync=3, standby_in_sync=3, mode="in sync", active="a"), True),
        (Await(in_sync=2), False),
        (Await(standby_in_sync=2), False),
        (Await(mode="degraded"), False),
        (Await(active="b"), False),
    ],
)
def test_what_is_awaited_is_all_of_it(wanted: Await, fulfilled: bool) -> None:
    assert fulfils(WHOLE, wanted) is fulfilled


def test_counted_replicas_must_be_there_and_close_where_sets_are_awaited() -> None:
    behind = leader(peer("a2"), peer("b1", lag=900))
    away = leader(peer("a2"), peer("b1", connected=False))
    for status in (behind, away):
        assert not together(status)
        assert not fulfils(status, Await(standby_in_sync=1))
        assert fulfils(status, Await(mode="in sync"))


BATCHED = replace(leader(peer("a2"), peer("b1"), peer("b2")), standby_in_sync=())


def changed_standby(**keys: Any) -> Topology:
    small = two_sites()
    active, standby = small.sites
    return msgspec.structs.replace(small, sites=(active, msgspec.structs.replace(standby, **keys)))


@pytest.mark.parametrize(
    ("status", "standby", "missing"),
    [
        (leader(peer("a2"), peer("b1"), peer("b2")), {}, ""),
        (leader(peer("a2"), peer("b1")), {}, "b2 in sync"),
        (leader(peer("b1")), {}, "a2 in sync; b2 in sync"),
        (leader(peer("a2"), peer("b1"), peer("b2", lag=900)), {}, "all that are counted .* close"),
        (leader(peer("a2", connected=False), peer("b1"), peer("b2")), {}, "all that are counted"),
        (BATCHED, {}, "b1, b2 in sync"),
        (BATCHED, {"batch_every_ms": 5000}, ""),
        (replace(BATCHED, peers=BATCHED.peers[:2]), {"batch_every_ms": 5000}, "b2 connected"),
        # Once it is active, it is not sent batches any more.
        (replace(BATCHED, active_site="b"), {"batch_every_ms": 5000}, "b1, b2 in sync"),
    ],
)
def test_the_whole_is_what_the_topology_keeps_in_sync(
    status: NodeStatus, standby: dict[str, Any], missing: str
) -> None:
    assert re.fullmatch(
        f"{missing}.*" if missing else "", lacking(status, changed_standby(**standby))
    )


class Settled(Cluster):
    """A cluster whose leader says the same for ever."""

    def __init__(self, status: NodeStatus) -> None:
        self.topology = two_sites()
        self._status = status

    def statuses(self, timeout_s: float = 1.0) -> dict[str, NodeStatus | None]:
        return {self._status.node: self._status}


def test_a_whole_that_does_not_come_is_only_told_where_it_is_not_required() -> None:
    noted: list[tuple[str, str]] = []
    lookout = Lookout(
        Settled(leader(peer("a2"), peer("b1"))), lambda what, detail: noted.append((what, detail))
    )
    with pytest.raises(DrillFailed, match="b2 in sync; last seen: a1 leads"):
        lookout.await_whole(Whole(within_s=0.01))
    lookout.await_whole(Whole(within_s=0.01, required=False))
    assert [what for what, _ in noted] == ["not whole; going on"]
    lookout = Lookout(
        Settled(leader(peer("a2"), peer("b1"), peer("b2"))),
        lambda what, detail: noted.append((what, detail)),
    )
    lookout.await_whole(Whole())
    assert noted[-1][0] == "whole again"


def test_a_status_in_words_names_both_sites() -> None:
    words = in_words(WHOLE)
    assert words == "a1 leads, a is active; in sync: a1, a2, a3; standby: b1, b2, b3; in sync"


def test_a_replica_may_be_counted_only_when_it_has_caught_up() -> None:
    seen = Admissions()
    assert seen.see(["a1/d", "a2/d"], {"a2/d": 9_000}) == ()  # counted from the start
    assert seen.see(["a1/d"], {}) == ()
    assert seen.see(["a1/d", "a2/e"], {"a2/e": 3}) == ("a2/e is counted, 3 entries behind",)
    assert seen.broken == []
    seen.see(["a1/d", "a2/e", "a3/f"], {"a3/f": 4_000})
    assert seen.broken == ["a3/f was counted while 4000 entries behind"]


def test_an_installed_snapshot_is_looked_for_after_the_nodes_return(tmp_path: Path) -> None:
    log = tmp_path / "b1.log"
    assert installed(log, 0) == ""
    first = '{"event":"snapshot","detail":"installing index 40"}\n'
    log.write_text(first)
    assert installed(log, 0) == first.strip()
    assert installed(log, len(first)) == ""
    with log.open("a") as file:
        file.write('{"event":"snapshot","detail":"fetching index 90"}\n')
    assert installed(log, len(first)) == ""
    with log.open("a") as file:
        file.write('{"event":"snapshot","detail":"installing index 90"}\n')
    assert installed(log, len(first)).endswith('index 90"}')


def test_the_seven_services_are_asked_under_keys_of_their_own() -> None:
    first, second = one_of_each(1, 20261123), one_of_each(2, 20261123)
    assert {request.service for request in first} == set(Service) - {Service.ALL}
    keys = [request.key for request in (*first, *second)]
    assert len(set(keys)) == 14
    tokens = [request.card_token for request in (*first, *second)]
    assert len(set(tokens)) == 14


def test_repeats_are_told_by_least_median_and_greatest() -> None:
    told = io.StringIO()
    played = [
        Played(
            DrillVerdict(Ruling.PASS, (), ()),
            replace(figures(), longest_gap_ms=gap, longest_wait_ms=2 * gap),
            Path(),
        )
        for gap in (30.0, 10.0, 20.0)
    ]
    show_repeats(Console(file=told, width=200), played)
    assert "3 of 3 passed" in told.getvalue()
    assert "settle: min 10 ms, median 20 ms, max 30 ms" in told.getvalue()
    assert "disturbed: min 20 ms, median 40 ms, max 60 ms" in told.getvalue()
