"""deploy/moving: planned switches through the leader, direct ones without, and refusals."""

from __future__ import annotations

import msgspec
import pytest

from coordinator.switching import SwitchRefused
from deploy import moving
from proto import control_pb2
from tests.deploy.fake_replica import FakeNode
from tests.deploy.two_fakes import Two, status, two_sites
from tests.etcd_cluster import EtcdCluster

BY = "kumi@counter"


def test_a_planned_switch_goes_through_the_leader(etcd: EtcdCluster) -> None:
    box: list[Two] = []

    def switched(site: str) -> control_pb2.SwitchSiteReply:
        box[0].leads("b2", 9)
        return control_pb2.SwitchSiteReply(started=True, target="b2")

    def make(name: str) -> FakeNode:
        leads = name == "a1"
        return FakeNode(status(name, leads=leads), on_switch=switched if leads else None)

    with two_sites(etcd, make) as two:
        box.append(two)
        moved = moving.switch(two.topology, "b", by=BY, say=two.said.append)
        assert (moved.from_site, moved.to_site, moved.leader, moved.epoch) == ("a", "b", "b2", 9)
        assert not moved.direct
        assert two.nodes["a1"].asked == ["b"]
        assert two.said == ["a1 drains, b2 is to lead in site b"]
        (event,) = two.events()
        assert (event.source, event.kind, event.epoch) == (BY, "switch-asked", 5)


def test_a_leader_that_dies_over_it_is_waited_for(etcd: EtcdCluster) -> None:
    box: list[Two] = []

    def dies(site: str) -> control_pb2.SwitchSiteReply:
        box[0].leads("b1", 9)
        raise RuntimeError("lost in the middle")

    def make(name: str) -> FakeNode:
        return FakeNode(status(name, leads=name == "a1"), on_switch=dies)

    with two_sites(etcd, make) as two:
        box.append(two)
        assert moving.switch(two.topology, "b", by=BY, say=two.said.append).leader == "b1"
        assert two.said[0].startswith("a1 did not say whether it switches: ")


def test_what_the_leader_refuses_is_told(etcd: EtcdCluster) -> None:
    def refuses(site: str) -> control_pb2.SwitchSiteReply:
        return control_pb2.SwitchSiteReply(started=False, reason="a set change is on its way")

    def make(name: str) -> FakeNode:
        return FakeNode(status(name, leads=name == "a1"), on_switch=refuses)

    with (
        two_sites(etcd, make) as two,
        pytest.raises(SwitchRefused, match="a1 does not switch: a set change is on its way"),
    ):
        moving.switch(two.topology, "b", by=BY)


def test_a_switch_that_is_called_off(etcd: EtcdCluster) -> None:
    def begins(site: str) -> control_pb2.SwitchSiteReply:
        return control_pb2.SwitchSiteReply(started=True, target="b1")

    def make(name: str) -> FakeNode:
        says = status(name, leads=name == "a1")
        says.reason = "switch: called off: b1 did not catch up"
        return FakeNode(says, on_switch=begins)

    with (
        two_sites(etcd, make) as two,
        pytest.raises(
            SwitchRefused, match="called off, a1 goes on in site a: switch: called off: b1"
        ),
    ):
        moving.switch(two.topology, "b", by=BY)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("a", "site a is the active one already: a1 leads there"),
        ("c", "no site 'c' here; expected one of a, b"),
    ],
)
def test_a_site_that_cannot_be_switched_to(etcd: EtcdCluster, to: str, words: str) -> None:
    with two_sites(etcd) as two, pytest.raises(SwitchRefused, match=words):
        moving.switch(two.topology, to, by=BY)


def test_the_only_site(etcd: EtcdCluster) -> None:
    with two_sites(etcd) as two:
        alone = msgspec.structs.replace(two.topology, sites=two.topology.sites[:1])
        with pytest.raises(SwitchRefused, match="a is the only site"):
            moving.switch(alone, "a", by=BY)


def test_degraded_is_refused_with_what_happened(etcd: EtcdCluster) -> None:
    with two_sites(etcd, standby=()) as two:
        two.nodes["a1"].says.mode = "degraded"
        two.nodes["a1"].says.last_set_change = "b dropped: silent for 1500 ms"
        with pytest.raises(SwitchRefused) as caught:
            moving.switch(two.topology, "b", by=BY)
        assert str(caught.value).startswith(
            "site b is not in sync (b dropped: silent for 1500 ms): it lacks what was settled"
        )
        assert "--allow-data-loss" in str(caught.value)
        assert two.nodes["a1"].asked == []


def test_at_something_else(etcd: EtcdCluster) -> None:
    with two_sites(etcd) as two:
        two.nodes["a1"].says.manoeuvre = "handover to a2: draining"
        with pytest.raises(SwitchRefused, match="a1 is at something else: handover to a2"):
            moving.switch(two.topology, "b", by=BY)


def test_without_a_leader_it_goes_to_etcd(etcd: EtcdCluster) -> None:
    with two_sites(etcd, lambda name: FakeNode(status(name)), silent=("a1", "a2", "a3")) as two:

        def say(line: str) -> None:
            two.said.append(line)
            if "is active since" in line:
                two.leads("b3", 11)

        moved = moving.switch(two.topology, "b", by=BY, say=say)
        assert moved.direct
        assert (moved.from_site, moved.leader, moved.epoch) == ("a", "b3", 11)
        assert two.said[0] == "no leader answers: the switch goes to etcd directly"
        configuration = two.written().configuration
        assert configuration is not None
        assert configuration.active_site == "b"
        assert [event.kind for event in two.events()] == ["site-switch"]


def test_without_a_leader_and_without_a_standby_in_sync(etcd: EtcdCluster) -> None:
    def make(name: str) -> FakeNode:
        return FakeNode(status(name))

    with two_sites(etcd, make, silent=("a1", "a2", "a3"), standby=("b1",)) as two:
        with pytest.raises(SwitchRefused, match="site b is not in sync"):
            moving.switch(two.topology, "b", by=BY)
        configuration = two.written().configuration
        assert configuration is not None
        assert configuration.active_site == "a"


def test_nobody_comes_to_lead(etcd: EtcdCluster) -> None:
    def make(name: str) -> FakeNode:
        return FakeNode(status(name))

    with (
        two_sites(etcd, make, silent=("a1", "a2", "a3")) as two,
        pytest.raises(SwitchRefused, match="after 1 s nobody serves there; nobody leads"),
    ):
        moving.switch(two.topology, "b", by=BY, wait_s=1.0)
