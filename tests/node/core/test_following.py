"""Following: what an Append may do to the log (M1, M2), when a leader is thought gone (T1, T2)."""

from __future__ import annotations

import pytest

from coordinator.configuration import Configuration, ReplicaId
from node.core import Timings
from node.core.inputs import (
    CampaignLost,
    ConfigurationSeen,
    Inquired,
    LeaderSeen,
    PeerRefused,
    Proposed,
)
from node.core.messages import Ack, Fence, Handover, Mismatch, Suspect, Suspicion
from node.core.outputs import Campaign, NotProposed, ReadRefused
from tests.node.core.solo import (
    A1,
    A2,
    A3,
    CONFIGURATION,
    REVISION,
    Solo,
    append,
    chain,
    sent,
    written,
)

TIMINGS = Timings()


def test_M1_an_ack_names_what_was_matched_not_the_last_index() -> None:
    old = chain(3, 3, 3, 3)
    solo = Solo(old, promised=3)
    solo.hear(A2, append(5, after=old[1]))
    assert sent(solo.persist()) == [Ack(5, 1, 2)]


def test_M1_a_repeated_shorter_append_is_acknowledged_as_far_as_it_goes() -> None:
    solo = Solo(promised=3)
    entries = chain(3, 3, 3)
    solo.hear(A2, append(3, entries))
    solo.persist()
    assert sent(solo.hear(A2, append(3, entries[:2], round=2))) == [Ack(3, 2, 2)]
    assert solo.state.log.last_index == 3


def test_M1_the_commit_index_is_bounded_by_what_was_matched() -> None:
    old = chain(3, 3, 3, 3)
    solo = Solo(old, promised=3)
    out = solo.hear(A2, append(5, after=old[1], commit=4))
    assert solo.state.commit == 2
    assert out.apply == list(old[:2])


def test_M1_the_commit_index_is_bounded_by_the_leaders() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, append(3, chain(3, 3, 3), commit=1))
    assert solo.state.commit == 1


def test_M2_a_conflicting_suffix_is_replaced() -> None:
    old = chain(3, 3, 3)
    solo = Solo(old, promised=3)
    new = chain(5, 5, after=old[0])
    out = solo.hear(A2, append(5, new, after=old[0]))
    write = written(out)
    assert (write.truncate_after, write.entries) == (1, new)
    assert solo.state.log.last_hash == new[-1].hash


def test_M2_an_agreeing_suffix_beyond_the_append_is_kept() -> None:
    entries = chain(3, 3, 3)
    solo = Solo(entries, promised=3)
    out = solo.hear(A2, append(3, entries[:1]))
    assert not out.persist
    assert solo.state.log.last_index == 3


def test_M2_only_the_part_that_is_new_is_written() -> None:
    entries = chain(3, 3, 3)
    solo = Solo(entries[:2], promised=3)
    write = written(solo.hear(A2, append(3, entries)))
    assert (write.truncate_after, write.entries) == (None, entries[2:])


def test_M2_a_committed_entry_is_never_replaced() -> None:
    old = chain(3, 3, 3)
    solo = Solo(old, promised=3, applied=2)
    out = solo.hear(A2, append(5, chain(5, after=old[0]), after=old[0]))
    assert solo.replica.role.role == "silent"
    assert "breach" in out.events[-1].detail
    assert not out.persist
    assert not out.send


def test_M2_a_disagreement_at_a_committed_index_is_a_breach() -> None:
    old = chain(3, 3)
    solo = Solo(old, promised=3, applied=2)
    solo.hear(A2, append(5, after=chain(4, 4)[1]))
    assert solo.replica.role.role == "silent"


def test_M2_two_entries_of_one_epoch_at_one_index_are_a_breach() -> None:
    solo = Solo(chain(3, 3), promised=3)
    solo.hear(A2, append(3, chain(3, 3, mark="x")))
    assert solo.replica.role.role == "silent"


def test_M2_entries_that_are_no_chain_are_a_breach() -> None:
    first, second = chain(3, 3)
    solo = Solo(promised=3)
    solo.hear(A2, append(3, (first, chain(3, 3, mark="x")[1])))
    assert solo.replica.role.role == "silent"
    assert second.index == 2


def test_append_beyond_the_end_is_a_mismatch_at_the_end() -> None:
    entries = chain(3, 3, 3, 3)
    solo = Solo(entries[:2], promised=3)
    assert sent(solo.hear(A2, append(3, after=entries[3]))) == [Mismatch(3, 1, 2)]


def test_append_after_a_conflicting_entry_hints_before_its_epoch() -> None:
    old = chain(3, 4, 4, 4)
    solo = Solo(old, promised=4)
    other = chain(3, 5, 5, 5)
    solo.hear(A2, append(5, after=other[3]))
    assert sent(solo.persist()) == [Mismatch(5, 1, 1)]
    assert solo.state.log.last_index == 4


def test_append_after_a_conflicting_entry_never_hints_below_the_commit_index() -> None:
    old = chain(3, 3, 3, 3)
    solo = Solo(old, promised=4, applied=2)
    solo.hear(A2, append(5, after=chain(4, 4, 4, 4)[3]))
    assert sent(solo.persist()) == [Mismatch(5, 1, 2)]


def test_append_below_what_memory_holds_meets_at_the_own_commit_index() -> None:
    entries = chain(*[3] * 6)
    solo = Solo(entries[3:], base=entries[2], applied=5, promised=3)
    assert sent(solo.hear(A2, append(3, entries[1:], after=entries[0]))) == [Mismatch(3, 1, 5)]


def test_M3_a_heartbeat_is_an_empty_append() -> None:
    solo = Solo()
    leader = solo.serve(10)
    (beat,) = sent(solo.tick(50), object, "a2")
    assert beat == append(10, after=solo.state.log.entry(1), commit=1, round=leader.round)


# -- T1, T2 -------------------------------------------------------------------------------------


def following(solo: Solo, epoch: int = 7) -> None:
    """Hear the Fence of a2, which leads `epoch`, now."""
    solo.feed(LeaderSeen(epoch, "a2", "da2", epoch))
    solo.hear(A2, Fence(epoch, REVISION))
    solo.persist()


def silence(solo: Solo, ms: float) -> list[Campaign]:
    """Nothing but ticks for so long. Returns what it asked of etcd."""
    asked = [a for _ in range(int(ms // 10)) for a in solo.tick(10).ask_registry]
    return [a for a in asked if isinstance(a, Campaign)]


LIMIT = TIMINGS.suspicion_ms * 1.5 + 20
"""The patience of a replica whose random number is 0.5."""


def test_T1_silence_alone_is_not_enough_to_campaign() -> None:
    solo = Solo()
    following(solo)
    assert not silence(solo, 5000)


def test_T1_a_suspecting_member_asks_the_others() -> None:
    solo = Solo()
    following(solo)
    assert not any(sent(solo.tick(10), Suspect) for _ in range(50))
    asked = [message for _ in range(30) for message in sent(solo.tick(10), Suspect, "a3")]
    assert asked
    assert set(asked) == {Suspect(7)}


def test_T1_a_takeover_quorum_that_suspects_may_campaign() -> None:
    solo = Solo()
    following(solo)
    silence(solo, LIMIT)
    out = solo.hear(A3, Suspicion(7, True))
    (campaign,) = out.ask_registry
    assert isinstance(campaign, Campaign)
    assert campaign.suspected == 7


def test_T1_a_vote_before_the_own_suspicion_is_not_enough() -> None:
    solo = Solo()
    following(solo)
    assert not solo.hear(A3, Suspicion(7, True)).ask_registry


@pytest.mark.parametrize(
    ("sender", "vote"),
    [
        (A3, Suspicion(7, False)),
        (A3, Suspicion(6, True)),
        (ReplicaId("a3", "another"), Suspicion(7, True)),
    ],
)
def test_T1_votes_that_do_not_count(sender: ReplicaId, vote: Suspicion) -> None:
    solo = Solo()
    following(solo)
    silence(solo, LIMIT)
    assert not solo.hear(sender, vote).ask_registry


def test_T1_a_vote_is_good_for_one_suspicion_time() -> None:
    solo = Solo()
    following(solo)
    solo.hear(A3, Suspicion(7, True))
    assert not silence(solo, LIMIT)


def test_T1_a_sign_of_life_takes_the_votes_back() -> None:
    solo = Solo()
    following(solo)
    silence(solo, LIMIT - 60)
    solo.hear(A3, Suspicion(7, True))
    solo.hear(A2, Fence(7, REVISION))
    assert not silence(solo, 600)


def test_T1_only_a_member_campaigns_when_the_key_is_absent() -> None:
    solo = Solo(configuration=Configuration("cluster", "a", {"a": frozenset({A2, A3})}, 2))
    solo.feed(LeaderSeen(0, "", "", 8))
    assert not silence(solo, 2000)
    solo.feed(ConfigurationSeen(CONFIGURATION, 9))
    assert [campaign.suspected for campaign in silence(solo, 2000)] == [0]


def test_T1_a_member_with_another_disk_is_not_a_member() -> None:
    solo = Solo(me=ReplicaId("a1", "another"))
    solo.feed(LeaderSeen(0, "", "", 8))
    assert not silence(solo, 2000)


def test_T1_a_replica_of_the_standby_site_does_not_campaign() -> None:
    two = Configuration("cluster", "b", {"a": frozenset({A1}), "b": frozenset({A2})}, 1)
    solo = Solo(configuration=two)
    solo.feed(LeaderSeen(0, "", "", 8))
    assert not silence(solo, 2000)


def test_T2_suspicion_counts_from_the_last_append() -> None:
    solo = Solo()
    following(solo)
    for _ in range(20):
        silence(solo, 100)
        solo.hear(A2, append(7))
        solo.persist()
    assert not solo.follower.suspects(solo.now)
    silence(solo, LIMIT)
    assert solo.follower.suspects(solo.now)


def test_T2_suspicion_counts_from_the_last_fence() -> None:
    solo = Solo()
    following(solo)
    silence(solo, 700)
    solo.hear(A2, Fence(7, REVISION))
    silence(solo, 700)
    assert not solo.follower.suspects(solo.now)


def test_T2_suspicion_counts_from_first_learning_of_the_epoch() -> None:
    solo = Solo()
    following(solo)
    silence(solo, 700)
    solo.feed(LeaderSeen(9, "a3", "da3", 9))
    silence(solo, 700)
    assert not solo.follower.suspects(solo.now)
    silence(solo, 100)
    assert solo.follower.suspects(solo.now)


def test_T2_an_older_view_of_the_leader_key_is_ignored() -> None:
    solo = Solo()
    following(solo, 9)
    solo.feed(LeaderSeen(7, "a3", "da3", 7))
    assert (solo.follower.leader, solo.follower.leader_epoch) == ("a2", 9)
    solo.feed(LeaderSeen(0, "", "", 8))
    assert not silence(solo, 300)


def test_T2_a_late_word_of_a_key_that_is_known_to_be_gone_does_not_bring_it_back() -> None:
    """After a restart: etcd says that nobody leads, then an Append of before comes in."""
    solo = Solo(promised=9)
    solo.feed(LeaderSeen(0, "", "", 16))
    solo.hear(A2, append(15))
    assert solo.next_campaign().suspected == 0


def test_T2_an_append_of_an_older_epoch_is_no_sign_of_life_of_the_newer_holder() -> None:
    """a3 wins and dies before its Fence arrives; a2 goes on a while: a3 must still be suspected."""
    solo = Solo()
    following(solo)
    solo.feed(LeaderSeen(9, "a3", "da3", 9))
    for _ in range(10):
        silence(solo, 100)
        solo.hear(A2, append(7))
        solo.persist()
    assert (solo.follower.leader, solo.follower.leader_epoch) == ("a3", 9)
    (campaign,) = solo.hear(A2, Suspicion(9, True)).ask_registry
    assert isinstance(campaign, Campaign)
    assert campaign.suspected == 9


def test_T2_a_refused_connection_counts_at_once() -> None:
    solo = Solo()
    following(solo)
    solo.feed(PeerRefused("a3"))
    assert not solo.follower.suspects(solo.now)
    solo.feed(PeerRefused("a2"))
    assert solo.follower.suspects(solo.now)
    out = solo.tick(10)
    assert sent(out, Suspect, "a3") == [Suspect(7)]
    assert solo.hear(A3, Suspicion(7, True)).ask_registry


def test_T2_a_refused_connection_is_forgotten_when_the_leader_speaks() -> None:
    solo = Solo()
    following(solo)
    solo.feed(PeerRefused("a2"))
    solo.hear(A2, append(7))
    assert not solo.follower.suspects(solo.now)


PAIR = Configuration("cluster", "a", {"a": frozenset({A1, A2})}, 1)


def test_T2_where_one_may_take_over_alone_it_waits_for_the_leader_to_evict_first() -> None:
    solo = Solo(configuration=PAIR)
    following(solo)
    wait = TIMINGS.eviction_ms + TIMINGS.suspicion_ms * 1.5 + TIMINGS.etcd_deadline_ms
    assert not silence(solo, wait - 20)
    assert [campaign.suspected for campaign in silence(solo, 50)] == [7]


def test_T2_where_one_may_take_over_alone_a_refused_connection_is_enough() -> None:
    solo = Solo(configuration=PAIR)
    following(solo)
    solo.feed(PeerRefused("a2"))
    assert [campaign.suspected for campaign in silence(solo, 20)] == [7]


def test_T2_a_loser_waits_longer_each_time() -> None:
    solo = Solo()
    solo.feed(LeaderSeen(0, "", "", 8))
    gaps = []
    for _ in range(4):
        start = solo.now
        campaign = solo.next_campaign()
        gaps.append(solo.now - start)
        solo.feed(CampaignLost(campaign.attempt, "held"))
    assert gaps[1:] == sorted(gaps[1:])
    assert gaps[3] >= 3 * gaps[1]


def test_T2_answers_to_suspect_say_what_it_thinks() -> None:
    solo = Solo()
    following(solo)
    assert sent(solo.hear(A3, Suspect(7))) == [Suspicion(7, False)]
    silence(solo, TIMINGS.suspicion_ms + 20)
    assert sent(solo.hear(A3, Suspect(7))) == [Suspicion(7, True)]
    assert sent(solo.hear(A3, Suspect(6))) == [Suspicion(6, False)]


def test_T2_a_leader_does_not_suspect_itself() -> None:
    solo = Solo()
    solo.serve(10)
    assert sent(solo.hear(A3, Suspect(10))) == [Suspicion(10, False)]


def test_H1_a_handover_makes_the_target_campaign_at_once() -> None:
    solo = Solo()
    following(solo)
    (campaign,) = solo.hear(A2, Handover(7)).ask_registry
    assert isinstance(campaign, Campaign)
    assert campaign.suspected == 7


def test_H1_a_handover_of_another_epoch_is_ignored() -> None:
    solo = Solo()
    following(solo)
    assert not solo.hear(A2, Handover(6)).ask_registry
    solo.hear(A3, Fence(8, REVISION))
    assert not solo.hear(A2, Handover(7)).ask_registry


def test_H1_a_handover_to_a_node_that_left_the_set_is_ignored() -> None:
    solo = Solo(configuration=Configuration("cluster", "a", {"a": frozenset({A2, A3})}, 2))
    following(solo)
    assert not solo.hear(A2, Handover(7)).ask_registry


def test_T9_a_follower_answers_not_proposed_and_names_the_leader() -> None:
    solo = Solo()
    following(solo)
    assert solo.feed(Proposed(1, b"x")).answer == [NotProposed(1, "a2")]
    assert solo.feed(Inquired(2)).answer == [ReadRefused(2, "a2")]
