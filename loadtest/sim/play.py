"""One seed, played: its troubles, then the calm in which everything must come right again.

First the safety phase, in which anything goes and only what must always hold is asked, after every
step. Then the liveness phase: faults stop, and within a bounded time a payment must be settled,
everybody must count again, and all replicas must hold one log (docs/protocol.md, "What must always
hold"). At the end the judges of the drills read what the terminals heard and what the replicas
hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.checkers.finding import Finding, Verdict
from loadtest.history import SETTLED, Heard
from loadtest.sim import judge
from loadtest.sim.happening import Listener
from loadtest.sim.loop import Defect
from loadtest.sim.tales.tally import Tally
from loadtest.sim.weather.prospects import must_recover
from loadtest.sim.weather.striking import Striking
from loadtest.sim.weather.troubles import Plan
from loadtest.sim.witness import Violation
from loadtest.sim.world import World

_LOOK_MS: Final = 250.0


@dataclass(frozen=True, slots=True)
class Violated:
    """Which invariant was broken, when, and how."""

    invariant: str
    words: str
    at_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan: `excused` says why it need not have come right again, if so."""

    plan: Plan
    trace: str
    violation: Violated | None
    tally: Tally
    findings: tuple[Finding, ...]
    excused: str
    events: int
    virtual_ms: float


def play(plan: Plan, listeners: Sequence[Listener] = ()) -> Outcome:
    """Play a day. What is violated is told in the outcome, not raised."""
    tally = Tally()
    world = World(plan.seed, plan.setup, (*listeners, tally))
    findings: tuple[Finding, ...] = ()
    violated, excused = None, ""
    try:
        Striking(world, plan.troubles)
        world.begin()
        world.run(plan.setup.safety_ms)
        excused = must_recover(world)
        _calm(world, excused)
        findings = judge.findings(world)
        _convict(findings, excused)
    except Violation as violation:
        violated = Violated(violation.invariant, violation.words, world.timeline.now)
    except Defect as defect:
        violated = Violated("defect", str(defect), world.timeline.now)
    timeline = world.timeline
    world.close()
    return Outcome(
        plan, timeline.trace, violated, tally, findings, excused, timeline.events, timeline.now
    )


def _calm(world: World, excused: str) -> None:
    """The liveness phase. Raises `Violation` where it does not come right in time (6)."""
    world.heal()
    began = world.timeline.now
    heard = len(world.lines)
    end = began + world.setup.calm_ms
    missing = "no payment was settled"
    while missing and world.timeline.now < end:
        world.run(min(end, world.timeline.now + _LOOK_MS))
        missing = _missing(world, began, heard)
    if missing and not excused:
        raise Violation("6 liveness", f"{missing} in {world.setup.calm_ms / 1000:.0f} s of calm")


def _missing(world: World, began: float, heard: int) -> str:
    """What has not come right yet, "" when all has."""
    if not any(
        isinstance(line, Heard) and line.result in SETTLED and line.intended_ms >= began
        for line in world.lines[heard:]
    ):
        return "no payment was settled"
    for terminal in world.terminals:
        terminal.stop()
    busy = [terminal.name for terminal in world.terminals if not terminal.idle]
    if busy:
        return f"{', '.join(busy)} still wait"
    return judge.converged(world)


def _convict(findings: Sequence[Finding], excused: str) -> None:
    """What the judges of the drills found. Raises `Violation`."""
    for finding in findings:
        if finding.verdict is Verdict.FAIL:
            raise Violation(finding.checker, "; ".join(finding.problems[:3]))
        if finding.verdict is Verdict.UNKNOWN and not excused:
            words = "; ".join((*finding.problems, *finding.notes)[:3])
            raise Violation(finding.checker, f"cannot be told: {words}")
