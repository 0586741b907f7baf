"""Histories of several machines on one clock."""

from __future__ import annotations

from loadtest.clocks import on_one_clock
from loadtest.history import Header, Heard, History, Mark, Result, Stall, Unsent, gathered
from loadtest.measure import measure


def history(zero_ms: float, began_ms: float, terminal: str) -> History:
    """Half a second of load with one answer that was not asked for, and one unsent slot."""
    return gathered(
        [
            Header("run", 1, zero_ms, 10, 2),
            Mark("load began", began_ms),
            Heard(
                ask=f"{terminal}/0",
                key=f"{terminal}.key",
                result=Result.OK,
                intended_ms=began_ms + 100,
                sent_ms=began_ms + 100,
                heard_ms=began_ms + 130,
                attempts=1,
                endpoint="here:1",
            ),
            Unsent(terminal, 1, began_ms + 200),
            Stall(began_ms + 10, 60.0),
            Mark("arrivals stopped", began_ms + 500),
        ]
    )


def test_another_machines_clock_is_put_on_the_first_ones() -> None:
    here, far = history(1_000_000.0, 5_000.0, "T1"), history(900_000.0, 105_100.0, "T2")
    both = on_one_clock([here, far])
    assert [mark.at_ms for mark in both.marks] == [5_000.0, 5_500.0, 5_100.0, 5_600.0]
    assert [line.heard_ms - line.sent_ms for line in both.heard] == [30.0, 30.0]
    assert [line.first_intended_ms for line in both.unsent] == [5_200.0, 5_300.0]
    assert [(stall.at_ms, stall.for_ms) for stall in both.stalls] == [(5_010, 60), (5_110, 60)]
    assert {header.unix_at_zero_ms for header in both.headers} == {1_000_000.0, 900_000.0}
    figures = measure(both)
    assert (figures.began_ms, figures.stopped_ms) == (5_000.0, 5_600.0)


def test_processes_of_one_machine_are_left_as_they_are() -> None:
    one, other = history(1_000_000.0, 5_000.0, "T1"), history(1_000_000.4, 5_001.0, "T2")
    assert on_one_clock([one, other]).heard == (*one.heard, *other.heard)


def test_a_history_that_never_began_counts_for_nothing() -> None:
    one = history(1_000_000.0, 5_000.0, "T1")
    assert on_one_clock([gathered([], torn=1), one]).heard == one.heard
