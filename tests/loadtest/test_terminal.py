"""The client contract: what a terminal does with every kind of word, and with silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtest.compass import Compass
from loadtest.terminal import (
    Answered,
    Begin,
    Done,
    Ending,
    Exchange,
    Given,
    GiveUp,
    Manner,
    NoAnswer,
    Output,
    RecordIntent,
    Refused,
    Send,
    Slip,
    WaitUntil,
    Woke,
)

A, B, C = "a:1", "b:1", "c:1"
MANNER = Manner(
    attempt_ms=500,
    deadline_ms=2_000,
    backoff_base_ms=40,
    backoff_cap_ms=200,
    resolve_cap_ms=900,
    doubt_ms=800,
)


def full() -> float:
    """Chance at its longest."""
    return 0.999999


def none() -> float:
    """Chance at its shortest."""
    return 0.0


class Play:
    """An exchange with a clock of its own."""

    def __init__(self, compass: Compass | None = None, random: Callable[[], float] = none) -> None:
        self.compass = compass or Compass.fresh((A, B, C))
        self.exchange = Exchange(self.compass, MANNER)
        self.random = random
        self.now_ms = 1_000.0

    def give(self, given: Given, after_ms: float = 0.0) -> tuple[Output, ...]:
        self.now_ms += after_ms
        return self.exchange.step(given, self.now_ms, self.random)

    def next_send(self, given: Given, after_ms: float = 0.0) -> Send:
        """The next attempt, sleeping through the waits."""
        outputs = self.give(given, after_ms)
        while True:
            for output in outputs:
                if isinstance(output, Send):
                    return output
            waits = [output for output in outputs if isinstance(output, WaitUntil)]
            assert waits, outputs
            self.now_ms = waits[0].at_ms
            outputs = self.give(Woke())


def test_the_intent_is_written_down_before_anything_is_sent() -> None:
    assert Play().give(Begin()) == (RecordIntent(), Send(A, 1, 500))


def test_an_answer_ends_it_and_nothing_comes_after() -> None:
    play = Play()
    play.give(Begin())
    assert play.give(Answered()) == (Done(Ending.ANSWERED, 1, slipped=False),)
    assert play.give(Woke()) == ()
    assert play.give(NoAnswer(silent=True)) == ()


def test_a_definite_refusal_is_not_repeated() -> None:
    play = Play()
    play.give(Begin())
    assert play.give(Refused()) == (Done(Ending.REFUSED, 1, slipped=False),)


def test_a_leader_hint_is_followed_at_once_and_remembered() -> None:
    play = Play(random=full)
    play.give(Begin())
    assert play.give(NoAnswer(leader_endpoint=C)) == (Send(C, 2, 500),)
    play.give(Answered())
    assert play.compass.preferred == C


def test_a_hint_that_leads_to_a_hint_is_followed_with_a_wait() -> None:
    play = Play(random=full)
    play.give(Begin())
    play.give(NoAnswer(leader_endpoint=B))
    (wait,) = play.give(NoAnswer(leader_endpoint=A))
    assert isinstance(wait, WaitUntil)
    assert wait.at_ms > play.now_ms
    assert play.give(Woke(), 100) == (Send(A, 3, 500),)


def test_a_hint_to_a_node_that_just_stayed_silent_is_not_followed() -> None:
    play = Play()
    play.give(Begin())
    assert play.next_send(NoAnswer(silent=True), after_ms=500).endpoint == B
    # B still believes in A, which is paused: B is to ask it, instead of losing another 500 ms at A.
    assert play.give(NoAnswer(leader_endpoint=A)) == (Send(B, 3, 500, relay=True),)
    # It does not relay, or A does not answer it either: ask C.
    assert play.next_send(NoAnswer(leader_endpoint=A)) == Send(C, 4, 500)
    assert play.next_send(NoAnswer(leader_endpoint=A)) == Send(C, 5, 500, relay=True)
    # Long enough after, A is given another chance.
    assert play.next_send(NoAnswer(leader_endpoint=A), after_ms=900).endpoint == A


def test_without_a_hint_the_next_node_is_tried() -> None:
    play = Play()
    play.give(Begin())
    assert play.next_send(NoAnswer()).endpoint == B
    assert play.next_send(NoAnswer()).endpoint == C
    assert play.next_send(NoAnswer()).endpoint == A


def test_a_node_that_asks_for_patience_gets_it_once() -> None:
    play = Play()
    play.give(Begin())
    (wait,) = play.give(NoAnswer(retry_after_ms=150))
    assert wait == WaitUntil(play.now_ms + 150)
    play.now_ms += 150
    assert play.give(Woke()) == (Send(A, 2, 500),)
    assert play.next_send(NoAnswer(retry_after_ms=150)).endpoint == B


def test_waits_are_drawn_from_zero_up_to_a_doubling_bound() -> None:
    for random, expected in ((none, [0, 0, 0, 0]), (full, [40, 80, 160, 200])):
        play = Play(random=random)
        play.give(Begin())
        waits = []
        for _ in range(4):
            (wait,) = play.give(NoAnswer())
            assert isinstance(wait, WaitUntil)
            waits.append(round(wait.at_ms - play.now_ms))
            play.give(Woke())
        assert waits == expected


def test_the_deadline_brings_one_slip_and_the_same_exchange_goes_on() -> None:
    play = Play()
    play.give(Begin())
    outputs = play.give(NoAnswer(silent=True), after_ms=2_000)
    assert [type(output) for output in outputs] == [Slip, WaitUntil]
    assert isinstance(play.give(Woke())[0], Send)
    outputs = play.give(NoAnswer(silent=True), after_ms=500)
    assert [type(output) for output in outputs] == [WaitUntil]
    play.give(Woke())
    (done,) = play.give(Answered())
    assert isinstance(done, Done)
    assert (done.ending, done.slipped) == (Ending.ANSWERED, True)


def test_no_attempt_and_no_wait_outlasts_the_deadline() -> None:
    play = Play(random=full)
    play.give(Begin())
    send = play.next_send(NoAnswer(silent=True), after_ms=1_800)
    assert send.timeout_ms <= 200
    (wait,) = play.give(NoAnswer(retry_after_ms=10_000), after_ms=100)
    assert wait == WaitUntil(1_000.0 + MANNER.deadline_ms)


def test_the_slip_comes_when_a_wait_ends_at_the_deadline() -> None:
    play = Play()
    play.give(Begin())
    play.give(NoAnswer(retry_after_ms=10_000), after_ms=100)
    play.now_ms = 1_000.0 + MANNER.deadline_ms
    assert [type(output) for output in play.give(Woke())] == [Slip, Send]


def test_giving_up_leaves_the_result_unknown() -> None:
    play = Play()
    play.give(Begin())
    assert play.give(GiveUp()) == (Done(Ending.UNKNOWN, 1, slipped=False),)


def test_all_nodes_in_doubt_are_still_tried() -> None:
    play = Play()
    play.give(Begin())
    ends = [play.next_send(NoAnswer(silent=True)).endpoint for _ in range(3)]
    assert ends == [B, C, A]


def test_a_broken_connection_casts_no_doubt_on_the_node() -> None:
    play = Play()
    play.give(Begin())
    assert play.next_send(NoAnswer()).endpoint == B
    assert play.give(NoAnswer(leader_endpoint=A)) == (Send(A, 3, 500),)


def test_a_terminal_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="endpoint"):
        Compass.fresh(())


# --- two sites ------------------------------------------------------------------------------------

A1, A2, A3 = "a1:1", "a2:1", "a3:1"
B1, B2, B3 = "b1:1", "b2:1", "b3:1"
SITES = dict.fromkeys((A1, A2, A3), "a") | dict.fromkeys((B1, B2, B3), "b")


def both_sites(first: int = 0, answered: str = "") -> Compass:
    compass = Compass.fresh((A1, A2, A3, B1, B2, B3), first, SITES)
    if answered:
        compass.preferred = compass.answered = answered
    return compass


def test_terminals_begin_at_both_sites_and_every_node() -> None:
    firsts = [both_sites(number).preferred for number in range(6)]
    assert firsts == [A1, B1, A2, B2, A3, B3]
    rings = {both_sites(number).endpoints for number in range(6)}
    assert len(rings) == 6


@pytest.mark.parametrize("leader", [A1, A2, A3, B1, B2, B3])
def test_after_one_silent_address_its_whole_site_is_left_alone(leader: str) -> None:
    """Whatever the other site still believes: one bounded attempt, and none until doubt passes."""
    play = Play(both_sites(answered=leader))
    assert play.give(Begin()) == (RecordIntent(), Send(leader, 1, 500))
    lost = SITES[leader]
    asked = []
    at_ms = play.now_ms + 500
    send = play.next_send(NoAnswer(silent=True), after_ms=500)
    while play.now_ms < at_ms + 780:
        asked.append(send.endpoint)
        # The other site has not noticed yet: it names the leader that is gone.
        send = play.next_send(NoAnswer(leader_endpoint=leader), after_ms=20)
    assert {SITES[endpoint] for endpoint in asked} == {"b" if lost == "a" else "a"}
    assert len(set(asked)) == 3


def test_the_new_leader_of_the_other_site_is_followed_at_once() -> None:
    play = Play(both_sites(answered=A1), random=full)
    play.give(Begin())
    send = play.next_send(NoAnswer(silent=True), after_ms=500)
    assert send.endpoint == B1
    assert play.give(NoAnswer(leader_endpoint=B3)) == (Send(B3, 3, 500),)


def test_a_paused_leaders_successor_in_the_same_site_is_news_and_is_followed() -> None:
    play = Play(both_sites(answered=A1), random=full)
    play.give(Begin())
    assert play.next_send(NoAnswer(silent=True), after_ms=500).endpoint == B1
    assert play.give(NoAnswer(leader_endpoint=A2)) == (Send(A2, 3, 500),)


def test_a_stranger_does_not_follow_a_hint_into_a_silent_site() -> None:
    """It never heard of a leader there, so the hint may be as old as the silence."""
    play = Play(both_sites(first=2))
    assert play.give(Begin())[1] == Send(A2, 1, 500)
    assert play.next_send(NoAnswer(silent=True), after_ms=500).endpoint == B2
    assert play.next_send(NoAnswer(leader_endpoint=A1)) == Send(B2, 3, 500, relay=True)
    assert play.next_send(NoAnswer(leader_endpoint=A1)).endpoint == B3
    assert play.next_send(NoAnswer(leader_endpoint=A1), after_ms=900).endpoint == A1


def test_a_site_that_speaks_again_is_no_longer_doubted() -> None:
    play = Play(both_sites(answered=A1))
    play.give(Begin())
    play.next_send(NoAnswer(silent=True), after_ms=500)
    assert play.compass.doubts_site(A2, play.now_ms)
    play.compass.has_spoken(A3, A3)
    assert not play.compass.doubts_site(A2, play.now_ms)
    assert play.compass.doubts(A1, play.now_ms), "the silent one itself is still left alone"


def test_a_wrong_hint_costs_one_round_trip() -> None:
    play = Play(both_sites(answered=B1), random=full)
    play.give(Begin())
    assert play.give(NoAnswer(leader_endpoint=A2), after_ms=5) == (Send(A2, 2, 500),)
    assert play.give(Answered(), after_ms=5) == (Done(Ending.ANSWERED, 2, slipped=False),)
    assert play.now_ms == 1_010


def test_with_both_sites_silent_every_address_is_tried_in_turn() -> None:
    play = Play(both_sites())
    play.give(Begin())
    asked = [play.next_send(NoAnswer(silent=True)).endpoint for _ in range(6)]
    assert asked == [B1, A2, B2, A3, B3, A1]


# --- a leader that cannot be reached from here ---------------------------------------------------


def relayed(compass: Compass | None = None) -> Play:
    """A terminal whose leader, A1, was silent, and to which another node has relayed."""
    play = Play(compass or both_sites(answered=A1), random=full)
    play.give(Begin())
    assert play.next_send(NoAnswer(silent=True), after_ms=500) == Send(B1, 2, 500)
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(B1, 3, 500, relay=True),)
    assert play.give(Answered(), after_ms=10) == (Done(Ending.ANSWERED, 3, slipped=False),)
    return play


def later(play: Play, after_ms: float) -> Play:
    """The same terminal's next request."""
    again = Play(play.compass, play.random)
    again.now_ms = play.now_ms + after_ms
    return again


@pytest.mark.parametrize("lost", [NoAnswer(silent=True), NoAnswer(cut=True)], ids=["silent", "cut"])
def test_C4_who_names_a_leader_that_was_not_reached_is_asked_to_relay_at_once(
    lost: NoAnswer,
) -> None:
    play = Play(both_sites(answered=A1), random=full)
    play.give(Begin())
    other = play.next_send(lost, after_ms=500).endpoint
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(other, 3, 500, relay=True),)


def test_C4_a_leader_that_is_reached_is_asked_itself() -> None:
    play = Play(both_sites(), random=full)
    play.give(Begin())
    assert play.give(NoAnswer(leader_endpoint=A2)) == (Send(A2, 2, 500),)


def test_C4_what_was_relayed_in_vain_goes_on_elsewhere_and_first_without_the_wish() -> None:
    play = Play(both_sites(answered=A1))
    play.give(Begin())
    play.next_send(NoAnswer(silent=True), after_ms=500)
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(B1, 3, 500, relay=True),)
    assert play.next_send(NoAnswer(), after_ms=400) == Send(B2, 4, 500)


def test_C4_a_node_that_has_come_to_lead_while_it_relayed_is_asked_itself() -> None:
    play = Play(both_sites(answered=A1), random=full)
    play.give(Begin())
    play.next_send(NoAnswer(silent=True), after_ms=500)
    play.give(NoAnswer(leader_endpoint=A1))
    assert play.give(NoAnswer(leader_endpoint=B1)) == (Send(B1, 4, 500),)


def test_C4_where_relaying_has_worked_it_is_asked_for_first() -> None:
    play = relayed()
    for after_ms in (0, 1_500, 1_490):
        play = later(play, after_ms)
        assert play.give(Begin())[1] == Send(B1, 1, 500, relay=True)
        play.give(Answered())


def test_C4_after_a_while_the_leader_itself_is_tried_again() -> None:
    healed = later(relayed(), MANNER.relayed_ms)
    assert healed.give(Begin())[1] == Send(B1, 1, 500)
    assert healed.give(NoAnswer(leader_endpoint=A1)) == (Send(A1, 2, 500),)
    healed.give(Answered())
    assert later(healed, 0).give(Begin())[1] == Send(A1, 1, 500)


def test_C4_a_leader_that_is_still_not_reached_is_relayed_to_again() -> None:
    still = later(relayed(), MANNER.relayed_ms)
    still.give(Begin())
    still.give(NoAnswer(leader_endpoint=A1))
    other = still.next_send(NoAnswer(silent=True), after_ms=500)
    assert SITES[other.endpoint] == "b"
    (send,) = still.give(NoAnswer(leader_endpoint=A1))
    assert send == Send(other.endpoint, 4, 500, relay=True)
    still.give(Answered())
    assert later(still, 2_990).give(Begin())[1] == Send(other.endpoint, 1, 500, relay=True)


def test_C4_a_new_leader_ends_the_relaying() -> None:
    play = later(relayed(), 100)
    play.give(Begin())
    assert play.give(NoAnswer(leader_endpoint=B2)) == (Send(B2, 2, 500),)
    play.give(Answered())
    assert later(play, 0).give(Begin())[1] == Send(B2, 1, 500)


# --- several paths to a node ----------------------------------------------------------------------

A1_FIRST, A1_SECOND = "a1-1:1", "a1-2:1"
PATHS = {A1: (A1_FIRST, A1_SECOND), A2: ("a2-1:1", "a2-2:1")}


def with_paths(answered: str = A1) -> Compass:
    compass = Compass.fresh((A1, A2, A3, B1, B2, B3), 0, SITES, PATHS)
    compass.preferred = compass.answered = answered
    return compass


def test_a_silent_path_is_left_for_another_one_to_the_same_node() -> None:
    play = Play(with_paths(), random=full)
    assert play.give(Begin())[1] == Send(A1, 1, 500)
    # The other site is asked first: it would know of a new leader. It names the same one.
    assert play.next_send(NoAnswer(silent=True), after_ms=500).endpoint == B1
    again = Send(A1, 3, 500, A1_SECOND)
    assert play.give(NoAnswer(leader_endpoint=A1)) == (again,)
    assert again.address == A1_SECOND
    play.give(Answered())
    assert Play(play.compass).give(Begin())[1] == Send(A1, 1, 500, A1_SECOND)


def test_what_one_node_has_taught_holds_for_its_site() -> None:
    compass = with_paths()
    compass.was_missed(A1, A1)
    assert (compass.address(A1), compass.address(A2)) == (A1_SECOND, A2)
    compass.has_spoken(A1, A1_SECOND)
    assert (compass.address(A1), compass.address(A2)) == (A1_SECOND, "a2-2:1")
    assert (compass.address(A3), compass.address(B1)) == (A3, B1), "they have one address"


def test_all_paths_of_a_node_are_tried_in_turn() -> None:
    compass = with_paths()
    tried = []
    for _ in range(4):
        tried.append(compass.address(A1))
        compass.was_missed(A1, tried[-1])
    assert tried == [A1, A1_SECOND, A1_FIRST, A1]


def test_two_attempts_that_miss_one_path_at_the_same_time_count_once() -> None:
    compass = with_paths()
    compass.was_missed(A1, A1)
    compass.was_missed(A1, A1)
    assert compass.address(A1) == A1_SECOND


def test_C4_several_paths_are_tried_before_another_node_is_asked_to_relay() -> None:
    play = Play(with_paths(), random=full)
    play.give(Begin())
    play.next_send(NoAnswer(cut=True))
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(A1, 3, 500, A1_SECOND),)
    other = play.next_send(NoAnswer(cut=True)).endpoint
    assert other != A1
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(other, 5, 500, relay=True),)


def test_a_node_that_is_silent_over_two_paths_is_doubted_with_its_site() -> None:
    play = Play(with_paths(), random=full)
    play.give(Begin())
    play.next_send(NoAnswer(silent=True), after_ms=500)
    assert not play.compass.doubts_site(A2, play.now_ms)
    play.give(NoAnswer(leader_endpoint=A1))
    play.next_send(NoAnswer(silent=True), after_ms=500)
    assert play.compass.doubts(A1, play.now_ms)
    assert play.compass.doubts_site(A2, play.now_ms)


def test_a_broken_connection_is_followed_by_another_path_without_doubt() -> None:
    play = Play(with_paths(), random=full)
    play.give(Begin())
    play.next_send(NoAnswer(cut=True))
    assert not play.compass.doubts(A1, play.now_ms)
    assert play.give(NoAnswer(leader_endpoint=A1)) == (Send(A1, 3, 500, A1_SECOND),)
