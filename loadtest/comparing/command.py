"""`kessai compare`: what the renewal delivers, shown by the same drills on both systems."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from deploy.lab.ground import PROJECT
from deploy.lab.processes import HOME
from deploy.topology import find as find_topology
from loadtest.comparing import publishing
from loadtest.comparing.plan import Plan, PlanError, System, chosen
from loadtest.comparing.playing import Played, Real
from loadtest.comparing.table import WIDTH, exit_status, show
from loadtest.drill.catalogue import catalogue, find
from loadtest.drill.command import Playing
from loadtest.drill.grounds import go_to
from loadtest.report import page
from loadtest.report.comparison import Comparison

README: Final = PROJECT / "README.md"
PICTURE: Final = PROJECT / "docs" / "before-and-after.png"


@click.command(cls=Playing)
@click.option("--quick", is_flag=True, help="Eight telling drills, in less than ten minutes.")
@click.option(
    "--drill", "names", multiple=True, metavar="NAME", help="Only this one; may be repeated."
)
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=150.0,
    show_default=True,
    help="Slots a second, in every drill.",
)
@click.option("--before", default="legacy-2node", show_default=True, metavar="TOPOLOGY")
@click.option("--after", default="renewed-3node", show_default=True, metavar="TOPOLOGY")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("comparison.html"),
    show_default=True,
    help="The page; the JSON of the same is written beside it.",
)
@click.option(
    "--write", is_flag=True, help="Also bring README.md up to date: its table, and its picture."
)
def compare(
    quick: bool,
    names: tuple[str, ...],
    repeat: int,
    seed: int,
    rate: float,
    before: str,
    after: str,
    out: Path,
    write: bool,
) -> None:
    """Play the same drills, with the same seed, load and timings, on the system before the renewal
    and on the one after it, and lay both beside each other.

    All of it is played in network namespaces. Without --quick or --drill: every drill that can be
    compared. Interrupted, it heals, stops, and still writes what was played until then.

    Exit status 0: everything was played and judged on both, and AFTER passed (what BEFORE fails is
    a finding); 1: AFTER failed something; 2: something is inconclusive, or was not played; 3: it
    could not begin (a wrong command line, not possible here); 130: it was interrupted.
    """
    plan = _plan(quick, names, before, after, seed, repeat, rate)
    # Inside there is no way to where packages come from: go with a drill that needs the most.
    neediest = max((each.drill for each in plan.playings()), key=lambda it: len(it.needs))
    go_to(neediest, click.echo)
    played = Played(plan)
    played.play(Real(plan, HOME / "compare", HOME / "evidence", click.echo), click.echo)
    comparison = played.comparison()
    if comparison.lines:
        console = Console(highlight=False)
        console.width = max(console.width, WIDTH)
        show(console, comparison)
        page.write(comparison, out)
        click.echo(f"{out}, {out.with_suffix('.json')}: {len(comparison.reports)} playings")
        if write and not played.unplayed:  # an interruption is in there, too
            _publish(comparison, out)
    if played.interrupted:
        raise KeyboardInterrupt
    sys.exit(exit_status(comparison))


def _publish(comparison: Comparison, made: Path) -> None:
    """Into the documents of this copy of the project."""
    today = datetime.datetime.now().astimezone().date()
    try:
        publishing.MARKERS.update(README, publishing.lines(comparison, today))
    except (OSError, ValueError) as problem:
        raise click.ClickException(f"{README}: {problem}") from problem
    click.echo(f"{README}: the table is brought up to date")
    try:
        publishing.photograph(made, PICTURE)
        click.echo(f"{PICTURE}: a picture of the page")
    except publishing.NoPicture as problem:
        click.echo(f"no picture: {problem}", err=True)


def _plan(
    quick: bool,
    names: tuple[str, ...],
    before: str,
    after: str,
    seed: int,
    repeat: int,
    rate: float,
) -> Plan:
    if before == after:
        raise click.UsageError("--before and --after are the same topology")
    # A drill of one's own is found by its file, as `kessai drill run` finds it.
    asked = {find(name).name: name for name in names}
    known = {drill.name: drill for drill in (*catalogue(), *map(find, names))}
    try:
        drills = chosen(tuple(known.values()), tuple(asked), quick=quick)
    except PlanError as problem:
        raise click.ClickException(str(problem)) from problem
    if not drills:
        raise click.ClickException("the catalogue has no drill that can be compared")
    systems = [System(name, find_topology(name)) for name in (before, after)]
    return Plan(drills, systems[0], systems[1], seed, repeat, rate, asked)
