"""One seed, played: its troubles, then the calm in which everything must come right again.

First the safety phase, in which anything goes and only what must always hold is asked, after every
step. Then the liveness phase: faults stop, and within a bounded time a payment must be settled,
everybody must count again, and all replicas must hold one log (docs/protocol.md, "What must always
hold"). At the end the judges of the drills read what the terminals heard and what the replicas
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.checkers.finding import Finding, Verdict
from loadtest.history import SETTLED, Heard
from loadtest.sim import absence, judge
from loadtest.sim.happening import Listener
from loadtest.sim.loop import Defect
from loadtest.sim.tales.tally import Tally
from loadtest.sim.weather.prospects import must_recover
from loadtest.sim.weather.striking import Striking
from loadtest.sim.weather.troubles import Plan
from loadtest.sim.witness import Violation
from loadtest.sim.world import World

_LOOK_MS: Final = 250.0

LIVENESS: Final = "6 liveness"
"""The name of the invariant that something comes right in time."""

_NEEDS_A_LEADER: Final = "lost_approval"
"""This judge reads ledgers, which show what was settled only once somebody leads again."""


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
    """The liveness phase. Raises `Violation` where it does not come right in time (6).

    First everybody is there again, then (on some days) a quorum only, then everybody.
    """
    world.heal()
    try:
        _await(world, lambda since: _served(world, since) or judge.uncounted(world))
        if leave := absence.draw(world):
            leave()
            _await(world, lambda since: _served(world, since))
            world.heal()
            _await(world, lambda since: judge.uncounted(world))
        for terminal in world.terminals:
            terminal.stop()
        _await(world, lambda since: _waiting(world) or judge.converged(world))
    except Violation as violation:
        if not excused or violation.invariant != LIVENESS:
            raise


def _await(world: World, missing: Callable[[float], str]) -> None:
    """Let time pass until nothing is missing since now. Raises `Violation`."""
    began = world.timeline.now
    end = began + world.setup.calm_ms
    while words := missing(began):
        if world.timeline.now >= end:
            raise Violation(LIVENESS, f"{words} in {world.setup.calm_ms / 1000:.0f} s of calm")
        world.run(min(end, world.timeline.now + _LOOK_MS))


def _served(world: World, since: float) -> str:
    """Has a payment been settled that was begun since? The lines are in the order of time."""
    for line in reversed(world.lines):
        if isinstance(line, Heard):
            if line.heard_ms < since:
                break
            if line.result in SETTLED and line.intended_ms >= since:
                return ""
    return "no payment was settled"


def _waiting(world: World) -> str:
    busy = [terminal.name for terminal in world.terminals if not terminal.idle]
    return f"{', '.join(busy)} still wait" if busy else ""


def _convict(findings: Sequence[Finding], excused: str) -> None:
    """What the judges of the drills found. Raises `Violation`."""
    for finding in findings:
        if excused and finding.checker == _NEEDS_A_LEADER:
            continue
        if finding.verdict is Verdict.FAIL:
            raise Violation(finding.checker, "; ".join(finding.problems[:3]))
        if finding.verdict is Verdict.UNKNOWN and not excused:
            words = "; ".join((*finding.problems, *finding.notes)[:3])
            raise Violation(finding.checker, f"cannot be told: {words}")
