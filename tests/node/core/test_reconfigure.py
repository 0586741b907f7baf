"""Changing the in-sync sets: joint, covered, guarded, certain (S1 to S6, E4), and two sites."""

from __future__ import annotations

import pytest

from coordinator.configuration import Configuration, ReplicaId
from node.core.inputs import (
    ConfigurationSeen,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    Proposed,
    Won,
)
from node.core.messages import Ack, Promise, Refuse
from node.core.outputs import ChangeConfiguration, Output, Resign
from node.core.reconfigure import Phase, admitting, evicting
from tests.node.core.solo import A1, A2, A3, B1, CONFIGURATION, REVISION, Solo, until
from tests.node.core.world import World, events, payloads

PAIR = Configuration("cluster", "a", {"a": frozenset({A1, A2})}, 2)
THREE = {"a": ["a1", "a2", "a3"]}


def asked(output: Output) -> list[ChangeConfiguration]:
    """The guarded transactions in an output."""
    return [ask for ask in output.ask_registry if isinstance(ask, ChangeConfiguration)]


def leading_without_a3() -> Solo:
    """a1 serves; a2 is there, a3 never was; everybody has been told everything committed."""
    solo = Solo()
    leader = solo.serve(10)
    for _ in range(20):
        solo.tick(50)
        solo.hear(A2, Ack(10, leader.round, solo.state.log.last_index))
    return solo


def until_a_change(solo: Solo, *, acks: bool = True) -> list[ChangeConfiguration]:
    """Let time pass until a change begins. Returns what was asked of etcd by then."""
    requests: list[ChangeConfiguration] = []
    for _ in until(lambda: solo.leader.change is not None):
        if acks:
            solo.hear(A2, Ack(10, solo.leader.round, solo.state.log.last_index))
        requests += asked(solo.tick(50))
    return requests


def test_S6_evict_only_after_silence_longer_than_the_eviction_time() -> None:
    solo = Solo()
    solo.serve(10)
    begun = solo.now
    (change,) = until_a_change(solo)
    assert solo.now - begun > solo.state.timings.eviction_ms
    assert solo.now - begun < solo.state.timings.eviction_ms + 150
    assert change.configuration == PAIR


def test_E4_the_transaction_names_the_epoch_and_the_configuration_it_replaces() -> None:
    (change,) = until_a_change(leading_without_a3())
    assert (change.epoch, change.revision) == (10, REVISION)


def test_S1_an_index_needs_both_write_quorums_while_a_set_changes() -> None:
    """From {a1 a2} to {a1 a2 a3}: two of two, and two of three."""
    solo = Solo(configuration=PAIR, promised=3)
    attempt = solo.campaign().attempt
    solo.feed(Won(attempt, 10, PAIR, REVISION))
    solo.persist()
    solo.hear(A2, Promise(10, 0, 0, 0))
    solo.persist()
    solo.hear(A2, Ack(10, solo.leader.round, 1))
    solo.hear(A3, Ack(10, solo.leader.round, 1))
    requests = until_a_change(solo)
    assert [change.configuration for change in requests] == [CONFIGURATION]
    solo.feed(Proposed(1, b"x")) if solo.replica.accepting else solo.leader.propose(1, b"x", 0)
    solo.persist()
    solo.hear(A3, Ack(10, solo.leader.round, 2))
    assert solo.state.commit == 1
    solo.hear(A2, Ack(10, solo.leader.round, 2))
    assert solo.state.commit == 2


def test_S1_the_new_quorum_counts_from_the_beginning_of_the_change() -> None:
    """From {a1 a2 a3} to {a1 a2}: a3, which is back, does not help to commit any more."""
    solo = leading_without_a3()
    until_a_change(solo)
    leader = solo.leader
    solo.feed(GuardUnknown(leader.change.number if leader.change else 0))
    solo.leader.propose(1, b"x", solo.now)
    solo.persist()
    solo.hear(A3, Ack(10, leader.round, 2))
    assert solo.state.commit == 1
    solo.hear(A2, Ack(10, leader.round, 2))
    assert solo.state.commit == 2


def covering_for_a2() -> Solo:
    """a1 and a3 have committed 3 entries, a2 has one of them, and a3 has fallen silent: it cannot
    be evicted yet, and etcd has not been asked."""
    solo = Solo()
    leader = solo.serve(10)
    for ticket in range(2):
        solo.feed(Proposed(ticket, b"x"))
    solo.persist()
    solo.hear(A3, Ack(10, leader.round, 3))
    assert solo.state.commit == 3
    requests: list[ChangeConfiguration] = []
    for _ in until(lambda: leader.change is not None):
        solo.hear(A2, Ack(10, leader.round, 1))
        requests += asked(solo.tick(50))
    assert leader.change is not None
    assert leader.change.phase is Phase.COVERING
    assert not requests
    return solo


def test_S2_the_transaction_waits_until_the_new_quorum_has_all_that_is_committed() -> None:
    solo = covering_for_a2()
    leader = solo.leader
    assert not asked(solo.hear(A2, Ack(10, leader.round, 2)))
    assert asked(solo.hear(A2, Ack(10, leader.round, 3)))


def test_S2_the_own_disk_must_have_it_too() -> None:
    """a2 and a3 have committed what the leader has not synced; then a3 falls silent."""
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.hear(A2, Ack(10, leader.round, 2))
    solo.hear(A3, Ack(10, leader.round, 2))
    assert solo.state.commit == 2
    assert not until_a_change(solo)
    assert asked(solo.persist())


def test_S2_epoch_start_must_be_durable_on_the_new_quorum() -> None:
    """Nothing is committed yet in this epoch: EpochStart carries what the older epochs left."""
    solo = Solo()
    leader = solo.lead(10)
    solo.persist()
    requests: list[ChangeConfiguration] = []
    for _ in until(lambda: leader.change is not None):
        solo.hear(A2, Ack(10, leader.round, 0))
        requests += asked(solo.tick(50))
    assert not requests
    assert asked(solo.hear(A2, Ack(10, leader.round, 1)))


def test_S4_success_and_only_the_new_quorum_counts() -> None:
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    solo.feed(GuardPassed(change.change, 11))
    assert (solo.leader.configuration, solo.leader.revision) == (PAIR, 11)
    assert solo.leader.change is None
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    solo.hear(A3, Ack(10, solo.leader.round, 2))
    assert solo.state.commit == 1
    solo.hear(A2, Ack(10, solo.leader.round, 2))
    assert solo.state.commit == 2


def test_S4_a_failed_guard_ends_the_leadership_and_gives_the_key_back() -> None:
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    out = solo.feed(GuardFailed(change.change))
    assert solo.replica.role.role == "follower"
    assert out.abandon
    assert out.ask_registry == [Resign(10)]


def test_S4_unknown_stays_joint() -> None:
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    solo.feed(GuardUnknown(change.change))
    solo.tick(100)
    joint = solo.leader.change
    assert joint is not None
    assert (joint.phase, joint.target) == (Phase.SENT, PAIR)


def test_S4_unknown_sends_the_same_transaction_again_until_it_is_certain() -> None:
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    requests: list[ChangeConfiguration] = []
    for _ in range(100):
        solo.feed(GuardUnknown(change.change))
        solo.hear(A2, Ack(10, solo.leader.round, 1))
        requests += asked(solo.tick(50))
    assert len(requests) > 3
    assert set(map(str, requests)) == {str(change)}


def test_S4_a_read_that_shows_the_old_value_proves_nothing() -> None:
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    solo.feed(GuardUnknown(change.change))
    solo.feed(ConfigurationSeen(CONFIGURATION, REVISION))
    assert solo.leader.change is not None
    for _ in range(100):
        solo.hear(A2, Ack(10, solo.leader.round, 1))
        solo.tick(50)
    assert solo.leader.change is not None


def test_S4_a_change_that_was_sent_is_never_given_up_even_if_the_member_returns() -> None:
    solo = leading_without_a3()
    until_a_change(solo)
    for _ in range(100):
        solo.hear(A2, Ack(10, solo.leader.round, 1))
        solo.hear(A3, Ack(10, solo.leader.round, 1))
        solo.tick(50)
    assert solo.leader.change is not None
    assert solo.leader.change.target == PAIR


def test_S4_a_change_that_was_never_sent_may_be_given_up() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    solo.hear(A3, Ack(10, leader.round, 2))
    for _ in until(lambda: leader.change is not None):
        solo.hear(A2, Ack(10, leader.round, 1))
        solo.tick(50)
    for _ in range(40):
        solo.hear(A2, Ack(10, leader.round, 1))
        solo.hear(A3, Ack(10, leader.round, 2))
        assert not asked(solo.tick(50))
    assert leader.change is None
    assert "given up" in [o for o in solo.outputs if o.events][-1].events[-1].detail


def test_S4_seeing_what_the_change_would_make_proves_nothing() -> None:
    # A leader after this one may have made the very same change, without what was placed here.
    solo = leading_without_a3()
    (change,) = until_a_change(solo)
    solo.feed(GuardUnknown(change.change))
    solo.feed(ConfigurationSeen(PAIR, 11))
    assert (solo.leader.configuration, solo.leader.revision) == (CONFIGURATION, REVISION)
    assert solo.leader.change is not None
    solo.feed(GuardPassed(change.change, 11))
    assert (solo.leader.configuration, solo.leader.revision) == (PAIR, 11)
    assert solo.replica.serving


def test_S4_what_was_never_sent_was_made_by_somebody_else() -> None:
    solo = covering_for_a2()
    solo.feed(ConfigurationSeen(PAIR, 11))
    assert solo.replica.role.role == "follower"


def test_S4_another_revision_of_another_configuration_ends_the_leadership() -> None:
    solo = leading_without_a3()
    until_a_change(solo)
    other = Configuration("cluster", "a", {"a": frozenset({A1, A3})}, 2)
    solo.feed(ConfigurationSeen(other, 11))
    assert solo.replica.role.role == "follower"


@pytest.mark.parametrize("late", [GuardPassed(1, 9), GuardFailed(1)])
def test_S4_an_answer_to_a_change_of_a_former_leadership_is_not_taken_for_the_present_one(
    late: GuardPassed | GuardFailed,
) -> None:
    solo = leading_without_a3()
    (former,) = until_a_change(solo)
    solo.hear(A2, Refuse(10, 11, REVISION))
    attempt = solo.campaign().attempt
    solo.feed(Won(attempt, 12, CONFIGURATION, REVISION))
    solo.persist()
    solo.hear(A2, Promise(12, 10, 1, 1))
    leader = solo.leader
    solo.persist()
    for _ in until(lambda: leader.change is not None):
        solo.tick(50)
        solo.hear(A2, Ack(12, leader.round, leader.start_index))
    assert leader.change is not None
    assert leader.change.number != former.change
    answer = (
        GuardPassed(former.change, 9)
        if isinstance(late, GuardPassed)
        else GuardFailed(former.change)
    )
    solo.feed(answer)
    assert solo.leader.change is not None
    assert solo.leader.configuration == CONFIGURATION


def test_S5_a_new_leader_that_needs_a_dead_site_drops_it_first_and_commits_then() -> None:
    world = World({"a": ["a1", "a2"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.propose("a1")
    world.settle()
    for name in ("a1", "b1", "b2"):
        world.crash(name, refuse=True)
    world.restart("a1")
    world.isolate("b1")
    world.run_until(lambda: bool(world.serving()), 10_000)
    assert world.registry.configuration.in_sync["b"] == frozenset()
    assert payloads([world.witness.committed[2]]) == [b"p1"]
    world.propose(world.serving()[0])
    world.run(50)
    assert world.witness.last_committed == 4


def test_S6_two_silent_of_three_are_not_evicted_with_copies_min_2() -> None:
    world = World(THREE, copies_min=2)
    world.elect("a1")
    world.crash("a2")
    world.crash("a3")
    world.run(10_000)
    world.propose("a1")
    world.run(1_000)
    assert world.registry.configuration_revision == 5
    assert world.witness.last_committed == 1
    world.restart("a3")
    world.run_until(lambda: world.witness.last_committed == 2)


def test_S6_one_copy_may_do_with_copies_min_1() -> None:
    world = World(THREE, copies_min=1)
    world.elect("a1")
    world.crash("a2")
    world.run(3_000)
    assert world.registry.configuration.active_set == {A1, A3}
    world.crash("a3")
    world.run(3_000)
    assert world.registry.configuration.active_set == {A1}
    world.propose("a1")
    world.run(50)
    assert world.witness.last_committed == 2


def test_S6_only_what_has_caught_up_is_admitted() -> None:
    world = World(THREE)
    world.elect("a1")
    world.crash("a3")
    world.run(3_000)
    for _ in range(5):
        world.propose("a1")
    world.run(50)
    world.restart("a3")
    world.slow_disks.add("a3")
    world.run(3_000)
    assert A3 not in world.registry.configuration.active_set
    world.slow_disks.clear()
    world.run_until(lambda: A3 in world.registry.configuration.active_set)
    assert world.leading("a1").peers["a3"].match == world.replica("a1").state.log.last_index


def test_S6_an_admission_needs_an_acknowledgement_of_this_epoch() -> None:
    """What a replica had in an older epoch does not count for the present one."""
    solo = Solo(configuration=PAIR)
    attempt = solo.campaign().attempt
    solo.feed(Won(attempt, 10, PAIR, REVISION))
    solo.persist()
    solo.hear(A2, Promise(10, 0, 0, 0))
    solo.persist()
    for _ in range(20):
        solo.tick(50)
        solo.hear(A2, Ack(10, solo.leader.round, 1))
        solo.hear(A3, Ack(9, solo.leader.round, 1))
        solo.hear(A3, Ack(10, solo.leader.round, 0))
    assert solo.leader.change is None
    requests: list[ChangeConfiguration] = []
    for _ in until(lambda: solo.leader.change is not None):
        solo.hear(A2, Ack(10, solo.leader.round, 1))
        solo.hear(A3, Ack(10, solo.leader.round, 1))
        requests += asked(solo.tick(50))
    assert [change.configuration for change in requests] == [CONFIGURATION]


def test_S6_nobody_is_admitted_who_lacks_epoch_start() -> None:
    """All that is known to be committed is of older epochs: having that is not enough."""
    solo = Solo(configuration=PAIR)
    attempt = solo.campaign().attempt
    solo.feed(Won(attempt, 10, PAIR, REVISION))
    solo.persist()
    solo.hear(A2, Promise(10, 0, 0, 0))
    solo.persist()
    for _ in range(20):
        solo.tick(50)
        for peer in (A2, A3):
            solo.hear(peer, Ack(10, solo.leader.round, 0))
    assert solo.leader.peers["a3"].close
    assert solo.leader.change is None


def test_S6_a_lost_disk_is_replaced_one_replica_for_another() -> None:
    world = World(THREE)
    world.elect("a1")
    world.propose("a1")
    world.settle()
    world.crash("a3")
    world.lose_disk("a3")
    world.restart("a3")
    world.run(10_000)
    assert world.registry.configuration.active_set == {A1, A2, ReplicaId("a3", "da3'")}
    assert [event.split()[0] for event in events(world.nodes["a1"], "set-change")] == [
        "begun:",
        "made:",
        "begun:",
        "made:",
    ]


def test_S6_the_leader_is_never_evicted_by_itself() -> None:
    assert evicting(CONFIGURATION, A1, frozenset({A1, A2, A3})) is None
    assert evicting(CONFIGURATION, A1, frozenset({A1, A2})) == Configuration(
        "cluster", "a", {"a": frozenset({A1, A3})}, 2
    )


def test_S6_nothing_silent_and_nothing_new_is_no_change() -> None:
    assert evicting(CONFIGURATION, A1, frozenset()) is None
    assert admitting(CONFIGURATION, "a", A2) is None


def test_S6_another_disk_takes_the_place_of_its_nodes_former_one() -> None:
    new = ReplicaId("a2", "another")
    assert admitting(CONFIGURATION, "a", new) == CONFIGURATION.with_set("a", {A1, new, A3})


def test_S6_another_disk_waits_until_the_former_one_may_be_given_up() -> None:
    """Until then nobody is admitted: the former disk has a vote, and no node has two."""
    solo = Solo()
    leader = solo.serve(10)
    solo.hear(A2, Ack(10, leader.round, 1))
    for _ in range(solo.state.timings.eviction_ms // 50 - 1):
        solo.hear(A2, Ack(10, leader.round, 1))
        solo.hear(ReplicaId("a3", "another"), Ack(10, leader.round, 1))
        assert not asked(solo.tick(50))
    (evict,) = until_a_change(solo)
    assert evict.configuration == PAIR


def test_S6_who_could_never_be_covered_does_not_keep_another_out() -> None:
    """Only b2 counts beside a1, and has lost its disk: with b1 there would be no quorum, either."""
    old, new = ReplicaId("b2", "old"), ReplicaId("b2", "new")
    counting = Configuration("cluster", "a", {"a": frozenset({A1}), "b": frozenset({old})}, 2)
    solo = Solo.of_two_sites(configuration=counting)
    solo.win(10)
    solo.persist()
    solo.persist()  # its EpochStart
    leader = solo.leader
    requests: list[ChangeConfiguration] = []
    for _ in until(lambda: leader.change is not None and leader.change.is_sent):
        for peer in (B1, new):
            requests += asked(solo.hear(peer, Ack(10, leader.round, leader.start_index)))
        requests += asked(solo.tick(20))
    assert requests[0].configuration.in_sync["b"] == {new}


def test_S6_copies_are_counted_over_both_sites() -> None:
    b1, b2 = ReplicaId("b1", "db1"), ReplicaId("b2", "db2")
    two = Configuration("cluster", "a", {"a": frozenset({A1, A2}), "b": frozenset({b1, b2})}, 3)
    assert evicting(two, A1, frozenset({A2})) == two.with_set("a", {A1})
    assert evicting(two, A1, frozenset({A2, b1, b2})) is None
    assert evicting(two, A1, frozenset({b1, b2})) is None


# -- two sites ----------------------------------------------------------------------------------


def test_X1_a_commit_needs_a_majority_of_both_sites() -> None:
    world = World({"a": ["a1", "a2"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.slow_disks = {"b2"}
    world.propose("a1")
    world.settle()
    assert world.witness.last_committed == 1
    world.slow_disks.clear()
    world.settle()
    assert world.witness.last_committed == 2


def test_X2_the_standby_cut_off_is_dropped_and_taken_back() -> None:
    world = World({"a": ["a1", "a2", "a3"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.isolate("b1")
    world.isolate("b2")
    world.propose("a1")
    world.run(5_000)
    assert world.registry.configuration.in_sync["b"] == frozenset()
    assert world.witness.last_committed == 2
    world.cut.clear()
    world.run(2_000)
    assert len(world.registry.configuration.in_sync["b"]) == 2
    assert world.serving() == ["a1"]


def test_X3_after_a_switch_the_old_leader_commits_nothing_behind_anybodys_back() -> None:
    """E5: the active site moves to b; the old leader hears nothing of it, but is fenced."""
    world = World({"a": ["a1", "a2"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.propose("a1")
    world.settle()
    sets = world.registry.configuration.in_sync
    world.reconfigure(Configuration("cluster", "b", sets, 2))
    for name in ("a1", "a2"):
        world.etcd_cut.add(name)
        world.isolate(name)
    world.run_until(lambda: world.serving() in (["a1", "b1"], ["a1", "b2"]), 10_000)
    world.cut.clear()
    world.propose("a1")
    world.run(100)
    assert world.serving() in (["b1"], ["b2"])
    assert world.nodes["a1"].abandoned == 1
    assert b"p2" not in payloads(world.witness.committed.values())
    assert world.witness.last_committed == 3


def test_S6_a_leader_that_is_cut_off_does_not_evict_its_peers_one_by_one() -> None:
    """a3 is heard last, a little before a2. Without a3 the set would be a1 and a2, who has not
    answered for long, either: a3, if only it is well, could not campaign any more."""
    solo = Solo()
    leader = solo.serve(10)
    solo.hear(A3, Ack(10, leader.round, 1))
    solo.tick(200)
    solo.hear(A2, Ack(10, leader.round, 1))
    quiet_from = solo.now
    requests: list[ChangeConfiguration] = []
    while solo.now < quiet_from + solo.state.timings.eviction_ms - 50:
        requests += asked(solo.tick(50))
    assert requests == []
    assert leader.change is None
    solo.hear(A2, Ack(10, leader.round, 1))
    solo.tick(50)
    assert leader.change is not None  # a2 answers: now a3 alone is gone
    assert leader.change.target.in_sync["a"] == {solo.state.me, A2}
