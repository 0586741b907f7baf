"""One heap of (time, order, event), one seed."""

from __future__ import annotations

import pytest

from loadtest.sim.timeline import Dice, Timeline


def test_what_is_due_first_happens_first_and_ties_go_by_order() -> None:
    timeline, seen = Timeline(), list[str]()
    timeline.at(20.0, lambda: seen.append("late"), "late")
    timeline.at(10.0, lambda: seen.append("one"), "one")
    timeline.at(10.0, lambda: seen.append("two"), "two")
    timeline.run(15.0)
    assert seen == ["one", "two"]
    assert timeline.now == 15.0
    timeline.run(30.0)
    assert seen == ["one", "two", "late"]


def test_what_is_said_for_the_past_happens_now_after_what_is_due_now() -> None:
    timeline, seen = Timeline(), list[str]()

    def first() -> None:
        timeline.at(0.0, lambda: seen.append("said in the past"), "past")
        seen.append("first")

    timeline.at(10.0, first, "first")
    timeline.at(10.0, lambda: seen.append("second"), "second")
    timeline.run(10.0)
    assert seen == ["first", "second", "said in the past"]


def test_a_cancelled_event_does_not_happen_and_leaves_no_trace() -> None:
    one, other = Timeline(), Timeline()
    one.at(5.0, lambda: pytest.fail("it was cancelled"), "never").cancel()
    for timeline in (one, other):
        timeline.run(10.0)
    assert one.trace == other.trace
    assert one.events == 0


def test_the_trace_tells_two_days_apart_by_time_by_name_and_by_what_was_noted() -> None:
    traces = set()
    for at, what, note in ((5.0, "a", ""), (6.0, "a", ""), (5.0, "b", ""), (5.0, "a", "noted")):
        timeline = Timeline()
        timeline.at(at, lambda timeline=timeline, note=note: timeline.note(note), what)  # type: ignore[misc]
        timeline.run(10.0)
        traces.add(timeline.trace)
    assert len(traces) == 4


def test_a_halt_ends_the_day_where_it_stands() -> None:
    timeline = Timeline()
    timeline.at(5.0, timeline.halt, "halt")
    timeline.at(6.0, lambda: pytest.fail("after the halt"), "after")
    timeline.run(10.0)
    assert timeline.now == 5.0


def test_what_is_drawn_for_one_purpose_does_not_depend_on_another() -> None:
    alone, beside = Dice(7), Dice(7)
    beside.of("other").random()
    assert alone.of("one").random() == beside.of("one").random()
    assert Dice(7).of("one").random() != Dice(8).of("one").random()
