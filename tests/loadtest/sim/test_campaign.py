"""Many days over processes, and `kessai sim` around them. The days are made up; playing is not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import pytest
from click.testing import CliRunner, Result

from loadtest.sim import campaign, command, runs
from loadtest.sim.campaign import FAULT, Campaign, Day, seeds, shrunk
from loadtest.sim.happening import Listener
from loadtest.sim.play import Outcome, Violated
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.tally import Tally
from loadtest.sim.weather.days import draw
from loadtest.sim.weather.troubles import Plan

BAD = Violated("agreement", "a2 applies another entry 17", 1234.0)


def made_up(seed: int) -> Day:
    """Every tenth day is a bad one."""
    tally, coverage = Tally(), Coverage()
    tally.counts["settled"] = seed
    coverage.rules["T7"] = 1
    violation = BAD if seed % 10 == 0 else None
    return Day(seed, f"trace{seed}", violation, "", 100, 2_000.0, tally, coverage)


def ending(plan: Plan, invariant: str) -> Outcome:
    violated = Violated(invariant, "so it was", 10.0) if invariant else None
    return Outcome(plan, "trace", violated, Tally(), (), "", 1, 10.0)


def sums(played: Campaign) -> tuple[object, ...]:
    return (
        played.days,
        played.events,
        played.virtual_ms,
        [day.seed for day in played.violations],
        dict(played.tally.counts),
        dict(played.coverage.rules),
    )


def test_a_campaign_adds_up_its_days() -> None:
    told: list[int] = []
    played = campaign.run(
        seeds(5, 20), jobs=1, play_day=made_up, on_day=lambda so_far, day: told.append(day.seed)
    )
    assert told == list(range(5, 25))
    assert [day.seed for day in played.violations] == [10, 20]
    assert (played.days, played.events, played.virtual_ms) == (20, 2_000, 40_000.0)
    assert played.tally.counts["settled"] == sum(range(5, 25))
    assert played.coverage.rules["T7"] == 20


def test_the_order_of_days_makes_no_difference() -> None:
    forth, back = Campaign(), Campaign()
    for seed in range(30):
        forth.take(made_up(seed))
        back.take(made_up(29 - seed))
    assert sums(forth) == sums(back)


def test_several_processes_play_the_same_days() -> None:
    one = campaign.run(seeds(1, 25), jobs=1, play_day=made_up)
    two = campaign.run(seeds(1, 25), jobs=2, play_day=made_up)
    assert sums(one) == sums(two)


def test_after_its_minutes_no_day_is_begun() -> None:
    clock = itertools.count(0.0, 10.0)
    played = campaign.run(
        seeds(1, None), jobs=1, minutes=1, play_day=made_up, clock=lambda: next(clock)
    )
    assert 0 < played.days < 6


def test_a_fault_of_the_simulator_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plan: Plan, listeners: Sequence[Listener] = ()) -> Outcome:
        raise KeyError("a4")

    monkeypatch.setattr(campaign, "play", broken)
    violation = campaign.live(3).violation
    assert violation is not None
    assert violation.invariant == FAULT
    assert "KeyError: 'a4'" in violation.words


def test_what_is_made_smaller_breaks_the_same_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any trouble it goes wrong otherwise: that is not what was looked for."""

    def play(plan: Plan, listeners: Sequence[Listener] = ()) -> Outcome:
        return ending(plan, "agreement" if plan.troubles else "6 liveness")

    monkeypatch.setattr(campaign, "play", play)
    plan = next(each for each in map(draw, itertools.count(1)) if len(each.troubles) > 2)
    assert len(shrunk(plan, BAD, 200).troubles) == 1


# -- the command ----------------------------------------------------------------------------------


def sim(*arguments: str) -> Result:
    return CliRunner().invoke(command.sim, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--story",),
        ("--shrink",),
        ("--seed", "3", "--seeds", "5"),
        ("--seed", "3", "--planted"),
        ("--write",),
        ("--bug", "own-log-kept"),
        ("--planted", "--bug", "no-such-bug"),
        ("--planted", "--coverage"),
        ("--seeds", "0"),
    ],
)
def test_what_cannot_be_asked_for_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert sim(*arguments).exit_code == 2


def of_made_up_days(monkeypatch: pytest.MonkeyPatch) -> None:
    run = campaign.run

    def made(wanted: object, **more: object) -> Campaign:
        return run(wanted, **{**more, "play_day": made_up})  # type: ignore[arg-type]

    monkeypatch.setattr(campaign, "run", made)
    monkeypatch.setattr(campaign, "play", lambda plan, listeners=(): ending(plan, "agreement"))


def test_clean_days_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    of_made_up_days(monkeypatch)
    result = sim("--from", "1", "--seeds", "9", "--jobs", "1", "--coverage")
    assert result.exit_code == 0
    assert "9 days, and nothing was violated" in result.output
    assert "not reached: " in result.output


def test_a_violation_is_told_with_the_way_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    of_made_up_days(monkeypatch)
    result = sim("--from", "1", "--seeds", "12", "--jobs", "1")
    assert result.exit_code == 1
    assert "VIOLATION of agreement, seed 10, at 1.234 s: a2 applies another entry 17" in (
        result.output
    )
    assert "kessai sim --seed 10 --shrink --story" in result.output
    assert "seed 10, a day of " in result.output
    assert "1 of 12 days violated" in result.output


def test_a_campaign_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    of_made_up_days(monkeypatch)
    result = sim("--from", "1", "--seeds", "12", "--jobs", "1", "--json")
    document = json.loads(result.stdout)
    assert document["days"] == 12
    (violation,) = document["violations"]
    assert (violation["seed"], violation["invariant"]) == (10, "agreement")
    assert violation["plan"][0].startswith("seed 10")


def test_one_day_is_told_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(plan: Plan, listeners: Sequence[Listener] = ()) -> Outcome:
        return ending(plan, "agreement")

    monkeypatch.setattr(campaign, "play", play)
    monkeypatch.setattr(runs, "play", play)
    result = sim("--seed", "7", "--shrink", "--story")
    assert result.exit_code == 1
    assert result.output.startswith("seed 7, a day of ")
    assert "VIOLATION of agreement, seed 7" in result.output
    monkeypatch.setattr(runs, "play", lambda plan, listeners=(): ending(plan, ""))
    assert sim("--seed", "7").exit_code == 0
