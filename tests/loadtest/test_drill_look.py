"""What a drill reads from statuses, and what it demands of them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from deploy.control import NodeStatus, PeerStatus
from deploy.lab.netns.enter import GroundRefused
from deploy.lab.netns.network import Network
from deploy.lab.netns.plan import PlanError
from deploy.topology import Topology
from loadtest.drill import grounds
from loadtest.drill.admissions import Admissions
from loadtest.drill.catalogue import find
from loadtest.drill.grounds import (
    CannotBeDone,
    Loopback,
    Namespaces,
    ground_of,
    terminals_command,
)
from loadtest.drill.lookout import fulfils, in_words, installed, together
from loadtest.drill.runner import Played
from loadtest.drill.services import one_of_each
from loadtest.drill.show import show_repeats
from loadtest.drill.steps import Await
from loadtest.drill.verdict import DrillVerdict, Ruling
from loadtest.request import Service
from tests.deploy.small import topology, two_sites
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


def test_a_drill_whose_ground_cannot_be_had_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def refuse() -> None:
        done.append("entering")
        raise GroundRefused("nsenter is not on PATH: install util-linux")

    # Inside the namespaces nothing can be fetched any more.
    monkeypatch.setattr("deploy.lab.etcd_binary.find", lambda say: done.append("etcd is here"))
    monkeypatch.setattr(grounds, "enter", refuse)
    with pytest.raises(CannotBeDone, match="intersite-cut cannot be played here: nsenter"):
        grounds.go_to(find("intersite-cut"), print)
    assert done == ["etcd is here", "entering"]
    grounds.go_to(find("leader-crash"), print)  # needs no other ground
    assert len(done) == 2


class FakeNetwork:
    """Writes down what is cut; `plan` names the routers as the real one does."""

    def __init__(self) -> None:
        self.topology = two_sites()
        self.plan = self
        self.done: list[str] = []

    def router(self, site: str) -> str:
        return f"r{site}"

    def cut(self, link: str) -> None:
        self.done.append(f"cut {link}")

    def isolate(self, site: str) -> None:
        if site == "moon":
            raise PlanError("no place 'moon' in this network; expected one of a, b")
        self.done.append(f"isolate {site}")

    def heal(self) -> None:
        self.done.append("heal")


def test_on_networks_the_links_have_names_and_errors_are_told() -> None:
    network = FakeNetwork()
    ground = Namespaces(cast("Network", network))
    ground.cut_sites()
    ground.isolate("b")
    ground.restore()
    assert network.done == ["cut ra-rb", "isolate b", "heal"]
    with pytest.raises(CannotBeDone, match="no place 'moon'"):
        ground.isolate("moon")


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
