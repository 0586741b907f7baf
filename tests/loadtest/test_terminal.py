"""The client contract: what a terminal does with every kind of word, and with silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtest.terminal import (
    Answered,
    Begin,
    Compass,
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
    # B still believes in A, which is paused: ask C instead of losing another 500 ms at A.
    assert play.next_send(NoAnswer(leader_endpoint=A)).endpoint == C
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
