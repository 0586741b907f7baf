"""Plays a drill's steps, one after the other, and knows what came of them.

Whatever happens, what was broken is healed before `play` returns or raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from deploy.lab.folder import ClusterError
from deploy.lab.program import ProgramFailed
from loadtest.business_date import following
from loadtest.drill.keeping import now_ms
from loadtest.drill.lookout import DrillFailed, Lookout, Note, PromiseBroken
from loadtest.drill.pulse import Pulse
from loadtest.drill.scene import Scene
from loadtest.drill.services import Survey
from loadtest.drill.steps import (
    Alarm,
    Await,
    Frozen,
    Heal,
    Hold,
    OnDuty,
    Pruned,
    Rate,
    Refused,
    RollOver,
    Services,
    SnapshotTaken,
    Stalled,
    Steady,
    Step,
    Whole,
    in_words,
    longest_s,
)
from loadtest.drill.time_limit import at_most
from loadtest.faults import AnyFault, NobodyToHurt
from loadtest.generator import Generator

NO_EQUIPMENT: Final = "no such equipment here"
"""So begins `Course.unplayed` where a drill speaks of a part that this topology does not have."""

_ON_THE_WAY_MS: Final = 200.0  # slots that came so long before a fault may be under way


class Operators(Protocol):
    """The people on duty."""

    def act(self, step: OnDuty, done: Sequence[AnyFault]) -> None:
        """Do what the runbooks ask for after these faults, if anything."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the steps of one drill are played with. `services` asks for one of each, on a date."""

    scene: Scene
    lookout: Lookout
    pulse: Pulse
    generator: Generator
    operators: Operators
    services: Callable[[float, int], Survey]


@dataclass(frozen=True, slots=True)
class Doing:
    """What is played now: step `number` of `of`, in words, for at most so long (0: at once), and
    how long all that comes after it can take."""

    words: str
    number: int
    of: int
    longest_s: float
    after_s: float


@dataclass(slots=True)
class Outcome:
    """What came of the steps. Moments are milliseconds of the clock that histories share.

    `disturbed`: from the first fault to the last steady state. `services`: the fewest that were
    offered whenever they were asked for. `before`, `after`: who leads, and the epoch.
    """

    steady_ms: float | None = None
    healed_ms: float | None = None
    disturbed: tuple[float, float] = (math.inf, math.inf)
    services: int | None = None
    unplayed: str = ""
    broken: str = ""
    before: tuple[str, int] = ("", 0)
    after: tuple[str, int] = ("", 0)


@dataclass(slots=True)
class Player:
    """Plays with `means`, puts on record with `note`, and says to `tell` what it is doing; None:
    nothing more."""

    means: Means
    note: Note
    tell: Callable[[Doing | None], None]
    business_date: int
    outcome: Outcome = field(default_factory=Outcome)

    def play(self, steps: Sequence[Step], within_s: float) -> Outcome:
        """Play them all, within so many seconds in all.

        What keeps a step from being played, or what the cluster does not do although a step demands
        it, ends the drill early and is in the outcome. Raises `GeneratorFailed` if the load ends.
        """
        outcome, lookout = self.outcome, self.means.lookout
        try:
            with at_most(within_s):
                outcome.before = _led(lookout)
                for number, step in enumerate(steps, start=1):
                    self.means.generator.check()
                    self.tell(_doing(steps, number))
                    self._play(step)
        except PromiseBroken as broken:
            outcome.broken = str(broken)
            self.note("not as it must be", outcome.broken)
        except NobodyToHurt as problem:
            outcome.unplayed = f"{NO_EQUIPMENT}: {problem}"
            self.note("could not go on", outcome.unplayed)
        except (DrillFailed, ClusterError, ProgramFailed) as problem:
            outcome.unplayed = str(problem)
            self.note("could not go on", outcome.unplayed)
        finally:
            self.tell(None)
            self.means.scene.heal_whatever_happened()
        outcome.after = _led(lookout)
        outcome.broken = outcome.broken or lookout.broken()
        return outcome

    def _play(self, step: Step) -> None:
        means, outcome = self.means, self.outcome
        match step:
            case Steady():
                undisturbed = math.isinf(outcome.disturbed[0])
                if means.pulse.await_steady(step, means.generator):
                    outcome.disturbed = (outcome.disturbed[0], now_ms())
                    if undisturbed:  # else an outage before it would be left out of the figures
                        outcome.steady_ms = outcome.steady_ms or now_ms()
                means.pulse.hold(step.for_s, means.generator)
            case Hold():
                means.pulse.hold(step.for_s, means.generator)
            case Heal():
                means.scene.heal(everything=step.all)
                outcome.healed_ms = outcome.healed_ms or now_ms()
            case Stalled():
                means.pulse.await_stalled(step.within_s, means.lookout, means.generator)
            case OnDuty():
                means.operators.act(step, means.scene.done)
            case Rate():
                self._change_rate(step.times)
            case RollOver():
                self._roll_over()
            case Services():
                self._ask_for_services(step)
            case Await() | Whole() | Alarm() | Frozen() | Refused() | Pruned() | SnapshotTaken():
                self._watch(step)
            case _:
                first = min(outcome.disturbed[0], now_ms() - _ON_THE_WAY_MS)
                outcome.disturbed = (first, math.inf)
                means.scene.do(step)

    def _watch(
        self, step: Await | Whole | Alarm | Frozen | Refused | Pruned | SnapshotTaken
    ) -> None:
        """What is only looked at, and demanded."""
        lookout, scene = self.means.lookout, self.means.scene
        match step:
            case Await():
                lookout.await_that(step)
            case Whole():
                lookout.await_whole(step)
            case Alarm():
                lookout.await_alarm(step)
            case Frozen():
                lookout.await_frozen(step)
            case Refused():
                scene.refused(step)
            case Pruned():
                lookout.await_pruned(step, scene.absent_index)
            case SnapshotTaken():
                lookout.await_snapshot(step, scene.returned, scene.returned_log)

    def _ask_for_services(self, step: Services) -> None:
        survey = self.means.services(step.within_s, self.business_date)
        fewest = self.outcome.services
        offered = len(survey.offered)
        self.outcome.services = offered if fewest is None else min(fewest, offered)
        if survey.refused and step.required:
            raise PromiseBroken(f"not every service is accepted: {'; '.join(survey.refused)}")
        self.note("services offered", survey.words)

    def _change_rate(self, times: float) -> None:
        self.means.generator.change_rate(times)
        rate = self.means.pulse.expect(times)
        self.note("the rate changes", f"{rate:.0f} a second")

    def _roll_over(self) -> None:
        self.business_date = following(self.business_date)
        self.means.generator.roll_over()
        self.note("the business date ends", f"the next one is {self.business_date}")


def _doing(steps: Sequence[Step], number: int) -> Doing:
    step, later = steps[number - 1], steps[number:]
    after_s = sum(longest_s(each) for each in later)
    return Doing(in_words(step), number, len(steps), longest_s(step), after_s)


def _led(lookout: Lookout) -> tuple[str, int]:
    """Who leads now, and the epoch."""
    leader = lookout.leader()
    return (leader.node, leader.epoch) if leader else ("nobody", lookout.epoch())
