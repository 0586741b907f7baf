"""`kessai sim`: bad days in virtual time, many of them or one, and the bugs planted to be found."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

_POSITIVE: Final = click.IntRange(min=1)
_SEEDS: Final = 100


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
    # Here, not above: a day's programs take a while to import, and no other command needs them.
    from loadtest.sim import runs

    if only is not None:
        sys.exit(runs.one(only, story=story, smaller=shrink, as_json=as_json))
    if planted:
        sys.exit(runs.planted(bugs, first, seeds, jobs, write=write, as_json=as_json))
    count = _SEEDS if seeds is None and minutes is None else seeds
    sys.exit(runs.many(count, first, jobs, minutes, coverage=coverage, as_json=as_json))
