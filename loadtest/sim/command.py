"""`kessai sim`: bad days in virtual time, many of them or one, and the bugs planted to be found."""

from __future__ import annotations

import json
import os
import sys
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

_POSITIVE: Final = click.IntRange(min=1)
_SEEDS: Final = 100
_BUDGET: Final = 300
"""Seeds for each planted bug, at most."""
_SHRUNK: Final = 3
"""So many violations are made small at the end of a campaign."""
_DAYS_TO_SHRINK: Final = 60
_EVERY_S: Final = 5.0
_DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"


@click.command("sim")
@click.option("--seeds", type=_POSITIVE, help=f"How many days to play.  [default: {_SEEDS}]")
@click.option("--from", "first", type=int, default=1, show_default=True, help="The first seed.")
@click.option(
    "--jobs", type=_POSITIVE, default=os.cpu_count() or 1, show_default=True, help="Processes."
)
@click.option("--minutes", type=click.FloatRange(min=0), help="Begin no day after so long.")
@click.option("--seed", "only", type=int, help="Play this one day, and tell more of it.")
@click.option("--story", is_flag=True, help="With --seed: the day in sentences.")
@click.option("--shrink", is_flag=True, help="With --seed: as small as it still goes wrong.")
@click.option("--planted", is_flag=True, help="Plant known bugs, and see how soon each is found.")
@click.option("--bug", "bugs", multiple=True, help="With --planted: only these.")
@click.option("--write", is_flag=True, help="With --planted: put the table into the documents.")
@click.option("--coverage", is_flag=True, help="What was exercised, and what was not.")
@click.option("--json", "as_json", is_flag=True, help="What came of it as JSON.")
def sim(
    seeds: int | None,
    first: int,
    jobs: int,
    minutes: float | None,
    only: int | None,
    story: bool,
    shrink: bool,
    planted: bool,
    bugs: tuple[str, ...],
    write: bool,
    coverage: bool,
    as_json: bool,
) -> None:
    """Play bad days from their seeds: the real programs in a world that loses, delays, repeats,
    crashes and forgets, judged after every step. The same seed is the same day, event by event.

    Exit status 0 if nothing was violated, 1 if something was (of planted bugs: if one was not
    found), 2 if it was not asked for properly.
    """
    if only is None and (story or shrink):
        raise click.UsageError("--story and --shrink are about one day: name it with --seed")
    if only is not None and (planted or seeds is not None or minutes is not None or coverage):
        raise click.UsageError("--seed plays one day by itself")
    if not planted and (write or bugs):
        raise click.UsageError("--write and --bug belong to --planted")
    if planted and (minutes is not None or coverage):
        raise click.UsageError("--planted goes by --seeds")
    if only is not None:
        sys.exit(_one(only, story=story, smaller=shrink, as_json=as_json))
    if planted:
        budget = _BUDGET if seeds is None else seeds
        sys.exit(_planted(bugs, first, budget, jobs, write=write, as_json=as_json))
    count = _SEEDS if seeds is None and minutes is None else seeds
    played = campaign.run(
        campaign.seeds(first, count), jobs=jobs, minutes=minutes, on_day=_progress()
    )
    sys.exit(_told(played, coverage=coverage, as_json=as_json))


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


def _one(seed: int, *, story: bool, smaller: bool, as_json: bool) -> int:
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


def _planted(
    bugs: tuple[str, ...], first: int, budget: int, jobs: int, *, write: bool, as_json: bool
) -> int:
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
            document = matrix.written_into(_DOCUMENT.read_text(), matrix.markdown(rows))
        except (OSError, ValueError) as problem:
            raise click.UsageError(f"{_DOCUMENT}: {problem}") from problem
        _DOCUMENT.write_text(document)
    return 0 if all(row.invariant for row in rows) else 1
