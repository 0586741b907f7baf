"""deploy/giving_up: promotion with loss shows, asks, fences, promotes, and writes it all down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.configuration import ReplicaId
from coordinator.switching import SwitchRefused
from deploy.giving_up import Promoted, Promotion
from tests.deploy.fake_replica import FakeNode
from tests.deploy.two_fakes import Two, fence, record, status, two_sites
from tests.etcd_cluster import EtcdCluster

BY = "kumi@counter"
OLD = ("a1", "a2", "a3")


class Says:
    """A person who answers as the test wants, and remembers what was asked."""

    def __init__(self, gives_up: bool = True, vouches: bool = False) -> None:
        self.asked: list[str] = []
        self._gives_up, self._vouches = gives_up, vouches

    def gives_up(self, site: str) -> bool:
        self.asked.append(f"give up for {site}")
        return self._gives_up

    def vouches_off(self, site: str) -> bool:
        self.asked.append(f"{site} is off")
        return self._vouches


def node(name: str) -> FakeNode:
    """Site a has settled up to 45, site b has the log up to 42 and knows that 40 are committed."""
    says = status(name, leads=name == "a1")
    says.mode = "degraded"
    if name[0] == "a":
        says.commit_index = 45
        holds = tuple(record(index) for index in range(38, 46))
        return FakeNode(says, fenced=fence(name, index=45), holds=holds)
    reply = fence(name, index=42)
    reply.commit_index = 40
    return FakeNode(says, fenced=reply)


def promote(two: Two, person: Says, keep: Path) -> Promoted:
    promotion = Promotion(two.topology, "b", by=BY, person=person, keep=keep, say=two.said.append)
    return promotion.run()


def keys(path: Path | None) -> list[str]:
    assert path is not None
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


def test_it_shows_asks_fences_and_promotes(etcd: EtcdCluster, tmp_path: Path) -> None:
    person = Says()
    with two_sites(etcd, node, standby=()) as two:
        done = promote(two, person, tmp_path)
        assert person.asked == ["give up for b"]
        assert done.fenced
        assert done.survivors == ("b1/db1", "b2/db2", "b3/db3")
        # Before the fence, what b does not know to be committed; after it, what its logs lack.
        assert two.said[0].startswith("site b lacks 5 settlements above index 40, 5 of them appr")
        assert "site a settles at this moment" in two.said[1]
        assert done.lost is not None
        assert (done.lost.count, done.lost.amounts_minor) == (3, {"JPY": 300})
        assert keys(done.lost.path) == ["k43", "k44", "k45"]

        found = two.written()
        assert found.configuration is not None
        assert found.revision == done.revision
        assert found.configuration.active_site == "b"
        assert found.configuration.in_sync["a"] == frozenset()
        assert {str(each) for each in found.configuration.active_set} == set(done.survivors)
        assert found.configuration.given_up == {ReplicaId(name, f"d{name}") for name in OLD}
        promoted, given_up = two.events()
        assert (promoted.source, promoted.kind) == (BY, "promotion-with-loss")
        assert (given_up.source, given_up.kind) == (BY, "given-up")
        assert done.lost.sha256 in given_up.why
        assert "3 settlements above index 42" in given_up.why
        (epoch,) = two.nodes["a2"].asked
        assert isinstance(epoch, int)
        assert epoch < done.revision
        assert found.leader is None


def test_a_leader_elected_in_between_makes_it_begin_again(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    with two_sites(etcd, node, standby=()) as two:

        def elected_again(count: int) -> None:
            if count == 1:  # after the first vow a leader of site a wins, and settles one more
                two.take_key("a3")
                two.nodes["a3"].says.commit_index = 46
                two.nodes["a3"].fenced = fence("a3", index=46)
                two.nodes["a3"].holds = (*two.nodes["a3"].holds, record(46))

        two.nodes["a3"].on_fence = elected_again
        done = promote(two, Says(), tmp_path)
        assert any(line.startswith("again: another leader was elected") for line in two.said)
        assert done.lost is not None
        assert keys(done.lost.path) == ["k43", "k44", "k45", "k46"]
        assert len(two.nodes["a3"].asked) == 2
        assert [event.kind for event in two.events()] == ["promotion-with-loss", "given-up"]


def test_the_list_comes_from_the_log_that_a_takeover_would_choose(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    """a1, which led, is gone. a2 knows that 45 are committed and ends at 46; a3 knows of 44 and
    ends at 49: what a1 and a3 had, 47 to 49, was settled, and nobody there knows it.
    """

    def uneven(name: str) -> FakeNode:
        made = node(name)
        for other, commit_index, last in (("a2", 45, 46), ("a3", 44, 49)):
            if name == other:
                made.fenced = fence(name, index=last)
                made.fenced.commit_index = commit_index
                made.holds = tuple(record(index) for index in range(38, last + 1))
        return made

    with two_sites(etcd, uneven, standby=(), silent=("a1",)) as two:
        done = promote(two, Says(), tmp_path)
        assert done.fenced
        assert done.lost is not None
        assert keys(done.lost.path) == [f"k{index}" for index in range(43, 50)]


def test_the_list_does_not_come_from_another_disk_than_the_one_that_vowed(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    with two_sites(etcd, node, standby=()) as two:

        def back_with_a_new_disk(count: int) -> None:
            two.nodes["a3"].says.disk_id = "another"

        # The first to be asked for the list: its log is the longest.
        two.nodes["a3"].fenced = fence("a3", index=46)
        two.nodes["a3"].on_fence = back_with_a_new_disk
        two.nodes["a3"].holds = (record(50),)
        done = promote(two, Says(), tmp_path)
        assert done.lost is not None
        assert keys(done.lost.path) == ["k43", "k44", "k45"]
        assert "a3, which may have had more, could not be asked (it has another disk" in (
            two.events()[1].why
        )


def test_a_list_that_cannot_be_written_is_told_and_the_promotion_stands(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    with two_sites(etcd, node, standby=()) as two:

        def no_folder(count: int) -> None:
            keep = tmp_path / "keep"
            for path in keep.iterdir():
                path.unlink()
            keep.rmdir()
            keep.write_text("a file where the folder was")

        two.nodes["a1"].on_fence = no_folder
        done = promote(two, Says(), tmp_path / "keep")
        assert done.lost is None
        assert "could not be asked" in two.events()[1].why


def test_the_key_is_given_back_when_nothing_comes_of_it(etcd: EtcdCluster, tmp_path: Path) -> None:
    with two_sites(etcd, node, standby=(), silent=OLD) as two:
        with pytest.raises(SwitchRefused):
            promote(two, Says(vouches=False), tmp_path)
        assert two.written().leader is None


def test_nothing_happens_without_consent(etcd: EtcdCluster, tmp_path: Path) -> None:
    with two_sites(etcd, node, standby=()) as two:
        with pytest.raises(SwitchRefused, match="not confirmed: site a stays active"):
            promote(two, Says(gives_up=False), tmp_path)
        assert all(each.asked == [] for each in two.nodes.values())
        configuration = two.written().configuration
        assert configuration is not None
        assert configuration.active_site == "a"


def test_a_standby_in_sync_needs_no_loss(etcd: EtcdCluster, tmp_path: Path) -> None:
    person = Says()
    with (
        two_sites(etcd, node) as two,
        pytest.raises(SwitchRefused, match="nothing would be lost; leave --allow-data-loss"),
    ):
        promote(two, person, tmp_path)
    assert person.asked == []


def test_a_silent_site_needs_a_person_who_vouches(etcd: EtcdCluster, tmp_path: Path) -> None:
    with two_sites(etcd, node, standby=(), silent=OLD) as two:
        person = Says(vouches=False)
        with pytest.raises(SwitchRefused, match="not confirmed that site a is off"):
            promote(two, person, tmp_path)
        assert person.asked == ["give up for b", "a is off"]
        assert two.said[0] == (
            "nobody in site a can be asked: what site b lacks cannot be listed. Site b has what "
            "was settled up to index 40; how far site a came is not known, since its nodes are "
            "gone from etcd."
        )
        done = promote(two, Says(vouches=True), tmp_path)
        assert not done.fenced
        assert done.lost is None
        promoted, given_up = two.events()
        assert "confirmed to be off by kumi@counter" in promoted.why
        assert "nobody there can be asked" in given_up.why
    assert list(tmp_path.iterdir()) == []


def test_one_replica_of_the_old_site_is_no_fence_but_has_the_list(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    person = Says(vouches=True)
    with two_sites(etcd, node, standby=(), silent=("a1", "a3")) as two:
        done = promote(two, person, tmp_path)
        assert person.asked == ["give up for b", "a is off"]
        assert not done.fenced
        assert done.lost is not None
        assert keys(done.lost.path) == ["k43", "k44", "k45"]


def test_one_survivor_is_enough_to_begin_with(etcd: EtcdCluster, tmp_path: Path) -> None:
    with two_sites(etcd, node, standby=(), silent=("b2", "b3")) as two:
        done = promote(two, Says(), tmp_path)
        assert done.survivors == ("b1/db1",)


def test_nobody_in_the_other_site(etcd: EtcdCluster, tmp_path: Path) -> None:
    person = Says()
    with (
        two_sites(etcd, node, standby=(), silent=("b1", "b2", "b3")) as two,
        pytest.raises(SwitchRefused, match="no replica of site b answers: start its nodes"),
    ):
        promote(two, person, tmp_path)
    assert person.asked == []
