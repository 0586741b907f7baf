"""node/rpc/paths: which path is used, asked and made anew, by what is known of each."""

from __future__ import annotations

import pytest

from coordinator.addresses import over_each
from node.rpc.paths import BUSY_MS, HALVED_MS, IDLE_MS, LEAVE_MS, STUCK_MS, Paths

STEP_MS = 10.0


class Peer:
    """A peer behind three paths: each answers after `takes` milliseconds; None: it is silent."""

    def __init__(self, *takes: float | None) -> None:
        self.takes = list(takes)
        self.paths = Paths(len(takes))
        self.now = 0.0
        self.used: list[int] = []
        self.asked: list[int] = []
        self._under_way: list[tuple[float, int]] = []
        for number in range(len(takes)):
            self.paths.began(number)

    def runs(self, for_ms: float, *, sends: bool = True) -> list[int]:
        """Let time pass; which paths messages were sent over meanwhile, without repetitions."""
        used: list[int] = []
        end = self.now + for_ms
        while self.now < end:
            self.now += STEP_MS
            for at, number in [each for each in self._under_way if each[0] <= self.now]:
                self._under_way.remove((at, number))
                self.paths.answered(number, self.now)
            if sends:
                chosen = self.paths.choose(self.now)
                if not used or used[-1] != chosen:
                    used.append(chosen)
            for number in self.paths.ask(self.now):
                self.asked.append(number)
                takes = self.takes[number]
                if takes is not None:
                    self._under_way.append((self.now + takes, number))
        return used


def test_the_other_addresses_have_the_same_port() -> None:
    assert over_each("198.18.1.1:7201", ()) == ("198.18.1.1:7201",)
    assert over_each("198.18.1.1:7201", ("198.18.65.1",)) == ("198.18.1.1:7201", "198.18.65.1:7201")


def test_while_all_answer_the_main_one_is_used() -> None:
    assert Peer(1, 1, 1).runs(5_000) == [0]


def test_a_path_that_falls_silent_is_left_within_a_quarter_of_a_second() -> None:
    peer = Peer(1, 1, 1)
    peer.runs(3_000)
    peer.takes[0] = None
    peer.runs(250)
    assert peer.runs(2_000) == [1]


def test_two_paths_that_fall_silent_at_once_are_both_left() -> None:
    peer = Peer(1, 1, 1)
    peer.runs(3_000)
    peer.takes[:2] = None, None
    peer.runs(500)
    assert peer.runs(2_000) == [2]


def test_a_path_that_is_slow_now_and_then_is_not_returned_to() -> None:
    """A switch that loses packets shows as answers of which some are late."""
    peer = Peer(1, 1, 1)
    used: list[int] = []
    for turn in range(40):
        peer.takes[:2] = (220, 220) if turn % 4 == 0 else (1, 1)
        used += peer.runs(250)
    left = used.index(2)
    assert set(used[left:]) == {2}


def test_paths_that_are_alike_are_not_changed_between() -> None:
    peer = Peer(1, 1, 1)
    used: list[int] = []
    for turn in range(40):
        peer.takes = [5.0 + 40 * ((turn + number) % 3) for number in range(3)]
        used += peer.runs(250)
    assert set(used) == {0}


def test_a_peer_that_is_silent_everywhere_is_no_reason_to_run_about() -> None:
    peer = Peer(1, 1, 1)
    peer.runs(3_000)
    peer.takes = [None, None, None]
    assert len(peer.runs(10_000)) <= 3
    assert peer.paths.stuck(peer.now) == ()


def test_a_connection_that_ends_is_left_at_once_and_none_is_no_way() -> None:
    peer = Peer(1, 1, 1)
    peer.paths.ended(0)
    assert peer.paths.choose(0) == 1
    peer.paths.ended(1)
    peer.paths.ended(2)
    assert not peer.paths.stand
    assert peer.paths.choose(0) == 1, "whoever sends has nowhere to send to"
    peer.paths.began(0)
    assert (peer.paths.stand, peer.paths.choose(0)) == (True, 0)


def test_what_carries_messages_is_asked_often_and_the_rest_seldom() -> None:
    peer = Peer(1, 1, 1)
    peer.runs(10_000)
    asked = [peer.asked.count(number) for number in range(3)]
    assert asked[0] == pytest.approx(10_000 / BUSY_MS, rel=0.1)
    assert asked[1:] == pytest.approx([10_000 / IDLE_MS] * 2, rel=0.1)
    peer.asked.clear()
    peer.runs(10_000, sends=False)
    assert len(peer.asked) == pytest.approx(3 * 10_000 / IDLE_MS, rel=0.1)


def test_one_question_is_under_way_at_a_time() -> None:
    peer = Peer(1, None, 1)
    peer.runs(10_000)
    assert peer.asked.count(1) == 1


def test_a_path_that_owes_an_answer_for_long_is_made_anew_if_another_answers() -> None:
    peer = Peer(1, None, 1)
    peer.runs(STUCK_MS)
    assert peer.paths.stuck(peer.now) == ()
    peer.runs(IDLE_MS)
    assert peer.paths.stuck(peer.now) == (1,)
    peer.paths.ended(1)
    assert peer.paths.stuck(peer.now) == ()


def test_what_was_slow_is_remembered_over_a_new_connection_and_forgotten_in_time() -> None:
    peer = Peer(400, 1, 1)
    peer.runs(1_000)
    assert peer.runs(100) == [1]
    peer.paths.ended(0)
    peer.paths.began(0)
    peer.paths.ended(1)
    assert peer.paths.choose(peer.now) == 2
    peer.now += 10 * HALVED_MS
    peer.paths.ended(2)
    assert peer.paths.choose(peer.now) == 0


def test_refused_where_nothing_else_stands_the_process_is_gone() -> None:
    paths = Paths(3)
    assert paths.refused(0.0)


def test_refused_on_one_path_while_another_answers_it_is_not_gone() -> None:
    peer = Peer(1, 1, 1)
    peer.paths.ended(2)
    for _ in range(20):
        assert not peer.paths.refused(peer.now)
        peer.runs(50, sends=False)


def test_refused_while_another_connection_only_seems_to_stand_it_is_soon_known() -> None:
    """The end of a connection may be among what a switch has lost."""
    peer = Peer(1, 1, 1)
    peer.runs(3_000, sends=False)
    peer.takes = [None, None, None]
    peer.paths.ended(2)
    assert not peer.paths.refused(peer.now)
    peer.runs(BUSY_MS + LEAVE_MS + 2 * STEP_MS, sends=False)
    assert peer.paths.refused(peer.now)


def test_with_one_path_there_is_nothing_to_choose() -> None:
    peer = Peer(1)
    assert peer.runs(1_000) == [0]
    peer.takes = [None]
    assert peer.runs(10_000) == [0]
    assert peer.paths.stuck(peer.now) == ()
