"""Becoming leader: the campaign (E2, E3, T3), the promises (T4), the log chosen (T5, T6)."""

from __future__ import annotations

from coordinator.configuration import Configuration, ReplicaId
from node.core.inputs import (
    Applied,
    CampaignLost,
    ConfigurationSeen,
    LeaderSeen,
    PeerRefused,
    Persisted,
    Proposed,
    Won,
)
from node.core.messages import (
    EPOCH_START,
    Ack,
    Append,
    Entries,
    Fence,
    Fetch,
    Promise,
    Refuse,
    Suspect,
    Suspicion,
)
from node.core.outputs import Campaign, NotProposed, Resign, Write
from tests.node.core.solo import A1, A2, A3, B1, CONFIGURATION, REVISION, Solo, append, chain, sent
from tests.node.core.world import World

STRANGER = ReplicaId("a4", "da4")
FIVE = dict.fromkeys(("a2", "a3", "a4", "a5"), "a")


def test_E2_a_campaign_names_the_suspected_epoch_and_the_configuration_it_is_a_member_in() -> None:
    solo = Solo()
    solo.feed(ConfigurationSeen(CONFIGURATION, 9))
    assert solo.campaign() == Campaign("a1/da1/life/1", 0, 9)


def test_E2_a_campaign_from_before_a_set_change_cannot_win() -> None:
    """While a2's campaign is on its way the leader changes the set: the configuration guards E2."""
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.step("a2", PeerRefused("a1"))
    world.step("a3", PeerRefused("a1"))
    world.tick("a2")
    world.deliver_all("a2", "a3", Suspect)
    world.deliver_all("a3", "a2", Suspicion)
    (late,) = world.requests
    world.requests.clear()
    world.crash("a3")
    world.run_until(lambda: len(world.registry.configuration.active_set) == 2)
    world.requests.append(late)
    world.execute(late)
    world.answer(late)
    world.run(1000)
    assert not late.passed
    assert world.serving() == ["a1"]


def test_E3_a_win_of_another_attempt_is_given_back() -> None:
    solo = Solo()
    solo.campaign()
    out = solo.feed(Won("a1/da1/formerlife/1", 10, CONFIGURATION, REVISION))
    assert out.ask_registry == [Resign(10)]
    assert solo.replica.role.role == "follower"
    assert not sent(out, Fence)


def test_E3_a_win_that_comes_after_it_was_given_up_is_given_back() -> None:
    solo = Solo()
    attempt = solo.campaign().attempt
    solo.feed(CampaignLost(attempt, "unknown"))
    assert solo.feed(Won(attempt, 10, CONFIGURATION, REVISION)).ask_registry == [Resign(10)]
    assert solo.replica.role.role == "follower"


def test_E3_a_win_below_a_promise_made_meanwhile_is_given_back() -> None:
    solo = Solo()
    attempt = solo.campaign().attempt
    solo.hear(A2, Fence(12, REVISION))
    out = solo.feed(Won(attempt, 10, CONFIGURATION, REVISION))
    assert out.ask_registry == [Resign(10)]
    assert solo.state.promised == 12
    assert solo.replica.role.role == "follower"


def test_E3_a_win_at_the_promised_epoch_is_given_back() -> None:
    solo = Solo()
    attempt = solo.campaign().attempt
    solo.hear(A2, Fence(10, REVISION))
    assert solo.feed(Won(attempt, 10, CONFIGURATION, REVISION)).ask_registry == [Resign(10)]


def test_E3_a_late_answer_of_an_older_win_does_not_end_a_newer_leadership() -> None:
    solo = Solo()
    first = solo.campaign().attempt
    solo.feed(CampaignLost(first, "unknown"))
    solo.serve(10)
    out = solo.feed(Won(first, 9, CONFIGURATION, REVISION))
    assert out.ask_registry == [Resign(9)]
    assert solo.replica.serving


def test_T3_a_winner_that_is_no_member_any_more_resigns() -> None:
    solo = Solo()
    attempt = solo.campaign().attempt
    without = Configuration("cluster", "a", {"a": frozenset({A2, A3})}, 2)
    out = solo.feed(Won(attempt, 10, without, 9))
    assert out.ask_registry == [Resign(10)]
    assert not sent(out, Fence)


def test_T3_a_winner_that_read_an_older_configuration_resigns() -> None:
    solo = Solo()
    attempt = solo.campaign().attempt
    solo.feed(ConfigurationSeen(CONFIGURATION, 9))
    out = solo.feed(Won(attempt, 10, CONFIGURATION, REVISION))
    assert out.ask_registry == [Resign(10)]


def test_T3_a_configuration_that_changes_during_the_takeover_ends_it() -> None:
    solo = Solo()
    solo.win(10)
    out = solo.feed(ConfigurationSeen(CONFIGURATION, 11))
    assert out.ask_registry == [Resign(10)]
    assert solo.replica.role.role == "follower"


def test_T4_a_winner_promises_its_own_epoch_and_fences_everybody() -> None:
    solo = Solo()
    out = solo.win(10)
    assert [write.promised for write in out.persist] == [10]
    assert [(send.node, send.message) for send in out.send] == [
        ("a2", Fence(10, REVISION)),
        ("a3", Fence(10, REVISION)),
    ]


def test_T4_promises_of_a_takeover_quorum_are_needed() -> None:
    solo = Solo()
    solo.win(10)
    solo.persist()
    assert solo.replica.role.role == "takeover"
    solo.hear(A2, Promise(10, 0, 0, 0))
    assert solo.replica.role.role == "leader"


def test_T4_the_own_promise_counts_only_when_it_is_on_disk() -> None:
    solo = Solo()
    solo.win(10)
    solo.hear(A2, Promise(10, 0, 0, 0))
    solo.feed(Persisted(solo.last_write - 1))
    assert solo.replica.role.role == "takeover"
    solo.persist()
    assert solo.replica.role.role == "leader"


def test_T4_promises_from_outside_the_set_do_not_count() -> None:
    solo = Solo(peers={**FIVE})
    solo.win(10)
    solo.persist()
    solo.hear(STRANGER, Promise(10, 0, 0, 0))
    solo.hear(ReplicaId("a2", "another"), Promise(10, 0, 0, 0))
    assert solo.replica.role.role == "takeover"


def test_T4_promises_of_another_epoch_do_not_count() -> None:
    solo = Solo()
    solo.win(10)
    solo.persist()
    solo.hear(A2, Promise(9, 0, 0, 0))
    assert solo.replica.role.role == "takeover"


def test_T4_promises_of_the_standby_site_do_not_count() -> None:
    b1, b2 = ReplicaId("b1", "db1"), ReplicaId("b2", "db2")
    two = Configuration("cluster", "a", {"a": frozenset({A1, A2, A3}), "b": frozenset({b1, b2})}, 2)
    solo = Solo(configuration=two, peers={"a2": "a", "a3": "a", "b1": "b", "b2": "b"})
    attempt = solo.campaign().attempt
    out = solo.feed(Won(attempt, 10, two, REVISION))
    assert len(sent(out, Fence)) == 4
    solo.persist()
    solo.hear(b1, Promise(10, 0, 0, 0))
    solo.hear(b2, Promise(10, 0, 0, 0))
    assert solo.replica.role.role == "takeover"
    solo.hear(A3, Promise(10, 0, 0, 0))
    assert solo.replica.role.role == "leader"


def test_T2_a_leader_in_takeover_repeats_fence() -> None:
    solo = Solo()
    solo.win(10)
    solo.persist()
    assert not sent(solo.tick(10), Fence)
    assert len(sent(solo.tick(50), Fence)) == 2


def fetching(old_epochs: tuple[int, ...] = (3, 3)) -> tuple[Solo, Fetch]:
    """a1 with a log of its own wins; a2 promises a greater log; the Fetch a1 sends."""
    solo = Solo(chain(*old_epochs), promised=max(old_epochs))
    solo.win(10)
    solo.persist()
    (fetch,) = sent(solo.hear(A2, Promise(10, 4, 3, 0)), Fetch, "a2")
    assert isinstance(fetch, Fetch)
    return solo, fetch


def test_T5_the_greatest_last_epoch_wins_over_a_longer_log() -> None:
    solo, fetch = fetching((3, 3, 3, 3, 3))
    assert (fetch.prev_index, fetch.prev_hash) == (0, bytes(32))
    assert solo.replica.role.role == "takeover"


def test_T5_of_two_logs_with_one_last_epoch_the_longer_is_taken() -> None:
    own = chain(3, 3)
    solo = Solo(own, promised=3)
    solo.win(10)
    solo.persist()
    assert sent(solo.hear(A2, Promise(10, 3, 3, 0)), Fetch, "a2")
    shorter = Solo(own, promised=3)
    shorter.win(10)
    shorter.persist()
    shorter.hear(A2, Promise(10, 3, 1, 0))
    assert shorter.leader.start_index == 3


def test_T5_a_log_from_outside_the_sets_is_not_chosen() -> None:
    # Nobody knows what it is: a promotion with loss may have given it up (X4).
    solo = Solo(chain(3), promised=3, peers={**FIVE})
    solo.win(10)
    solo.persist()
    solo.hear(STRANGER, Promise(10, 4, 2, 0))
    assert not sent(solo.hear(A2, Promise(10, 3, 1, 0)), Fetch)
    assert solo.leader.start_index == 2


def test_T5_the_log_of_a_member_of_the_standby_site_may_be_chosen() -> None:
    solo = Solo.of_two_sites(chain(3), promised=3)
    solo.win(10)
    solo.hear(B1, Promise(10, 4, 2, 0))
    assert sent(solo.persist(), Fetch, "b1")


def test_T5_a_promise_that_comes_before_the_own_is_chosen_from_too() -> None:
    solo = Solo(chain(3), promised=3)
    solo.win(10)
    solo.hear(A2, Promise(10, 4, 2, 0))
    solo.hear(A3, Promise(10, 3, 1, 0))
    assert sent(solo.persist(), Fetch, "a2")


def test_T5_the_prefix_that_agrees_is_kept_and_the_rest_replaced_in_one_write() -> None:
    solo, _ = fetching((3, 3, 3))
    best = chain(3) + chain(4, 4, after=chain(3)[0])
    out = solo.hear(A2, Entries(10, 0, True, best, 3))
    write = out.persist[0]
    assert isinstance(write, Write)
    assert (write.truncate_after, write.entries) == (1, best[1:])
    assert solo.leader.start_index == 4


def test_T5_a_log_is_fetched_in_several_pieces() -> None:
    solo, _ = fetching()
    best = chain(4, 4, 4)
    (more,) = sent(solo.hear(A2, Entries(10, 0, True, best[:2], 3)), Fetch)
    assert more == Fetch(10, 2, 4, best[1].hash)
    assert solo.replica.role.role == "takeover"
    solo.hear(A2, Entries(10, 2, True, best[2:], 3))
    assert solo.leader.start_index == 4
    assert solo.state.log.hash_at(3) == best[2].hash


def test_T5_a_repeated_piece_is_taken_once() -> None:
    solo, _ = fetching()
    best = chain(4, 4, 4)
    solo.hear(A2, Entries(10, 0, True, best[:2], 3))
    assert not sent(solo.hear(A2, Entries(10, 0, True, best[:2], 3)))
    solo.hear(A2, Entries(10, 2, True, best[2:], 3))
    assert solo.leader.start_index == 4


def test_T5_entries_of_another_donor_or_epoch_are_ignored() -> None:
    solo, _ = fetching()
    solo.hear(A3, Entries(10, 0, True, chain(4, 4, 4, mark="x"), 3))
    solo.hear(A2, Entries(9, 0, True, chain(4, 4, 4, mark="y"), 3))
    assert solo.replica.role.role == "takeover"
    solo.hear(A2, Entries(10, 0, True, chain(4, 4, 4), 3))
    assert solo.state.log.hash_at(3) == chain(4, 4, 4)[2].hash


def test_T5_an_empty_piece_does_not_make_them_talk_in_circles() -> None:
    solo, _ = fetching()
    assert not sent(solo.hear(A2, Entries(10, 0, True, (), 3)))


def test_T5_fetched_entries_that_are_no_chain_are_a_breach() -> None:
    solo, _ = fetching()
    best = chain(4, 4, 4)
    solo.hear(A2, Entries(10, 0, True, (best[0], chain(4, 4, mark="x")[1]), 3))
    assert solo.replica.role.role == "silent"


def test_T5_a_donor_without_what_is_committed_here_is_a_breach() -> None:
    solo, _ = fetching()
    solo.hear(A2, Entries(10, 0, False, (), 3))
    assert solo.replica.role.role == "silent"


def test_T5_a_donor_that_is_slow_is_asked_again() -> None:
    solo, fetch = fetching()
    asked = [m for _ in range(40) for m in sent(solo.tick(10), Fetch, "a2")]
    assert asked == [fetch]


def test_T5_a_donor_that_vanishes_is_given_up_if_a_quorum_remains_without_it() -> None:
    solo, _ = fetching()
    solo.hear(A3, Promise(10, 3, 1, 0))
    for _ in range(200):
        solo.tick(10)
    assert solo.leader.start_index == 3


def test_T5_a_donor_that_vanishes_is_waited_for_if_no_quorum_remains() -> None:
    solo, _ = fetching()
    for _ in range(200):
        solo.tick(10)
    assert solo.replica.role.role == "takeover"
    solo.hear(A2, Entries(10, 0, True, chain(4, 4, 4), 3))
    assert solo.replica.role.role == "leader"


def test_T6_it_appends_an_epoch_start_in_its_epoch_and_sends_it() -> None:
    solo = Solo(chain(3, 3), promised=3)
    solo.win(10)
    solo.persist()
    out = solo.hear(A2, Promise(10, 3, 2, 0))
    entry = solo.state.log.entry(3)
    assert (entry.epoch, entry.payload) == (10, EPOCH_START)
    assert [message.entries for message in sent(out, Append) if isinstance(message, Append)] == [
        (entry,),
        (entry,),
    ]


def test_T6_it_serves_when_epoch_start_is_committed_and_applied() -> None:
    solo = Solo()
    leader = solo.lead(10)
    solo.persist()
    assert solo.feed(Proposed(1, b"x")).answer == [NotProposed(1, "a1")]
    out = solo.hear(A2, Ack(10, leader.round, 1))
    assert [entry.payload for entry in out.apply] == [EPOCH_START]
    assert not solo.replica.serving
    solo.feed(Applied(1))
    assert solo.replica.serving


def test_T6_it_does_not_serve_while_the_ledger_is_below_epoch_start() -> None:
    solo = Solo(chain(3, 3), promised=3)
    solo.win(10)
    solo.persist()
    solo.hear(A2, Promise(10, 3, 2, 0))
    solo.persist()
    solo.hear(A2, Ack(10, solo.leader.round, 3))
    assert solo.state.commit == 3
    solo.feed(Applied(2))
    assert not solo.replica.serving
    solo.feed(Applied(3))
    assert solo.replica.serving


def test_T8_a_refuse_with_a_higher_epoch_ends_a_takeover() -> None:
    solo = Solo()
    solo.win(10)
    solo.hear(A2, Refuse(10, 11, REVISION))
    assert solo.replica.role.role == "follower"


def test_W2_a_refuse_for_an_old_configuration_does_not_end_a_takeover() -> None:
    solo = Solo()
    solo.win(10)
    solo.hear(A2, Refuse(10, 9, REVISION + 1))
    assert solo.replica.role.role == "takeover"


def test_T8_a_fence_of_a_higher_epoch_ends_a_takeover() -> None:
    solo = Solo()
    solo.win(10)
    solo.hear(A2, Fence(11, REVISION))
    assert solo.replica.role.role == "follower"
    assert sent(solo.persist(), Promise) == [Promise(11, 0, 0, 0)]


def test_T8_a_takeover_ends_when_its_key_is_gone() -> None:
    solo = Solo()
    solo.win(10)
    solo.feed(LeaderSeen(0, "", "", 9))
    assert solo.replica.role.role == "takeover"
    solo.feed(LeaderSeen(0, "", "", 11))
    assert solo.replica.role.role == "follower"


def test_T8_a_restarted_process_does_not_resume_its_epoch() -> None:
    solo = Solo(chain(10), promised=10)
    solo.feed(LeaderSeen(10, "a1", "da1", 10))
    for _ in range(300):
        solo.tick(10)
    assert solo.replica.role.role == "follower"
    assert solo.feed(Proposed(1, b"x")).answer == [NotProposed(1, "a1")]
    assert not solo.hear(A2, Promise(10, 0, 0, 0)).send
    assert not solo.hear(A2, Ack(10, 1, 1)).apply
    assert sent(solo.hear(A2, append(9, chain(9)))) == [Refuse(9, 10, REVISION)]
