"""Leading: what commits (D4, T7), what ends it (T8, T9), and what a planned end is (H1)."""

from __future__ import annotations

from coordinator.configuration import Configuration
from node.core.inputs import (
    Applied,
    CampaignLost,
    ConfigurationSeen,
    HandoverAsked,
    Inquired,
    LeaderSeen,
    Proposed,
)
from node.core.messages import Ack, Append, Fence, Handover, Promise, Refuse
from node.core.outputs import NotProposed, Placed, ReadRefused, Resign
from tests.node.core.solo import A2, A3, CONFIGURATION, REVISION, Solo, append, chain, sent
from tests.node.core.world import World, events, payloads


def test_D4_the_leader_counts_itself_only_after_its_own_fsync() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.hear(A2, Ack(10, leader.round, 2))
    assert solo.state.commit == 1
    out = solo.persist()
    assert payloads(out.apply) == [b"x"]


def test_D4_the_others_may_commit_without_the_leader() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.hear(A2, Ack(10, leader.round, 2))
    out = solo.hear(A3, Ack(10, leader.round, 2))
    assert payloads(out.apply) == [b"x"]
    assert solo.state.durable_index == 1


def test_T7_an_entry_of_an_older_epoch_commits_only_through_one_of_the_own() -> None:
    old = chain(3, 3)
    solo = Solo(old, promised=3)
    solo.win(10)
    solo.persist()
    solo.hear(A2, Promise(10, 3, 2, 0))
    solo.persist()
    out = solo.hear(A2, Ack(10, solo.leader.round, 2))
    assert solo.state.commit == 0
    out = solo.hear(A2, Ack(10, solo.leader.round, 3))
    assert [entry.index for entry in out.apply] == [1, 2, 3]


def test_T7_a_write_quorum_is_needed() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    assert solo.state.commit == 1


def test_T7_a_proposal_is_told_its_place() -> None:
    solo = Solo()
    solo.serve(10)
    assert solo.feed(Proposed(7, b"x")).answer == [Placed(7, 2, 10)]
    assert solo.feed(Proposed(8, b"y")).answer == [Placed(8, 3, 10)]


def test_T8_a_refuse_with_a_higher_epoch_ends_the_leadership() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    out = solo.hear(A2, Refuse(10, 11, REVISION))
    assert solo.replica.role.role == "follower"
    assert out.abandon
    assert solo.feed(Proposed(2, b"y")).answer == [NotProposed(2, "")]


def test_T8_a_refuse_with_no_higher_epoch_does_not() -> None:
    solo = Solo()
    solo.serve(10)
    solo.hear(A2, Refuse(8, 10, REVISION))
    assert solo.replica.serving


def test_T8_a_key_that_is_gone_ends_the_leadership() -> None:
    solo = Solo()
    solo.serve(10)
    out = solo.feed(LeaderSeen(0, "", "", 11))
    assert solo.replica.role.role == "follower"
    assert out.abandon


def test_T8_a_key_that_is_anothers_ends_the_leadership() -> None:
    solo = Solo()
    solo.serve(10)
    out = solo.feed(LeaderSeen(12, "a3", "da3", 12))
    assert out.abandon
    assert solo.replica.leader == "a3"


def test_T8_an_older_view_of_the_key_does_not_end_it() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(LeaderSeen(0, "", "", 9))
    solo.feed(LeaderSeen(8, "a2", "da2", 8))
    solo.feed(LeaderSeen(10, "a1", "da1", 10))
    assert solo.replica.serving


def test_T8_a_fence_or_append_of_a_higher_epoch_ends_the_leadership() -> None:
    for message in (Fence(11, REVISION), append(11)):
        solo = Solo()
        solo.serve(10)
        out = solo.hear(A2, message)
        assert solo.replica.role.role == "follower"
        assert out.abandon


def test_T8_an_ended_epoch_is_not_led_again() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    solo.hear(A2, Refuse(10, 11, REVISION))
    solo.hear(A3, Ack(10, leader.round, 2))
    solo.feed(LeaderSeen(10, "a1", "da1", 10))
    assert solo.state.commit == 1
    assert solo.replica.role.role == "follower"


def test_T8_a_configuration_changed_by_somebody_else_ends_the_leadership() -> None:
    solo = Solo()
    solo.serve(10)
    out = solo.feed(ConfigurationSeen(CONFIGURATION, 12))
    assert solo.replica.role.role == "follower"
    assert out.ask_registry == [Resign(10)]


def test_T9_reads_that_wait_are_refused_at_the_end() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(Inquired(5))
    assert solo.hear(A2, Refuse(10, 11, REVISION)).answer == [ReadRefused(5, "")]


def test_T9_the_end_of_a_leadership_abandons_once() -> None:
    solo = Solo()
    solo.serve(10)
    assert solo.hear(A2, Refuse(10, 11, REVISION)).abandon
    assert not solo.hear(A3, Refuse(10, 12, REVISION)).abandon
    assert not solo.tick(10).abandon


# -- H1 -----------------------------------------------------------------------------------------


def drained(solo: Solo) -> None:
    """a2 and a3 have all there is."""
    last = solo.state.log.last_index
    solo.persist()
    for peer in (A2, A3):
        solo.hear(peer, Ack(10, solo.leader.round, last))
    solo.feed(Applied(last))


def test_H1_it_stops_proposing_and_waits_until_the_target_has_everything() -> None:
    solo = Solo()
    leader = solo.serve(10)
    drained(solo)
    solo.feed(Proposed(1, b"x"))
    out = solo.feed(HandoverAsked("a2"))
    assert not sent(out, Handover)
    assert not solo.replica.accepting
    assert solo.feed(Proposed(2, b"y")).answer == [NotProposed(2, "a1")]
    solo.persist()
    out = solo.hear(A3, Ack(10, leader.round, 2))
    assert solo.state.commit == 2
    assert not sent(out, Handover)
    out = solo.hear(A2, Ack(10, leader.round, 2))
    assert sent(out, Handover, "a2") == [Handover(10)]


def test_H1_it_waits_until_all_is_committed() -> None:
    solo = Solo()
    leader = solo.serve(10)
    drained(solo)
    solo.feed(Proposed(1, b"x"))
    solo.feed(HandoverAsked("a2"))
    assert not sent(solo.hear(A2, Ack(10, leader.round, 2)), Handover)
    assert sent(solo.persist(), Handover, "a2")


def test_H1_nothing_within_the_time_and_it_resumes() -> None:
    solo = Solo()
    solo.serve(10)
    drained(solo)
    assert sent(solo.feed(HandoverAsked("")), Handover)
    solo.tick(190)
    assert not solo.replica.accepting
    solo.tick(20)
    assert solo.replica.accepting
    assert solo.feed(Proposed(1, b"x")).answer == [Placed(1, 2, 10)]


def test_H1_a_drain_that_takes_too_long_is_given_up() -> None:
    solo = Solo()
    solo.serve(10)
    drained(solo)
    solo.feed(Proposed(1, b"x"))
    solo.feed(HandoverAsked("a2"))
    solo.tick(250)
    assert solo.replica.accepting


def test_H1_the_target_is_in_sync() -> None:
    solo = Solo()
    solo.serve(10)
    out = solo.feed(HandoverAsked("a9"))
    assert solo.replica.accepting
    assert "no in-sync peer" in out.events[-1].detail


def test_H1_a_standby_replica_is_no_target() -> None:
    world = World({"a": ["a1", "a2"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.step("a1", HandoverAsked("b1"))
    assert world.replica("a1").accepting


def test_H1_not_while_the_set_changes() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.crash("a3")
    world.etcd_away = True
    world.run(2500)
    assert world.leading("a1").change is not None
    world.step("a1", HandoverAsked("a2"))
    assert world.replica("a1").accepting


def test_H1_the_target_leads_and_nothing_is_abandoned_unanswered() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    tickets = [world.propose("a1") for _ in range(3)]
    world.step("a1", HandoverAsked("a3"))
    world.run_until(lambda: world.serving() == ["a3"], 300)
    assert payloads(world.witness.committed[i] for i in (2, 3, 4)) == [b"p1", b"p2", b"p3"]
    assert tickets == [1, 2, 3]
    assert world.replica("a1").leader == "a3"


def test_W1_a_leader_goes_on_while_etcd_is_away() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.etcd_away = True
    world.run(10_000)
    world.propose("a1")
    world.run(50)
    assert payloads([world.witness.committed[2]]) == [b"p1"]


def test_W1_a_leader_whose_lease_ran_out_campaigns_again() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    first = world.leading("a1").epoch
    world.etcd_away = True
    world.run(6_000)
    world.expire("a1")
    world.etcd_away = False
    world.settle()
    assert not world.serving()
    world.run_until(lambda: bool(world.serving()), 2_000)
    assert world.leading(world.serving()[0]).epoch > first


def test_T2_an_unanswered_campaign_is_followed_by_another() -> None:
    solo = Solo()
    first = solo.campaign()
    solo.feed(CampaignLost(first.attempt, "unknown"))
    assert solo.campaign().attempt != first.attempt


def test_missing_quorum_says_who_answers() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    assert world.leading("a1").missing_quorum(world.now) == ""
    world.crash("a2")
    world.crash("a3")
    world.run(2_000)
    assert world.leading("a1").missing_quorum(world.now) == (
        "no write quorum: in sync a {a1 a2 a3}, answering a1, copies_min 2"
    )


def test_the_witness_and_the_events_are_quiet_in_a_quiet_world() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    for _ in range(30):
        world.propose("a1")
        world.run(100)
    assert world.witness.last_committed == 31
    assert not events(world.nodes["a1"], "set-change")
    assert len(world.witness.leaders) == 1
    assert not world.select(kind=Append)
    assert isinstance(world.registry.configuration, Configuration)
