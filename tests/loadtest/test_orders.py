"""What a running load is told, and what that does to schedules, terminals, and a real locust."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import history_file
from loadtest.business_date import following
from loadtest.generator import Generator
from loadtest.history import Heard, Intent, Result
from loadtest.load_plan import LoadPlan
from loadtest.locust_command import Crew
from loadtest.measure import measure
from loadtest.orders import ChangeRate, Order, RollOver, Stop, spoken, understood
from loadtest.profiles.curve import flat
from loadtest.request import Call, Service, Type
from loadtest.tempo import Tempo
from loadtest.traffic import Till
from tests.loadtest.fake_centre import FakeCentre
from tests.loadtest.test_load import Listener, free_port, plan

TODAY, TOMORROW = 20261123, 20261124


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    with FakeCentre() as centre:
        yield centre


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [Stop(), ChangeRate(2.5), RollOver()])
def test_an_order_is_understood_as_it_was_spoken(order: Order) -> None:
    assert understood(spoken(order)) == order


@pytest.mark.parametrize("words", ["", "rate", "rate fast", "rate 0", "rate -1", "stop now"])
def test_other_words_are_no_order(words: str) -> None:
    with pytest.raises(ValueError, match="no order"):
        understood(words)


@pytest.mark.parametrize(
    ("date", "after"), [(20261123, 20261124), (20261231, 20270101), (20280228, 20280229)]
)
def test_a_business_date_is_followed_by_the_next_day(date: int, after: int) -> None:
    assert following(date) == after


# --- the schedule ---------------------------------------------------------------------------------


def test_at_first_moments_come_as_they_were_drawn() -> None:
    assert [Tempo().when(at) for at in (0.0, 10.0, 1e6)] == [0.0, 10.0, 1e6]


def test_what_is_still_to_come_comes_faster_and_what_lies_behind_stays() -> None:
    tempo = Tempo()
    tempo.change(1_000.0, 3.0)
    tempo.change(2_000.0, 1.0)
    drawn = [400.0, 1_000.0, 2_500.0, 4_000.0, 5_000.0]
    assert [tempo.when(at) for at in drawn] == [400.0, 1_000.0, 1_500.0, 2_000.0, 3_000.0]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e5), st.floats(0.1, 10)), max_size=6, unique_by=lambda pair: pair[0]
    ),
    st.lists(st.floats(0, 1e6), min_size=2, max_size=20),
)
def test_moments_keep_their_order_however_the_tempo_changes(
    changes: list[tuple[float, float]], moments: list[float]
) -> None:
    tempo = Tempo()
    for at_ms, times in sorted(changes):
        tempo.change(at_ms, times)
    found = [tempo.when(each) for each in sorted(moments)]
    assert all(before <= after + 1e-6 for before, after in pairwise(found))


def test_a_tempo_that_makes_no_sense_is_refused() -> None:
    tempo = Tempo()
    tempo.change(1_000.0, 2.0)
    with pytest.raises(ValueError, match="no tempo"):
        tempo.change(2_000.0, 0.0)
    with pytest.raises(ValueError, match="no tempo"):
        tempo.change(500.0, 1.0)


# --- the terminal ---------------------------------------------------------------------------------


def till(number: int = 0) -> Till:
    return Till(seed=5, number=number, tag="A", business_date=TODAY)


def test_at_the_end_of_the_date_a_terminal_closes_all_services_and_begins_the_next_one() -> None:
    mine = till()
    before = [mine.next() for _ in range(40)]
    mine.roll_over()
    after = [mine.next() for _ in range(60)]
    fresh = [each for each in after if not each.again]
    close = next(each.request for each in fresh if each.request.business_date == TODAY)
    number = after.index(next(each for each in after if each.request == close))
    # What the clerk was in the middle of came first.
    assert all(each.request.type == Type.ADVICE for each in after[:number])
    assert (close.call, close.service, close.expected) == (Call.CLOSE, Service.ALL, ())
    later = [each.request for each in after[number + 1 :] if not each.again]
    assert {each.business_date for each in later} == {TOMORROW}
    keys = [each.request.key for each in [*before, *after] if each.request.key and not each.again]
    assert len(set(keys)) == len(keys)


def test_the_end_of_the_date_changes_nothing_else_that_a_terminal_asks() -> None:
    one, other = till(), till()
    for _ in range(20):
        assert one.next() == other.next()
    other.roll_over()
    asked = [other.next().request for _ in range(80)]
    asked.remove(next(each for each in asked if each.call == Call.CLOSE and not each.expected))
    for mine, theirs in zip([one.next().request for _ in range(79)], asked, strict=True):
        assert (mine.call, mine.type, mine.amount_minor) == (
            theirs.call,
            theirs.type,
            theirs.amount_minor,
        )


def test_yesterdays_sales_are_given_back_today() -> None:
    given = []
    for mine in map(till, range(12)):
        for _ in range(60):
            mine.next()
        mine.roll_over()
        given += [mine.next().request for _ in range(100)]
    of_yesterday = [each for each in given if f".{TODAY}." in each.original_key]
    today = [each for each in of_yesterday if each.business_date == TOMORROW]
    assert {Type.REFUND, Type.VOID, Type.CAPTURE} <= {Type(each.type) for each in today}


# --- a real locust --------------------------------------------------------------------------------


def test_a_running_load_goes_faster_and_rolls_over(centre: FakeCentre, tmp_path: Path) -> None:
    listener, load = Listener(), plan(centre, tmp_path)
    with Generator(load, tmp_path, listener) as running:
        listener.wait_for(heard=60)
        running.change_rate(3.0)
        listener.wait_for(heard=listener.lines[-1].heard + 300)
        running.roll_over()
        listener.wait_for(heard=listener.lines[-1].heard + 200)
        running.stop()
        running.wait()
    told = history_file.read([Path(load.history)])
    names = [mark.name for mark in told.marks]
    assert names == ["load began", "rate 3.0", "roll-over", "arrivals stopped", "drained"]
    began, faster, _, stopped, _ = (mark.at_ms for mark in told.marks)
    before = sum(intent.intended_ms < faster for intent in told.intents) / (faster - began)
    after = sum(intent.intended_ms >= faster for intent in told.intents) / (stopped - faster)
    assert after > 2 * before
    assert measure(told).unserved == 0
    _check_rolled_over(load, [*told.intents], [*told.heard])


def test_several_workers_are_told_too(centre: FakeCentre, tmp_path: Path) -> None:
    load = msgspec.structs.replace(plan(centre, tmp_path), processes=2)
    listener = Listener()
    with Generator(load, tmp_path, listener, crew=Crew(here=2, port=free_port())) as running:
        listener.wait_for(heard=60)
        running.roll_over()
        running.change_rate(2.0)
        listener.wait_for(heard=listener.lines[-1].heard + 200)
        running.stop()
        running.wait()
    paths = sorted(tmp_path.glob("history-load-*.ndjson"))
    told = [history_file.read([path]) for path in paths]
    assert len(told) == 2
    for each in told:
        assert {"roll-over", "rate 2.0"} <= {mark.name for mark in each.marks}
    intents = [intent for each in told for intent in each.intents]
    _check_rolled_over(load, intents, [line for each in told for line in each.heard])


def _check_rolled_over(load: LoadPlan, intents: list[Intent], heard: list[Heard]) -> None:
    """Whoever came after the end of the date had closed the day before, once, and was heard."""
    tomorrow = following(load.business_date)
    heard_of = {line.ask: line.result for line in heard}
    terminals = {i.request.terminal for i in intents if i.request.business_date == tomorrow}
    assert terminals
    for terminal in terminals:
        mine = [each for each in intents if each.request.terminal == terminal and not each.again]
        dates = [each.request.business_date for each in mine]
        last = dates.index(tomorrow) - 1
        assert set(dates[last + 1 :]) == {tomorrow}
        assert mine[last].request.call == Call.CLOSE
        assert heard_of[mine[last].ask] is Result.OK


def test_a_load_on_a_curve_keeps_its_rate(centre: FakeCentre, tmp_path: Path) -> None:
    load = msgspec.structs.replace(plan(centre, tmp_path), curve=flat(20.0, 60.0))
    with (
        Generator(load, tmp_path, Listener()) as running,
        pytest.raises(ValueError, match="curve"),
    ):
        running.change_rate(2.0)
