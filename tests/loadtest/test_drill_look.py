"""What a drill reads from statuses, and what it demands of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.control import NodeStatus, PeerStatus
from deploy.topology import Topology
from loadtest.drill.admissions import Admissions
from loadtest.drill.catalogue import find
from loadtest.drill.grounds import CannotBeDone, Loopback, ground_of, terminals_command
from loadtest.drill.lookout import fulfils, in_words, installed, together
from loadtest.drill.services import one_of_each
from loadtest.drill.steps import Await
from loadtest.request import Service
from tests.deploy.small import topology


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


def test_on_loopback_nothing_is_cut_and_everybody_is_here() -> None:
    small: Topology = topology()
    with ground_of(find("leader-crash"), small) as ground:
        assert ground == Loopback(small)
        assert terminals_command(ground.launcher, ["locust"]) == ["locust"]
        ground.restore()
        with pytest.raises(CannotBeDone, match="netns"):
            ground.cut_sites()
        with pytest.raises(CannotBeDone, match="netns"):
            ground.isolate("a")


def test_a_network_outside_of_a_private_ground_is_refused_with_the_reason() -> None:
    with (
        pytest.raises(CannotBeDone, match="private ground"),
        ground_of(find("intersite-cut"), topology()),
    ):
        raise AssertionError("there is no such ground here")
