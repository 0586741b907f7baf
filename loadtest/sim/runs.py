"""What `kessai sim` does and says: a campaign, one day, or the planted bugs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from loadtest.sim import campaign
from loadtest.sim.campaign import Campaign, Day
from loadtest.sim.planted import catalogue, matrix
from loadtest.sim.play import play
from loadtest.sim.tales import show
from loadtest.sim.tales.story import Story
from loadtest.sim.weather.days import draw
from loadtest.sim.weather.troubles import Plan, tell_plan

_BUDGET: Final = 300
"""Seeds for each planted bug, at most."""
_SHRUNK: Final = 3
"""So many violations are made small at the end of a campaign."""
_DAYS_TO_SHRINK: Final = 60
_EVERY_S: Final = 5.0
_DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"


def many(
    seeds: int | None,
    first: int,
    jobs: int,
    minutes: float | None,
    *,
    coverage: bool,
    as_json: bool,
) -> int:
    """Play many days, without end if `seeds` is None. Returns the exit status: 1 if anything was
    violated."""
    played = campaign.run(
        campaign.seeds(first, seeds), jobs=jobs, minutes=minutes, on_day=_progress()
    )
    return _told(played, coverage=coverage, as_json=as_json)


def _progress() -> Callable[[Campaign, Day], None]:
    """Says how far it has come every few seconds, and what was violated at once."""
    said_s = 0.0

    def on_day(played: Campaign, day: Day) -> None:
        nonlocal said_s
        if day.violation is not None:
            click.echo(show.heading(day.seed, day.violation), err=True)
        if played.elapsed_s - said_s >= _EVERY_S:
            said_s = played.elapsed_s
            click.echo(show.progress_line(played), err=True)

    return on_day


def _told(played: Campaign, *, coverage: bool, as_json: bool) -> int:
    smaller: dict[int, Plan] = {}
    for day in played.violations[:_SHRUNK]:
        if day.violation is not None and day.violation.invariant != campaign.FAULT:
            click.echo(f"making the day of seed {day.seed} smaller", err=True)
            smaller[day.seed] = campaign.shrunk(draw(day.seed), day.violation, _DAYS_TO_SHRINK)
    if as_json:
        click.echo(json.dumps(show.document(played, smaller), indent=2))
        return 1 if played.violations else 0
    for day in played.violations:
        for line in show.violated(day, smaller.get(day.seed)):
            click.echo(line)
    for line in show.summary(played):
        click.echo(line)
    if coverage:
        missing = [f"not reached: {each}" for each in played.coverage.unreached()]
        for line in ("", *played.coverage.table(), *missing):
            click.echo(line)
    return 1 if played.violations else 0


def one(seed: int, *, story: bool, smaller: bool, as_json: bool) -> int:
    """Play one day and tell of it. Returns the exit status: 1 if it was violated."""
    plan = draw(seed)
    outcome = play(plan)
    if smaller and outcome.violation is not None:
        plan = campaign.shrunk(plan, outcome.violation, _DAYS_TO_SHRINK)
    teller = Story()
    if story or plan is not outcome.plan:
        outcome = play(plan, (teller,) if story else ())
    if as_json:
        click.echo(json.dumps(show.one_document(outcome, teller.lines()), indent=2))
    else:
        for line in (*tell_plan(plan), *teller.lines(), *show.ended(outcome)):
            click.echo(line)
    return 1 if outcome.violation is not None else 0


def planted(
    bugs: tuple[str, ...], first: int, seeds: int | None, jobs: int, *, write: bool, as_json: bool
) -> int:
    """Plant bugs, all or those named, and look for each on at most `seeds` days. Returns the exit
    status: 1 if one was not found. Raises `click.UsageError` for a bug there is not."""
    budget = _BUDGET if seeds is None else seeds
    known = [plant.name for plant in catalogue.PLANTS]
    unknown = sorted(set(bugs) - set(known))
    if unknown:
        raise click.UsageError(f"no bug {', '.join(unknown)}; there are {', '.join(known)}")
    if write and bugs:
        raise click.UsageError("--write is for the table of all bugs")
    rows = matrix.matrix(
        [name for name in known if not bugs or name in bugs],
        first=first,
        budget=budget,
        jobs=jobs,
        on_row=lambda row: click.echo("  ".join(row.cells), err=True),
    )
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        for line in matrix.table(rows):
            click.echo(line)
    if write:
        try:
            matrix.MARKERS.update(_DOCUMENT, matrix.markdown(rows))
        except (OSError, ValueError) as problem:
            raise click.UsageError(f"{_DOCUMENT}: {problem}") from problem
    return 0 if all(row.invariant for row in rows) else 1
