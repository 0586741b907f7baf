"""E4, S4: conversations about guarded changes of the configuration."""

from __future__ import annotations

import pytest

from coordinator.ballot import (
    Answered,
    ChangeAsked,
    ConfigurationChanged,
    LeaderChanged,
    NotDone,
    PutConfiguration,
    ReadBack,
    Ticked,
    Unknown,
)
from coordinator.events import ConfigurationSeen, GuardFailed, GuardPassed, GuardUnknown
from coordinator.records import LeaderRecord
from tests.coordinator.voices import (
    ME,
    OTHER,
    RETRY_MS,
    Life,
    configuration,
    mine,
    only,
    record,
    seen,
)

OLD = configuration()
NEW = configuration(ME)
CHANGE = PutConfiguration(3, 10, 5, NEW)


def asked() -> Life:
    """A life whose change 3 is under way, in epoch 10."""
    life = Life()
    out = life.hears(ChangeAsked(3, 10, 5, NEW))
    assert only(out.requests) == CHANGE
    return life


def test_e4_success_passes_at_the_transactions_revision() -> None:
    life = asked()
    after = seen(12, mine(10), revision_of_configuration=12, value=NEW)
    out = life.hears(Answered(CHANGE, True, after))
    assert out.events[-2:] == [ConfigurationSeen(NEW, 12), GuardPassed(3, 12)]


@pytest.mark.parametrize("leader", [None, record(OTHER, epoch=11)], ids=["gone", "another's"])
def test_e4_another_epoch_fails_even_where_the_configuration_is_ours(
    leader: LeaderRecord | None,
) -> None:
    life = asked()
    after = seen(12, leader, revision_of_configuration=11, value=NEW)
    assert life.hears(Answered(CHANGE, False, after)).events[-1] == GuardFailed(3)


def test_e4_another_configuration_fails() -> None:
    life = asked()
    after = seen(12, mine(10), revision_of_configuration=11, value=configuration(OTHER))
    assert life.hears(Answered(CHANGE, False, after)).events[-1] == GuardFailed(3)


def test_s4_an_unknown_outcome_is_read_back_and_may_be_found_passed() -> None:
    life = asked()
    assert only(life.hears(Unknown(CHANGE, "no answer")).requests) == ReadBack(CHANGE)
    after = seen(14, mine(10), revision_of_configuration=12, value=NEW)
    assert life.hears(Answered(ReadBack(CHANGE), True, after)).events[-1] == GuardPassed(3, 12)


def test_s4_a_read_of_the_old_value_proves_nothing() -> None:
    life = asked()
    life.hears(Unknown(CHANGE, "no answer"))
    out = life.hears(Answered(ReadBack(CHANGE), True, seen(14, mine(10), value=OLD)))
    assert not [e for e in out.events if isinstance(e, GuardPassed | GuardFailed | GuardUnknown)]
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).events == [GuardUnknown(3)]


def test_s4_a_watch_that_shows_the_change_while_the_key_is_ours_tells_that_it_was_made() -> None:
    life = asked()
    life.hears(LeaderChanged(10, 10, mine(10)))
    out = life.hears(ConfigurationChanged(12, NEW))
    assert out.events == [ConfigurationSeen(NEW, 12), GuardPassed(3, 12)]
    assert not life.hears(Unknown(CHANGE, "no answer")).requests


@pytest.mark.parametrize("later", [(0, None), (11, record(OTHER, epoch=11))], ids=["gone", "other"])
def test_s4_the_same_change_seen_after_the_key_was_ours_is_not_taken_for_our_own(
    later: tuple[int, LeaderRecord | None],
) -> None:
    life = asked()
    life.hears(LeaderChanged(10, 10, mine(10)))
    life.hears(LeaderChanged(11, *later))
    out = life.hears(ConfigurationChanged(12, NEW))
    assert out.events == [ConfigurationSeen(NEW, 12)]


def test_s4_the_same_change_sent_again_finds_its_first_copy() -> None:
    life = asked()
    life.hears(Unknown(CHANGE, "no answer"))
    life.hears(NotDone(ReadBack(CHANGE), "away"))
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).events == [GuardUnknown(3)]
    assert only(life.hears(ChangeAsked(3, 10, 5, NEW)).requests) == CHANGE
    after = seen(14, mine(10), revision_of_configuration=12, value=NEW)
    assert life.hears(Answered(CHANGE, False, after)).events[-1] == GuardPassed(3, 12)


def test_s4_what_was_never_sent_is_unknown_too_and_not_at_once() -> None:
    life = asked()
    assert life.hears(NotDone(CHANGE, "away")).events == []
    assert life.election.wake_ms == life.now_ms + RETRY_MS
    life.passes(RETRY_MS)
    assert life.hears(Ticked()).events == [GuardUnknown(3)]
    assert life.election.wake_ms is None


def test_an_answer_to_a_change_already_settled_says_nothing() -> None:
    life = asked()
    after = seen(12, mine(10), revision_of_configuration=12, value=NEW)
    life.hears(Answered(CHANGE, True, after))
    assert life.hears(Answered(CHANGE, False, after)).events == []
