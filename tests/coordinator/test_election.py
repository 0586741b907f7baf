"""E2, E3, T3: conversations with one life of one node about the leader key."""

from __future__ import annotations

import pytest

from coordinator.ballot import (
    Answered,
    CampaignAsked,
    Confirm,
    DeleteLeader,
    LeaderChanged,
    LeaseGranted,
    LeaseLost,
    NotDone,
    ReadBack,
    ResignAsked,
    Ticked,
    Unknown,
)
from coordinator.configuration import ReplicaId
from coordinator.events import CampaignLost, ConfigurationSeen, LeaderSeen, Won
from coordinator.records import LeaderRecord
from tests.coordinator.voices import (
    CAMPAIGN_MS,
    ME,
    OTHER,
    RETRY_MS,
    Life,
    configuration,
    mine,
    only,
    put,
    record,
    seen,
)

ASKED = CampaignAsked("t1", 0, 5)


def winner(epoch: int = 10) -> Life:
    """A life that holds the key at `epoch`."""
    life = Life()
    life.hears(ASKED)
    life.hears(Answered(put(), True, seen(epoch, mine(epoch))))
    out = life.hears(Answered(Confirm("life1.t1", epoch), True, seen(epoch, mine(epoch))))
    assert Won("t1", epoch, configuration(), 5) in out.events
    return life


# --- E2 -------------------------------------------------------------------------------------


def test_e2_one_transaction_compares_leader_and_configuration_and_is_bound_to_the_lease() -> None:
    life = Life(lease=42)
    out = life.hears(CampaignAsked("t1", 8, 5))
    assert only(out.requests) == put(suspected=8, revision=5, lease=42)
    assert out.events == []


def test_e2_another_leader_loses_the_campaign() -> None:
    life = Life()
    life.hears(ASKED)
    out = life.hears(Answered(put(), False, seen(9, record(OTHER, epoch=9))))
    assert out.events == [
        LeaderSeen(9, "b", "disk-b", 9),
        ConfigurationSeen(configuration(), 5),
        CampaignLost("t1", "b leads, epoch 9"),
    ]
    assert out.requests == []


def test_e2_another_configuration_loses_the_campaign() -> None:
    life = Life()
    life.hears(ASKED)
    out = life.hears(Answered(put(), False, seen(9, revision_of_configuration=9)))
    assert out.events[-1] == CampaignLost("t1", "the configuration is at 9")
    assert out.requests == []


def test_e2_a_suspected_key_that_has_gone_meanwhile_is_taken_as_absent() -> None:
    life = Life()
    life.hears(CampaignAsked("t1", 8, 5))
    out = life.hears(Answered(put(suspected=8), False, seen(9)))
    assert only(out.requests) == put(suspected=0)


def test_e2_an_own_key_is_never_put_again_only_replaced_by_another_attempts() -> None:
    life = winner(10)
    out = life.hears(CampaignAsked("t2", 10, 5))
    assert only(out.requests) == put("t2", suspected=10)
    out = life.hears(Answered(put("t2", suspected=10), True, seen(12, mine(12, "t2"))))
    assert only(out.requests) == Confirm("life1.t2", 12)


def test_e2_without_a_lease_the_campaign_waits_for_one() -> None:
    life = Life(lease=0)
    assert life.hears(ASKED).requests == []
    assert only(life.hears(LeaseGranted(78)).requests) == put(lease=78)


def test_e2_a_lost_lease_is_not_used_again() -> None:
    life = Life(lease=77)
    life.hears(ASKED)
    life.hears(LeaseLost(77))
    life.hears(NotDone(put(), "lease not found"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == []
    assert only(life.hears(LeaseGranted(78)).requests) == put(lease=78)


def test_e2_a_newer_campaign_ends_the_older() -> None:
    life = Life()
    life.hears(ASKED)
    out = life.hears(CampaignAsked("t2", 0, 5))
    assert out.events == [CampaignLost("t1", "another campaign was asked for")]
    assert only(out.requests) == put("t2")


# --- T3 -------------------------------------------------------------------------------------


def test_t3_the_configuration_is_read_after_winning_and_won_carries_it() -> None:
    life = Life()
    life.hears(ASKED)
    out = life.hears(Answered(put(), True, seen(10, mine(10))))
    assert only(out.requests) == Confirm("life1.t1", 10)
    assert out.events == [ConfigurationSeen(configuration(), 5)]
    out = life.hears(Answered(Confirm("life1.t1", 10), True, seen(11, mine(10))))
    assert out.events == [Won("t1", 10, configuration(), 5), LeaderSeen(10, "a", "disk-a", 10)]


def test_t3_won_comes_before_the_watch_names_the_epoch() -> None:
    life = Life()
    life.hears(ASKED)
    out = life.hears(LeaderChanged(10, 10, mine(10)))
    assert out.events == []
    assert only(out.requests) == Confirm("life1.t1", 10)
    # The transaction's own answer comes last and is no second win.
    assert life.hears(Answered(put(), True, seen(10, mine(10)))).requests == []


@pytest.mark.parametrize("member", [OTHER, ReplicaId("a", "another-disk")])
def test_t3_a_winner_that_is_no_member_deletes_its_key(member: ReplicaId) -> None:
    life = Life()
    life.hears(ASKED)
    value = configuration(member)
    life.hears(Answered(put(), True, seen(10, mine(10), value=value)))
    out = life.hears(Answered(Confirm("life1.t1", 10), True, seen(10, mine(10), value=value)))
    assert out.events == [CampaignLost("t1", "not in the active site's in-sync set")]
    assert only(out.requests) == DeleteLeader(10)


def test_t3_a_read_that_fails_is_repeated_and_at_last_given_up() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Answered(put(), True, seen(10, mine(10))))
    confirm = Confirm("life1.t1", 10)
    life.hears(NotDone(confirm, "away"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == [confirm]
    life.passes(CAMPAIGN_MS)
    out = life.hears(Ticked())
    assert out.requests == [DeleteLeader(10)]
    assert [type(event) for event in out.events] == [CampaignLost]
    # The answer that comes now changes nothing.
    assert life.hears(Answered(confirm, True, seen(10, mine(10)))).events == []


def test_t3_a_win_taken_away_before_it_was_confirmed_is_lost() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Answered(put(), True, seen(10, mine(10))))
    out = life.hears(LeaderChanged(11, 11, record(OTHER, epoch=11)))
    assert out.events == [
        CampaignLost("t1", "the key was taken away at once"),
        LeaderSeen(11, "b", "disk-b", 11),
    ]
    confirmed = Answered(Confirm("life1.t1", 10), True, seen(10, mine(10)))
    assert life.hears(confirmed).events == []


# --- E3 -------------------------------------------------------------------------------------


def test_e3_an_unknown_outcome_is_read_back_before_anything_is_sent_again() -> None:
    life = Life()
    life.hears(ASKED)
    assert only(life.hears(Unknown(put(), "no answer")).requests) == ReadBack(put())


def test_e3_read_back_by_nonce_finds_the_win() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Unknown(put(), "no answer"))
    out = life.hears(Answered(ReadBack(put()), True, seen(11, mine(10))))
    assert only(out.requests) == Confirm("life1.t1", 10)


def test_e3_read_back_of_another_leader_loses() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Unknown(put(), "no answer"))
    out = life.hears(Answered(ReadBack(put()), True, seen(11, record(OTHER, epoch=10))))
    assert out.events[-1] == CampaignLost("t1", "b leads, epoch 10")


def test_e3_read_back_of_the_old_state_sends_the_same_guarded_transaction_again() -> None:
    life = Life()
    life.hears(CampaignAsked("t1", 8, 5))
    life.hears(Unknown(put(suspected=8), "no answer"))
    old = seen(9, record(OTHER, epoch=8))
    out = life.hears(Answered(ReadBack(put(suspected=8)), True, old))
    assert only(out.requests) == put(suspected=8)
    # The first copy won in between: the second finds our own nonce.
    out = life.hears(Answered(put(suspected=8), False, seen(11, mine(10))))
    assert only(out.requests) == Confirm("life1.t1", 10)


def test_e3_a_read_back_that_fails_is_repeated() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Unknown(put(), "no answer"))
    life.hears(NotDone(ReadBack(put()), "away"))
    assert life.election.wake_ms == life.now_ms + RETRY_MS
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == [ReadBack(put())]


def test_e3_what_was_never_sent_is_sent_again_without_reading_back() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(NotDone(put(), "no etcd member takes connections"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == [put()]


def test_e3_the_outcome_comes_in_bounded_time_and_says_what_was_in_the_way() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(NotDone(put(), "no etcd member takes connections"))
    life.passes(CAMPAIGN_MS)
    out = life.hears(Ticked())
    assert out.events == [
        CampaignLost("t1", "no outcome in time: no etcd member takes connections")
    ]
    assert out.requests == []
    assert life.election.wake_ms is None


def given_up() -> Life:
    """A life that gave up waiting for the outcome of t1."""
    life = Life()
    life.hears(ASKED)
    life.hears(Unknown(put(), "no answer"))
    life.passes(CAMPAIGN_MS)
    assert [type(event) for event in life.hears(Ticked()).events] == [CampaignLost]
    return life


def test_e3_a_late_win_is_reported_as_won_in_the_same_life() -> None:
    life = given_up()
    out = life.hears(LeaderChanged(20, 20, mine(20)))
    assert only(out.requests) == Confirm("life1.t1", 20)
    out = life.hears(Answered(Confirm("life1.t1", 20), True, seen(20, mine(20))))
    assert out.events[0] == ConfigurationSeen(configuration(), 5)
    assert out.events[1] == Won("t1", 20, configuration(), 5)


def test_e3_a_late_win_is_known_even_if_nothing_was_under_way_when_it_was_given_up() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(Unknown(put(), "no answer"))
    life.hears(NotDone(ReadBack(put()), "away"))
    life.passes(CAMPAIGN_MS)
    life.hears(Ticked())
    assert only(life.hears(LeaderChanged(20, 20, mine(20))).requests) == Confirm("life1.t1", 20)


def test_e3_what_was_definitely_not_done_leaves_nothing_behind() -> None:
    life = Life()
    life.hears(ASKED)
    life.hears(NotDone(put(), "away"))
    life.passes(CAMPAIGN_MS)
    life.hears(Ticked())
    # So a key with this nonce would be a stray: nobody may build on it.
    assert only(life.hears(LeaderChanged(20, 20, mine(20))).requests) == DeleteLeader(20)


def test_e3_a_late_win_that_cannot_be_confirmed_is_not_lost_twice() -> None:
    life = given_up()
    life.hears(LeaderChanged(20, 20, mine(20)))
    life.passes(CAMPAIGN_MS)
    out = life.hears(Ticked())
    assert out.events == []
    assert out.requests == [DeleteLeader(20)]


def test_e3_an_answer_after_giving_up_counts_as_a_late_win() -> None:
    life = Life()
    life.hears(ASKED)
    life.passes(CAMPAIGN_MS)
    life.hears(Ticked())
    out = life.hears(Answered(put(), True, seen(10, mine(10))))
    assert only(out.requests) == Confirm("life1.t1", 10)


def test_e3_a_second_copy_that_wins_after_resigning_is_deleted() -> None:
    life = winner(10)
    life.hears(ResignAsked(10))
    life.hears(Answered(DeleteLeader(10), True, seen(11)))
    out = life.hears(LeaderChanged(12, 12, mine(12)))
    assert only(out.requests) == DeleteLeader(12)


@pytest.mark.parametrize(
    "former",
    [record(ME, "life0.t9", 8), record(ReplicaId("a", "old-disk"), "life0.t9", 8)],
    ids=["former life", "former disk"],
)
def test_e3_a_former_lifes_key_is_deleted_guarded_by_its_revision(former: LeaderRecord) -> None:
    life = Life()
    out = life.hears(seen(9, former))
    assert only(out.requests) == DeleteLeader(8)
    life.hears(NotDone(DeleteLeader(8), "away"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == [DeleteLeader(8)]
    out = life.hears(Answered(DeleteLeader(8), True, seen(10)))
    assert out.events == [LeaderSeen(0, "", "", 10)]
    assert life.election.wake_ms is None


def test_e3_another_nodes_key_is_left_alone() -> None:
    life = Life()
    assert life.hears(seen(9, record(OTHER, epoch=8))).requests == []


# --- Resigning, and what is seen --------------------------------------------------------------


def test_resigning_is_tried_until_etcd_has_answered() -> None:
    life = winner(10)
    assert only(life.hears(ResignAsked(10)).requests) == DeleteLeader(10)
    life.hears(Unknown(DeleteLeader(10), "no answer"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).requests == [DeleteLeader(10)]
    life.hears(Unknown(DeleteLeader(10), "no answer"))
    # The watch settles it as well as an answer.
    assert life.hears(LeaderChanged(11, 0, None)).events == [LeaderSeen(0, "", "", 11)]
    assert life.election.wake_ms is None


def test_the_first_look_is_reported_even_when_nobody_leads() -> None:
    out = Life().hears(seen(3))
    assert out.events == [LeaderSeen(0, "", "", 3), ConfigurationSeen(configuration(), 5)]


def test_a_late_watch_does_not_undo_what_a_newer_answer_showed() -> None:
    life = winner(10)
    assert life.hears(LeaderChanged(9, 0, None)).events == []
    assert life.hears(LeaderChanged(8, 8, record(OTHER, epoch=8))).events == []
    assert life.election.epoch == 10


def test_a_listing_that_shows_nothing_new_is_not_reported_again() -> None:
    life = winner(10)
    assert life.hears(seen(30, mine(10))).events == []


def test_the_holder_hears_that_its_key_is_gone() -> None:
    life = winner(10)
    assert life.hears(LeaderChanged(14, 0, None)).events == [LeaderSeen(0, "", "", 14)]


def test_an_unreadable_leader_is_still_a_leader() -> None:
    out = Life().hears(LeaderChanged(9, 9, None))
    assert out.events == [LeaderSeen(9, "", "", 9)]
