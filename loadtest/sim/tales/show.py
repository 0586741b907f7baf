"""A campaign in words: a line while it runs, the sums, and how to see again what was violated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loadtest.sim.campaign import Campaign, Day
from loadtest.sim.play import Outcome, Violated
from loadtest.sim.weather.troubles import Plan, tell_plan


def progress_line(campaign: Campaign) -> str:
    """How far it has come."""
    return (
        f"{campaign.elapsed_s:6.0f} s  {campaign.days:6,} days  "
        f"{len(campaign.violations):3} violated  {campaign.tally.line()}"
    )


def heading(seed: int, violation: Violated) -> str:
    """What was violated, where, and how."""
    return (
        f"VIOLATION of {violation.invariant}, seed {seed}, at {violation.at_ms / 1000:.3f} s: "
        f"{violation.words}"
    )


def again(seed: int) -> str:
    """The command that plays this day again, made as small as it goes, and tells its story."""
    return f"kessai sim --seed {seed} --shrink --story"


def violated(day: Day, smaller: Plan | None) -> list[str]:
    """One violation: what, where, in how small a plan (if that was looked for), and the command."""
    assert day.violation is not None
    plan = () if smaller is None else tell_plan(smaller)
    return [
        heading(day.seed, day.violation),
        *(f"    {line}" for line in plan),
        f"    again: {again(day.seed)}",
    ]


def summary(campaign: Campaign) -> list[str]:
    """The sums at the end."""
    speed = campaign.virtual_ms / 1000 / campaign.elapsed_s if campaign.elapsed_s else 0.0
    verdict = (
        f"{len(campaign.violations)} of {campaign.days:,} days violated what must always hold"
        if campaign.violations
        else f"{campaign.days:,} days, and nothing was violated"
    )
    return [
        *campaign.tally.table(),
        f"{campaign.events:,} events in {campaign.virtual_ms / 3_600_000:,.1f} hours of virtual "
        f"time; {speed:,.0f} times as fast as the clock; {campaign.excused:,} days ended with too "
        f"few disks to come right again",
        verdict,
    ]


def ended(outcome: Outcome) -> list[str]:
    """How one day ended."""
    if outcome.violation is not None:
        last = heading(outcome.plan.seed, outcome.violation)
    elif outcome.excused:
        last = f"nothing was violated; it need not come right again: {outcome.excused}"
    else:
        last = "nothing was violated"
    return [
        *outcome.tally.table(),
        f"{outcome.events:,} events, {outcome.virtual_ms / 1000:.1f} s of virtual time, "
        f"trace {outcome.trace}",
        last,
    ]


def document(campaign: Campaign, smaller: dict[int, Plan]) -> dict[str, Any]:
    """A campaign for machines; `smaller`: the shrunk plans by seed."""
    return {
        "days": campaign.days,
        "excused": campaign.excused,
        "events": campaign.events,
        "virtual_ms": campaign.virtual_ms,
        "elapsed_s": campaign.elapsed_s,
        "tally": campaign.tally.line(),
        "coverage": campaign.coverage.document(),
        "violations": [
            {
                "seed": day.seed,
                **(asdict(day.violation) if day.violation else {}),
                "plan": tell_plan(smaller[day.seed]) if day.seed in smaller else [],
                "again": again(day.seed),
            }
            for day in campaign.violations
        ],
    }


def one_document(outcome: Outcome, story: Sequence[str]) -> dict[str, Any]:
    """One day for machines."""
    return {
        "seed": outcome.plan.seed,
        "plan": tell_plan(outcome.plan),
        "trace": outcome.trace,
        "violation": asdict(outcome.violation) if outcome.violation else None,
        "excused": outcome.excused,
        "events": outcome.events,
        "virtual_ms": outcome.virtual_ms,
        "story": list(story),
    }
