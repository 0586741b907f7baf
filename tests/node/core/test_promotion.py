"""Promotion with loss (X4): the fence, what is given up, and what comes back of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.configuration import Configuration, ReplicaId
from loadtest.sim.witness import Violation
from node.core import Timings
from node.core.inputs import ConfigurationSeen, FenceAsked, LeaderSeen, Proposed
from node.core.messages import Ack, Append, Fence, Mismatch, Promise, Refuse
from node.core.outputs import Fenced, NotProposed, Output, Resign
from node.core.reconfigure import admitting
from tests.node.core.solo import A1, A2, B1, B2, TWO_SITES, Solo, append, chain, sent
from tests.node.core.world import Promotion, World, events, payloads

RENEWED = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"]}
PROMOTED = Configuration(
    "cluster",
    "a",
    {"a": frozenset({A1}), "b": frozenset()},
    1,
    frozenset({B1, B2}),
)


def fenced(output: Output) -> list[Fenced]:
    """The answers to a fence in an output."""
    return [answer for answer in output.answer if isinstance(answer, Fenced)]


# -- the fence -----------------------------------------------------------------------------------


def test_X4_a_fence_is_durable_before_it_is_answered() -> None:
    solo = Solo(chain(5), promised=5)
    out = solo.feed(FenceAsked(1, 9))
    assert not out.answer
    assert [write.promised for write in out.persist] == [9]
    assert fenced(solo.persist()) == [Fenced(1, Promise(9, 5, 1, 0, 0))]


def test_X4_a_fence_tells_the_end_of_the_log_with_every_write_before_it() -> None:
    solo = Solo(promised=5)
    solo.hear(A2, append(5, chain(5, 5)))
    solo.feed(FenceAsked(1, 9))
    assert fenced(solo.persist()) == [Fenced(1, Promise(9, 5, 2, 0, 0))]


def test_X4_a_fence_at_or_below_the_promise_is_refused() -> None:
    solo = Solo(promised=9, revision=5)
    for epoch in (8, 9):
        assert fenced(solo.feed(FenceAsked(1, epoch))) == [Fenced(1, Refuse(epoch, 9, 5))]


def test_X4_a_fence_at_the_epoch_of_a_leader_does_not_end_it() -> None:
    solo = Solo()
    solo.serve(10)
    assert isinstance(fenced(solo.feed(FenceAsked(1, 10)))[0].promise, Refuse)
    assert solo.replica.serving


def test_X4_a_fenced_replica_helps_its_leader_to_nothing_any_more() -> None:
    solo = Solo(promised=5)
    solo.feed(FenceAsked(1, 9))
    out = solo.hear(A2, append(5, chain(5)))
    assert sent(out) == [Refuse(5, 9, 5)]
    assert not out.persist
    assert isinstance(sent(solo.hear(A2, Fence(8, 5)))[0], Refuse)


def test_X4_a_vow_of_before_does_not_leave_after_the_fence() -> None:
    solo = Solo(promised=5)
    solo.hear(A2, append(5, chain(5)))
    solo.feed(FenceAsked(1, 9))
    assert not sent(solo.persist(), Ack)


def test_X4_a_fenced_leader_is_none_any_more_and_commits_nothing() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    out = solo.feed(FenceAsked(1, 12))
    assert out.abandon
    assert solo.replica.role.role == "follower"
    solo.persist()
    solo.hear(A2, Ack(10, leader.round, 2))
    assert solo.state.commit == 1
    assert isinstance(solo.feed(Proposed(2, b"y")).answer[0], NotProposed)


def test_X4_a_fence_that_nothing_follows_does_not_leave_the_site_without_a_leader() -> None:
    """The key is still the fenced one's, which goes on renewing its lease."""
    world = World({"a": ["a1", "a2"], "b": ["b1"]})
    world.elect("a1")
    for name in ("a1", "a2"):
        world.fence(name, 20)
    world.registry.revision = 20
    world.crash("a2")
    world.run_until(lambda: world.serving() == ["a1"], 10_000)
    assert world.leading("a1").epoch > 20


def test_X4_a_key_below_the_promise_is_suspected_too() -> None:
    """After a restart a fenced replica knows the promise, and the key of before the fence."""
    solo = Solo(promised=20)
    solo.feed(LeaderSeen(10, "a2", "da2", 10))
    assert solo.follower.leader_epoch == 10


# -- what is given up ----------------------------------------------------------------------------


def test_X4_a_disk_that_was_given_up_is_silent() -> None:
    solo = Solo(chain(5), promised=5)
    given_up = replace(TWO_SITES, active_site="b", in_sync={"a": frozenset(), "b": frozenset({B1})})
    out = solo.feed(ConfigurationSeen(replace(given_up, given_up=frozenset({A1}), copies_min=1), 9))
    assert solo.replica.role.role == "silent"
    assert "given up" in out.events[-1].detail
    assert not solo.hear(A2, Fence(12, 9)).persist


def test_X4_a_leader_whose_disk_was_given_up_gives_the_key_back_and_abandons() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    lost = Configuration("cluster", "b", {"a": frozenset(), "b": frozenset({B1})}, 1)
    out = solo.feed(ConfigurationSeen(replace(lost, given_up=frozenset({A1})), 11))
    assert out.abandon
    assert out.ask_registry == [Resign(10)]


def test_X4_the_promise_and_the_log_of_a_given_up_disk_are_never_chosen() -> None:
    solo = Solo.of_two_sites(chain(3), promised=3, configuration=PROMOTED)
    solo.win(10)
    solo.hear(B1, Promise(10, 9, 50, 50))
    solo.persist()
    assert solo.leader.start_index == 2


def test_X4_a_given_up_disk_is_never_admitted() -> None:
    assert admitting(PROMOTED, "b", B1) is None
    assert admitting(PROMOTED, "b", ReplicaId("b1", "another")) is not None
    solo = Solo.of_two_sites(configuration=PROMOTED)
    leader = solo.serve(10, acks=False)
    for _ in range(60):
        solo.hear(B1, Ack(10, leader.round, 1))
        solo.tick(50)
    assert leader.change is None


def test_X4_a_given_up_disk_is_sent_nothing_that_would_change_its_log() -> None:
    """It may not know yet; its files are for the books. Its node's next disk is fed."""
    solo = Solo.of_two_sites(chain(3), promised=3, configuration=PROMOTED)
    leader = solo.serve(10, acks=False)
    solo.feed(Proposed(1, b"x"))
    out = solo.tick(60)
    knocks = [a for a in sent(out, Append, "b1") if isinstance(a, Append)]
    assert knocks
    assert all((a.prev_index, a.entries, a.commit_index) == (0, (), 2) for a in knocks)
    assert not sent(solo.hear(B1, Ack(10, leader.round, 0)), Append, "b1")
    out = solo.hear(ReplicaId("b1", "another"), Ack(10, leader.round, 0))
    assert any(isinstance(a, Append) and a.entries for a in sent(out, Append, "b1"))


def test_X4_a_given_up_disk_whose_log_ends_beyond_the_leaders_does_no_harm() -> None:
    """Neither while it is knocked at, nor when its node comes back with another disk."""
    solo = Solo.of_two_sites(chain(3), promised=3, configuration=PROMOTED)
    leader = solo.serve(10, acks=False)
    solo.tick(60)
    solo.hear(B1, Mismatch(10, leader.round, 50))
    solo.tick(60)
    other = ReplicaId("b1", "another")
    solo.hear(other, Ack(10, leader.round, 0))
    (beat,) = sent(solo.tick(60), Append, "b1")
    assert isinstance(beat, Append)
    assert beat.prev_index == solo.state.log.last_index
    fed = sent(solo.hear(other, Mismatch(10, beat.round, 0)), Append, "b1")
    assert [len(a.entries) for a in fed if isinstance(a, Append)] == [2]


def test_X4_a_given_up_disk_does_not_apply_anything_for_being_knocked_at() -> None:
    own = chain(3, 3, 3)
    solo = Solo(own, promised=3, applied=2)
    solo.hear(A2, append(10, commit=9))
    assert not solo.outputs[-1].apply
    assert solo.state.log.last_index == 3


# -- all of it -----------------------------------------------------------------------------------


def cut_off(world: World) -> None:
    """The link between the sites is lost; a drops b and settles on."""
    for one in RENEWED["a"]:
        for other in RENEWED["b"]:
            world.cut |= {(one, other), (other, one)}
    world.run(2_000)
    assert world.registry.configuration.in_sync["b"] == frozenset()


def degraded() -> World:
    """p1 is in both sites, p2 in a alone."""
    world = World(RENEWED)
    world.elect("a1")
    world.propose("a1")
    world.settle()
    cut_off(world)
    world.propose("a1")
    world.settle()
    return world


def test_X4_only_what_the_survivors_lacked_goes_and_the_rest_goes_on() -> None:
    world = degraded()
    promotion = world.begin_promotion("b")
    assert not world.promote(promotion)  # nobody has vowed yet
    world.settle()
    assert world.promote(promotion)
    world.run_until(lambda: bool(world.serving()), 5_000)
    (name,) = world.serving()
    world.propose(name, b"after")
    world.run(100)
    assert name[0] == "b"
    assert [p for p in payloads(world.witness.committed.values()) if p] == [b"p1", b"after"]
    for left in RENEWED["a"]:
        assert world.replica(left).role.role == "silent"
        assert b"p2" in payloads(world.nodes[left].disk.entries)


def test_X4_the_old_site_comes_back_as_new_replicas() -> None:
    world = degraded()
    promotion = world.begin_promotion("b")
    world.settle()
    world.promote(promotion)
    world.run(1_000)
    for name in RENEWED["a"]:
        world.crash(name)
        world.lose_disk(name)
        world.restart(name)
    world.heal()
    world.run_until(lambda: len(world.registry.configuration.in_sync["a"]) == 3, 5_000)
    assert {r.disk for r in world.registry.configuration.in_sync["a"]} == {
        "da1'",
        "da2'",
        "da3'",
    }


def test_X4_a_given_up_disk_that_hears_of_the_new_leader_first_is_no_breach() -> None:
    """a is cut off from etcd, and the link comes back."""
    world = degraded()
    world.etcd_cut |= set(RENEWED["a"])
    promotion = world.begin_promotion("b")
    world.settle()
    assert world.promote(promotion)
    world.run_until(lambda: bool(world.serving()), 5_000)
    world.cut.clear()
    world.run(1_000)
    for name in RENEWED["a"]:
        assert events(world.nodes[name], "silent") == []
        assert b"p2" in payloads(world.nodes[name].disk.entries)
    world.etcd_cut.clear()
    world.run(100)
    for name in RENEWED["a"]:
        assert "given up" in events(world.nodes[name], "silent")[0]


def test_X4_who_lacks_what_another_knows_to_be_committed_is_no_survivor() -> None:
    """b1 has heard of p2: it alone begins, which is fewer copies than wanted, and takes the others
    back as they catch up."""
    world = degraded()
    world.cut.clear()
    world.cut |= {(a, b) for a in RENEWED["a"] for b in ("b2", "b3")}
    world.run(150)
    promotion = world.begin_promotion("b")
    world.settle()
    assert world.promote(promotion)
    configuration = world.registry.configuration
    assert configuration.in_sync["b"] == {ReplicaId("b1", "db1")}
    world.run_until(lambda: len(world.registry.configuration.in_sync["b"]) == 3, 5_000)
    assert b"p2" in payloads(world.witness.committed.values())


def test_X4_without_the_fence_the_checker_finds_acknowledged_entries_lost() -> None:
    """a is alive and out of etcd's sight: it settles on, and nobody has listed that."""
    world = degraded()
    world.etcd_cut |= set(RENEWED["a"])
    promotion = world.begin_promotion("b", RENEWED["b"])
    world.propose("a1")
    world.settle()
    assert not world.promote(promotion)
    with pytest.raises(Violation, match="X4"):
        world.promote(promotion, fenced=False)


def test_X4_a_snapshot_that_is_on_its_way_during_a_promotion_is_not_installed_after_it() -> None:
    """All of b fetches from a when b is promoted; the files come whole when b has settled more."""
    world = World(RENEWED, timings=Timings(log_keep_entries=2, entries_in_memory=4))
    world.elect("a1")
    cut_off(world)
    for _ in range(40):
        world.propose("a1")
        world.run(10)
    world.slow_fetches |= set(RENEWED["b"])
    world.cut.clear()
    world.run(300)
    assert all(world.nodes[name].fetch for name in RENEWED["b"])
    promotion = world.begin_promotion("b")
    world.settle()
    assert world.promote(promotion)
    world.run_until(lambda: bool(world.serving()), 5_000)
    (name,) = world.serving()
    world.propose(name, b"after")
    world.run(50)
    world.slow_fetches.clear()
    world.run(2_000)
    world.propose(name, b"more")
    world.run(100)
    assert world.serving() == [name]
    assert payloads(world.witness.committed.values())[-2:] == [b"after", b"more"]
    for other in RENEWED["b"]:
        assert world.nodes[other].disk.entries == world.nodes[name].disk.entries


def elected_meanwhile() -> tuple[World, Promotion]:
    """a is fenced, nothing follows for a while, it elects again, and settles one more."""
    world = degraded()
    promotion = world.begin_promotion("b")
    world.settle()
    world.run_until(lambda: bool(world.serving()), 10_000)
    (name,) = world.serving()
    assert name[0] == "a"
    world.propose(name)
    world.settle()
    return world, promotion


def test_X4_a_promotion_fails_where_somebody_has_won_the_key_since_the_fence() -> None:
    world, promotion = elected_meanwhile()
    assert not world.promote(promotion)
    world.expire(world.serving()[0])
    assert not world.promote(promotion)


def test_X4_without_the_guard_on_the_leader_key_the_checker_finds_entries_lost() -> None:
    world, promotion = elected_meanwhile()
    with pytest.raises(Violation, match="X4"):
        world.promote(promotion, guarded=False)


def test_X4_nobody_is_promoted_to_nothing() -> None:
    world = degraded()
    for name in RENEWED["b"]:
        world.crash(name)
    promotion = world.begin_promotion("b")
    world.settle()
    assert not world.promote(promotion)
