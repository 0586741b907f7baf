"""Two sites: planned switches (H2, E5), the standby dropped and taken back (X2, S6), and S5."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.core import Timings
from node.core.inputs import (
    ConfigurationSeen,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    Input,
    LeaderSeen,
    Proposed,
    SwitchAsked,
)
from node.core.messages import Ack, Handover
from node.core.outputs import Campaign, NotProposed, Output, SwitchSite
from node.core.switching import Switching
from tests.node.core.solo import A1, A2, B1, B2, REVISION, TWO_SITES, Solo, sent, until
from tests.node.core.world import World, events, payloads

PAIRS = {"a": ["a1", "a2"], "b": ["b1", "b2"]}
RENEWED = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"]}


def switches(output: Output) -> list[SwitchSite]:
    """The switches an output asks of etcd."""
    return [ask for ask in output.ask_registry if isinstance(ask, SwitchSite)]


def serving() -> Solo:
    """a1 serves two sites of two; everybody has all there is."""
    solo = Solo.of_two_sites()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    for peer in (A2, B1, B2):
        solo.hear(peer, Ack(10, leader.round, 2))
    return solo


def serving_without_b2() -> Solo:
    """a1 serves; b2 answers, and does not count."""
    solo = Solo.of_two_sites(configuration=TWO_SITES.with_set("b", {B1}))
    solo.serve(10)
    return solo


def work(solo: Solo, b2: int) -> None:
    """An entry, settled by those who count; b2 has what is named; 50 ms."""
    solo.leader.propose(9, b"x", solo.now)
    solo.persist()
    for peer in (A2, B1):
        solo.hear(peer, Ack(10, solo.leader.round, solo.state.log.last_index))
    solo.hear(B2, Ack(10, solo.leader.round, b2))
    solo.tick(50)


def asked_to_switch() -> tuple[Solo, SwitchSite]:
    """a1 has sent the transaction."""
    solo = serving()
    (ask,) = switches(solo.feed(SwitchAsked("b")))
    return solo, ask


# -- H2: the leader ------------------------------------------------------------------------------


def test_H2_it_waits_until_the_target_has_everything_and_everything_is_committed() -> None:
    solo = serving()
    solo.feed(Proposed(2, b"y"))
    out = solo.feed(SwitchAsked("b"))
    assert not switches(out)
    solo.persist()
    assert not switches(solo.hear(B1, Ack(10, solo.leader.round, 3)))  # not committed in b
    assert not switches(solo.hear(B2, Ack(10, solo.leader.round, 3)))  # not committed in a
    assert switches(solo.hear(A2, Ack(10, solo.leader.round, 3)))
    assert solo.state.commit == 3


def test_H2_it_waits_for_the_acknowledgement_of_the_target_itself() -> None:
    """Three in b: two of them commit; the third, which was furthest when it began, must follow."""
    world = World(RENEWED)
    world.elect("a1")
    world.slow_disks = {"b1"}
    world.propose("a1")
    world.step("a1", SwitchAsked("b"))
    move = world.leading("a1").move
    assert isinstance(move, Switching)
    target = move.target.node
    world.slow_disks = {target}
    world.settle()
    assert world.witness.last_committed == 2
    assert move.phase == "draining"
    assert not world.select(kind=Handover)
    world.slow_disks.clear()
    world.settle()
    assert world.registry.configuration.active_site == "b"


def test_H2_the_transaction_names_epoch_and_revision_and_changes_the_site_alone() -> None:
    _, ask = asked_to_switch()
    assert (ask.epoch, ask.revision) == (10, REVISION)
    assert ask.configuration == replace(TWO_SITES, active_site="b")


def test_H2_the_target_is_told_before_the_transaction_is_sent() -> None:
    solo = serving()
    out = solo.feed(SwitchAsked("b"))
    assert sent(out, Handover, "b1") == [Handover(10)]
    assert switches(out)


def test_H2_commands_wait_while_it_switches_and_go_on_when_the_guard_fails() -> None:
    solo, ask = asked_to_switch()
    assert not solo.replica.accepting
    assert solo.feed(Proposed(5, b"z")).answer == [NotProposed(5, "a1")]
    out = solo.feed(GuardFailed(ask.change))
    assert solo.replica.accepting
    assert solo.replica.serving
    assert "refused the switch" in out.events[-1].detail


def test_H2_a_drain_that_takes_too_long_is_given_up() -> None:
    solo = serving()
    solo.feed(Proposed(2, b"y"))
    solo.feed(SwitchAsked("b"))
    solo.tick(solo.state.timings.handover_ms - 10)
    assert not solo.replica.accepting
    solo.tick(20)
    assert solo.replica.accepting
    solo.persist()
    for peer in (A2, B1, B2):
        assert not switches(solo.hear(peer, Ack(10, solo.leader.round, 3)))


def test_H2_an_outcome_nobody_knows_is_waited_for_one_etcd_deadline() -> None:
    solo, ask = asked_to_switch()
    solo.feed(GuardUnknown(ask.change))
    solo.tick(solo.state.timings.etcd_deadline_ms - 10)
    assert not solo.replica.accepting
    solo.tick(20)
    assert solo.replica.accepting


@pytest.mark.parametrize("news", ["key", "configuration"])
def test_H2_a_switch_that_arrives_late_ends_the_leadership(news: str) -> None:
    solo, ask = asked_to_switch()
    solo.feed(GuardUnknown(ask.change))
    solo.tick(solo.state.timings.etcd_deadline_ms + 10)
    solo.feed(Proposed(5, b"z"))
    seen = LeaderSeen(0, "", "", 11) if news == "key" else ConfigurationSeen(ask.configuration, 11)
    out = solo.feed(seen)
    assert solo.replica.role.role == "follower"
    assert out.abandon


def test_H2_success_ends_the_leadership() -> None:
    solo, ask = asked_to_switch()
    out = solo.feed(GuardPassed(ask.change, 11))
    assert out.abandon
    assert solo.replica.role.role == "follower"


def test_H2_a_late_answer_to_a_switch_that_was_called_off_changes_nothing() -> None:
    solo, ask = asked_to_switch()
    solo.tick(solo.state.timings.etcd_deadline_ms + 10)
    solo.feed(GuardFailed(ask.change))
    assert solo.replica.accepting
    assert solo.replica.serving


@pytest.mark.parametrize(
    ("site", "why"),
    [("nowhere", "no site nowhere; there are a and b"), ("a", "site a is the active one already")],
)
def test_H2_is_refused_for_a_site_it_cannot_be_made_to(site: str, why: str) -> None:
    solo = serving()
    out = solo.feed(SwitchAsked(site))
    assert solo.replica.accepting
    assert why in out.events[-1].detail


def test_H2_is_refused_where_the_other_site_is_not_in_sync() -> None:
    """One replica counts there, whose majority is fewer than copies_min."""
    world = World({"a": ["a1", "a2", "a3"], "b": ["b1"]})
    world.elect("a1")
    world.step("a1", SwitchAsked("b"))
    assert world.replica("a1").accepting
    assert "site b is not in sync" in events(world.nodes["a1"], "switch")[-1]


def test_H2_is_refused_while_a_set_changes_or_a_move_is_under_way_or_before_it_serves() -> None:
    world = World(RENEWED)
    world.elect("a1")
    world.etcd_away = True
    world.crash("a3")
    world.run(2_500)
    assert world.leading("a1").change is not None
    world.step("a1", SwitchAsked("b"))
    assert "are being changed" in events(world.nodes["a1"], "switch")[-1]
    solo, _ = asked_to_switch()
    out = solo.feed(SwitchAsked("b"))
    assert not switches(out)
    assert "under way already" in out.events[-1].detail
    early = Solo.of_two_sites()
    early.lead(10)
    assert "only starting" in early.feed(SwitchAsked("b")).events[-1].detail


def test_H2_no_set_change_begins_while_it_switches() -> None:
    """Both would name the same revision; whichever came second would end the leadership."""
    world = World(RENEWED)
    world.elect("a1")
    world.crash("a3")
    world.run(1_400)
    world.etcd_away = True
    world.step("a1", SwitchAsked("b"))
    world.run(700)
    assert isinstance(world.leading("a1").move, Switching)
    assert world.leading("a1").change is None


# -- H2: the target ------------------------------------------------------------------------------


def test_H2_the_target_campaigns_when_it_sees_the_switch_and_not_before() -> None:
    """b1, told by a1; then the configuration, then the key that is gone, or the other way round."""
    for order in (0, 1):
        solo = Solo.of_two_sites(me=B1)
        solo.follow(10)
        assert not solo.hear(A1, Handover(10)).ask_registry
        assert not solo.tick(10).ask_registry
        news: list[Input] = [
            ConfigurationSeen(replace(TWO_SITES, active_site="b"), 11),
            LeaderSeen(0, "", "", 11),
        ]
        assert not solo.feed(news[order]).ask_registry
        (ask,) = solo.feed(news[1 - order]).ask_registry
        assert isinstance(ask, Campaign)
        assert (ask.suspected, ask.configuration_revision) == (0, 11)


def test_H2_a_call_that_comes_after_etcds_news_is_answered_at_once() -> None:
    """The word of the old leader may be slower than the watch; the key is gone, not the old one."""
    configuration = ConfigurationSeen(replace(TWO_SITES, active_site="b"), 11)
    gone = LeaderSeen(0, "", "", 11)
    for before in ((configuration,), (configuration, gone)):
        solo = Solo.of_two_sites(me=B1)
        solo.follow(10)
        for news in before:
            solo.feed(news)
        asks = solo.hear(A1, Handover(10)).ask_registry
        if gone not in before:
            assert not asks
            asks = solo.feed(gone).ask_registry
        (ask,) = asks
        assert isinstance(ask, Campaign)
        assert ask.suspected == 0


def test_H2_another_replica_there_lets_the_target_go_first() -> None:
    solo = Solo.of_two_sites(me=B2)
    solo.follow(10)
    solo.feed(ConfigurationSeen(replace(TWO_SITES, active_site="b"), 11))
    assert not solo.feed(LeaderSeen(0, "", "", 11)).ask_registry
    assert not solo.tick(10).ask_registry


def test_H2_a_call_of_an_epoch_that_is_over_is_forgotten() -> None:
    solo = Solo.of_two_sites(me=B1)
    solo.follow(10)
    solo.hear(A1, Handover(10))
    solo.follow(11)
    solo.feed(ConfigurationSeen(replace(TWO_SITES, active_site="b"), 12))
    assert not solo.feed(LeaderSeen(0, "", "", 12)).ask_registry


def test_H2_there_and_back_without_a_failed_proposal() -> None:
    world = World(RENEWED)
    world.elect("a1")
    world.propose("a1")
    world.step("a1", SwitchAsked("b"))
    world.run_until(lambda: world.serving() != ["a1"] and len(world.serving()) == 1, 300)
    (there,) = world.serving()
    assert there[0] == "b"
    world.propose(there)
    world.settle()
    world.step(there, SwitchAsked("a"))
    world.run_until(lambda: world.serving() != [there] and len(world.serving()) == 1, 300)
    assert world.serving()[0][0] == "a"
    assert [p for p in payloads(world.witness.committed.values()) if p] == [b"p1", b"p2"]


# -- E5 ------------------------------------------------------------------------------------------


def test_E5_puts_the_configuration_and_deletes_the_key_in_one_transaction() -> None:
    world = World(PAIRS)
    world.elect("a1")
    world.step("a1", SwitchAsked("b"))
    (request,) = world.requests
    world.execute(request)
    assert request.passed
    assert world.registry.leader is None
    assert world.registry.configuration.active_site == "b"


@pytest.mark.parametrize("other", ["configuration", "epoch"])
def test_E5_the_leaders_switch_fails_where_its_epoch_or_configuration_is_not_etcds(
    other: str,
) -> None:
    world = World(PAIRS)
    world.elect("a1")
    world.step("a1", SwitchAsked("b"))
    (request,) = world.requests
    if other == "epoch":
        world.registry.delete_leader()
    else:
        world.registry.put_configuration(replace(world.registry.configuration, copies_min=1))
    world.execute(request)
    assert not request.passed
    assert world.registry.configuration.active_site == "a"


def test_E5_a_coordinators_switch_compares_the_configuration_alone() -> None:
    world = World(PAIRS)
    world.elect("a1")
    first, second = world.plan_switch("b"), world.plan_switch("b")
    assert first is not None
    assert second is not None
    world.expire("a1")
    assert world.switch(first)
    assert not world.switch(second)
    assert world.plan_switch("b") is None  # it is the active one already


# -- X2, S6: the standby -------------------------------------------------------------------------


def test_X2_the_standby_is_dropped_as_a_whole_degraded_and_taken_back_one_by_one() -> None:
    world = World(RENEWED)
    world.elect("a1")
    for name in RENEWED["b"]:
        world.isolate(name)
    world.propose("a1")
    world.run(1_400)
    assert world.witness.last_committed == 1
    world.run(600)
    assert world.witness.last_committed == 2
    assert world.registry.configuration.in_sync["b"] == frozenset()
    assert any("degraded" in told for told in events(world.nodes["a1"], "alarm"))
    world.step("a1", SwitchAsked("b"))
    assert "not in sync" in events(world.nodes["a1"], "switch")[-1]
    assert world.plan_switch("b") is None
    world.cut.clear()
    revision = world.registry.configuration_revision
    world.run_until(lambda: len(world.registry.configuration.in_sync["b"]) == 3, 3_000)
    assert world.registry.configuration_revision == revision + 3
    assert world.serving() == ["a1"]


def test_S6_a_replica_is_admitted_under_load_without_ever_reaching_the_commit_index() -> None:
    """b2 is two entries, 100 ms, behind all the time: its rounds are short enough."""
    solo = serving_without_b2()
    for _ in until(lambda: solo.leader.change is not None):
        work(solo, solo.state.log.last_index - 1)
        assert solo.leader.peers["b2"].match < solo.state.commit
    assert solo.leader.change is not None
    assert solo.leader.change.target == TWO_SITES


def test_S6_who_is_a_round_too_long_behind_is_not_admitted_however_long_it_answers() -> None:
    """b2 is eight entries, 400 ms, behind all the time."""
    solo = serving_without_b2()
    for _ in range(100):
        work(solo, max(0, solo.state.log.last_index - 7))
    assert solo.leader.change is None
    assert not solo.leader.peers["b2"].close


def test_S6_who_stops_is_not_close_any_more() -> None:
    solo = serving_without_b2()
    for _ in until(lambda: solo.leader.change is not None):
        work(solo, solo.state.log.last_index)
    reached = solo.leader.peers["b2"].match
    assert solo.leader.peers["b2"].close
    for _ in range(8):
        work(solo, reached)
    assert not solo.leader.peers["b2"].close


def test_S5_after_a_switch_the_new_leader_drops_the_dead_site_and_then_serves() -> None:
    world = World(RENEWED)
    world.elect("a1")
    world.propose("a1")
    world.settle()
    for name in RENEWED["a"]:
        world.crash(name)
    planned = world.plan_switch("b")
    assert planned is not None
    world.switch(planned)
    world.run_until(lambda: bool(world.serving()), 4_000)
    configuration = world.registry.configuration
    assert configuration.active_site == "b"
    assert configuration.in_sync["a"] == frozenset()
    assert b"p1" in payloads(world.witness.committed.values())


def test_X3_a_switch_without_the_old_site_and_what_it_had_on_its_way_is_not_lost() -> None:
    """a1 has committed on Acks of b; a is isolated, not dead: it settles nothing more."""
    world = World(RENEWED)
    world.elect("a1")
    world.propose("a1")
    world.settle()
    for name in RENEWED["a"]:
        for other in RENEWED["b"]:
            world.cut |= {(name, other), (other, name)}
        world.etcd_cut.add(name)
    world.propose("a1", b"never")
    planned = world.plan_switch("b")
    assert planned is not None
    world.switch(planned)
    world.run(3_000)
    assert b"never" not in payloads(world.witness.committed.values())
    world.heal()
    world.run(3_000)
    assert world.serving()[0][0] == "b"
    assert len(world.registry.configuration.in_sync["a"]) == 3
    assert b"never" not in payloads(world.nodes["a1"].disk.entries)


# -- copies --------------------------------------------------------------------------------------


def test_S6_below_copies_min_there_is_no_quorum_to_answer_with() -> None:
    """As after a promotion with one survivor: nothing is settled until a second has caught up."""
    solo = Solo.of_two_sites()
    one = replace(TWO_SITES, in_sync={"a": frozenset({A1}), "b": frozenset()})
    solo = Solo.of_two_sites(configuration=one)
    solo.serve(10, acks=False)
    assert "copies_min 2" in solo.leader.missing_quorum(solo.now)
    solo.leader.configuration = replace(one, copies_min=1)
    assert solo.leader.missing_quorum(solo.now) == ""


def test_missing_quorum_counts_both_sites() -> None:
    world = World(PAIRS, timings=Timings(eviction_ms=500))
    world.elect("a1")
    for name in ("a2", "b1", "b2"):
        world.crash(name)
    world.run(1_000)
    assert world.leading("a1").missing_quorum(world.now) == (
        "no write quorum: in sync a {a1 a2}, b {b1 b2}, answering a1, copies_min 2"
    )
