"""The player of a drill's steps, with everything around it made up."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from deploy.lab.folder import ClusterError
from loadtest.drill.lookout import DrillFailed, Lookout, PromiseBroken
from loadtest.drill.player import NO_EQUIPMENT, Doing, Means, Outcome, Player
from loadtest.drill.pulse import Pulse
from loadtest.drill.scene import Scene
from loadtest.drill.services import Survey
from loadtest.drill.steps import (
    Alarm,
    Await,
    Heal,
    Hold,
    OnDuty,
    Rate,
    RollOver,
    Services,
    Steady,
    Step,
    Whole,
)
from loadtest.drill.time_limit import OutOfTime, at_most
from loadtest.faults import AnyFault, Kill, NobodyToHurt
from loadtest.generator import Generator, GeneratorFailed

ALL = ("CREDIT", "UNIONPAY", "J_DEBIT", "E_MONEY", "POINT", "COUPON", "DCC")


@dataclass
class Stage:
    """Everything that a player plays with; `wrong` says what goes wrong, by what is asked for."""

    asked: list[str] = field(default_factory=list)
    wrong: dict[str, Callable[[], None]] = field(default_factory=dict)
    surveys: list[Survey] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    told: list[Doing | None] = field(default_factory=list)
    done: list[AnyFault] = field(default_factory=list)
    steady: list[bool] = field(default_factory=list)  # what comes of waiting for it; then: all

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.wrong.get(what, lambda: None)()

    # the scene, the lookout, the pulse, the generator, the operators: one for all

    def do(self, fault: AnyFault) -> None:
        self.done.append(fault)
        self._ask(f"do {fault.target}")

    def heal(self, *, everything: bool) -> None:
        self._ask("heal all" if everything else "heal")

    def heal_whatever_happened(self) -> None:
        self._ask("heal whatever happened")

    def leader(self) -> None:
        return None

    def epoch(self) -> int:
        return 4 + len(self.done)

    def broken(self) -> str:
        return ""

    def await_that(self, step: Await) -> None:
        self._ask("await")

    def await_whole(self, step: Whole) -> None:
        self._ask("whole")

    def await_alarm(self, step: Alarm) -> None:
        self._ask("alarm")

    def await_steady(self, step: Steady, generator: Generator) -> bool:
        self._ask("steady")
        return self.steady.pop(0) if self.steady else True

    def hold(self, for_s: float, generator: Generator) -> None:
        self._ask("hold")

    def expect(self, times: float) -> float:
        return 100 * times

    def check(self) -> None:
        self._ask("check")

    def change_rate(self, times: float) -> None:
        self._ask(f"rate {times}")

    def roll_over(self) -> None:
        self._ask("roll over")

    def act(self, step: OnDuty, done: Sequence[AnyFault]) -> None:
        self._ask(f"on duty after {[each.target for each in done]}")

    def services(self, within_s: float, business_date: int) -> Survey:
        self._ask(f"services on {business_date}")
        return self.surveys.pop(0) if self.surveys else Survey(ALL, ())

    def note(self, what: str, detail: str = "") -> None:
        self.noted.append((what, detail))

    def play(self, *steps: Step, within_s: float = 60.0) -> Outcome:
        means = Means(
            cast("Scene", self),
            cast("Lookout", self),
            cast("Pulse", self),
            cast("Generator", self),
            self,
            self.services,
        )
        return Player(means, self.note, self.told.append, 20261231).play(steps, within_s)

    @property
    def acts(self) -> list[str]:
        """What was asked for, without the looks whether the load still runs."""
        return [each for each in self.asked if each != "check"]


def fail(problem: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise problem

    return raise_it


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_steps_are_played_in_order_and_everything_is_healed_at_the_end(stage: Stage) -> None:
    outcome = stage.play(Steady(1), Kill("leader"), OnDuty(), Heal(), Whole(), Steady(1))
    assert stage.acts == [
        "steady",
        "hold",
        "do leader",
        "on duty after ['leader']",
        "heal",
        "whole",
        "steady",
        "hold",
        "heal whatever happened",
    ]
    assert (outcome.unplayed, outcome.broken, outcome.services) == ("", "", None)
    assert (outcome.before, outcome.after) == (("nobody", 4), ("nobody", 5))


def test_the_moments_are_of_the_first_fault_the_first_healing_and_the_last_steady_state(
    stage: Stage,
) -> None:
    begun = time.monotonic() * 1000.0
    outcome = stage.play(Steady(1), Kill("leader"), Heal(), Heal(), Steady(1))
    assert outcome.steady_ms is not None
    assert outcome.healed_ms is not None
    first_ms, last_ms = outcome.disturbed
    assert begun - 1000.0 < first_ms <= outcome.healed_ms <= last_ms
    assert outcome.steady_ms <= outcome.healed_ms


def test_without_a_fault_nothing_was_disturbed_and_after_one_it_is_until_a_steady_state(
    stage: Stage,
) -> None:
    assert stage.play(Steady(1), Rate(2), RollOver()).disturbed[0] == float("inf")
    assert stage.play(Steady(1), Kill("leader"), Hold(1)).disturbed[1] == float("inf")


def test_an_outage_before_any_steady_state_is_not_left_out_of_the_figures(stage: Stage) -> None:
    stage.steady = [False, True]
    outcome = stage.play(Steady(0.0, required=False), Kill("leader"), Heal(), Steady(0.0))
    assert outcome.steady_ms is None
    assert math.isfinite(outcome.disturbed[1])


def test_while_no_steady_state_comes_it_is_still_disturbed(stage: Stage) -> None:
    stage.steady = [True, False]
    outcome = stage.play(Steady(0.0), Kill("leader"), Steady(0.0, required=False))
    assert outcome.disturbed[1] == math.inf


def test_each_step_is_told_with_how_long_it_and_the_rest_can_take(stage: Stage) -> None:
    stage.play(Steady(4, within_s=20), Kill("leader"), Hold(7))
    assert stage.told[-1] is None
    told = [each for each in stage.told if each]
    assert [(each.number, each.of, each.longest_s, each.after_s) for each in told] == [
        (1, 3, 24.0, 7.0),
        (2, 3, 0.0, 7.0),
        (3, 3, 7.0, 0.0),
    ]
    assert [each.words for each in told] == [
        "steady for_s 4, within_s 20",
        "kill leader",
        "hold for_s 7",
    ]


@pytest.mark.parametrize(
    "problem", [DrillFailed("nobody leads"), ClusterError("it is gone")], ids=["drill", "cluster"]
)
def test_what_cannot_be_played_ends_the_drill_and_is_healed(
    stage: Stage, problem: Exception
) -> None:
    stage.wrong["await"] = fail(problem)
    outcome = stage.play(Kill("leader"), Await(), Steady(1))
    assert (outcome.unplayed, outcome.broken) == (str(problem), "")
    assert stage.acts[-2:] == ["await", "heal whatever happened"]
    assert ("could not go on", str(problem)) in stage.noted


def test_a_promise_that_is_broken_is_told_apart(stage: Stage) -> None:
    stage.wrong["alarm"] = fail(PromiseBroken("no alarm"))
    outcome = stage.play(Alarm("degraded"), Steady(1))
    assert (outcome.unplayed, outcome.broken) == ("", "no alarm")
    assert stage.acts[-1] == "heal whatever happened"


def test_equipment_that_is_not_there_is_told_apart(stage: Stage) -> None:
    stage.wrong["do switch-2"] = fail(NobodyToHurt("site a has no switch-2"))
    outcome = stage.play(Kill("switch-2"), Steady(1))
    assert outcome.unplayed == f"{NO_EQUIPMENT}: site a has no switch-2"


def test_a_load_that_ends_by_itself_is_no_outcome_but_everything_is_healed(stage: Stage) -> None:
    stage.wrong["check"] = fail(GeneratorFailed("locust ended early"))
    with pytest.raises(GeneratorFailed):
        stage.play(Steady(1))
    assert stage.acts == ["heal whatever happened"]


def test_an_interruption_is_passed_on_after_healing(stage: Stage) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    stage.wrong["hold"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        stage.play(Kill("leader"), Hold(1))
    assert stage.acts[-1] == "heal whatever happened"


def test_a_step_that_hangs_is_given_up_in_time(stage: Stage) -> None:
    stage.wrong["await"] = lambda: time.sleep(600)
    outcome = stage.play(Kill("leader"), Await(), Steady(1), within_s=0.05)
    assert "the longest that it may last" in outcome.unplayed
    assert stage.acts == ["do leader", "await", "heal whatever happened"]


def test_the_fewest_services_are_kept(stage: Stage) -> None:
    few = Survey(("CREDIT",), tuple(f"{name}: refused" for name in ALL[1:]))
    stage.surveys = [Survey(ALL, ()), few, Survey(ALL, ())]
    asked = Services(required=False)
    outcome = stage.play(asked, asked, asked)
    assert (outcome.services, outcome.broken) == (1, "")
    assert ("services offered", "1 of 7: CREDIT") in stage.noted


def test_services_that_are_required_must_all_be_offered(stage: Stage) -> None:
    stage.surveys = [Survey(ALL[1:], ("CREDIT sale: refused (why)",))]
    outcome = stage.play(Services(), Hold(1))
    assert outcome.broken == "not every service is accepted: CREDIT sale: refused (why)"
    assert outcome.services == 6
    assert "hold" not in stage.acts


def test_the_load_hears_of_another_rate_and_of_the_end_of_the_date(stage: Stage) -> None:
    stage.play(Rate(3.0), Services(), RollOver(), Services())
    assert stage.acts == [
        "rate 3.0",
        "services on 20261231",
        "roll over",
        "services on 20270101",
        "heal whatever happened",
    ]
    assert ("the rate changes", "300 a second") in stage.noted
    assert ("the business date ends", "the next one is 20270101") in stage.noted


def test_a_time_limit_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTime, match="after 0 s"), at_most(0.01):
        time.sleep(600)
    with at_most(600.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
