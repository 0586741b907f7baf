"""`kessai bench`: starts what is measured, measures, prints, stops it again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import click

from deploy.cli.options import TopologyFile, told
from deploy.topology import Topology
from loadtest.bench import grounds, show
from loadtest.bench.catch_up import CatchUp, Wanted, catch_up
from loadtest.bench.echo import loop_factory
from loadtest.bench.load import BenchError
from loadtest.bench.rounds import MODES, Compared, Lengths, Target, compare

POSITIVE: Final = click.IntRange(min=1)
CATCH_UP: Final = "catch-up"


@click.command("bench")
@click.option(
    "--rounds", type=POSITIVE, default=5, show_default=True, help="Turns of each comparison."
)
@click.option("--seconds", default=5.0, show_default=True, help="Length of one round.")
@click.option("--warm-up", default=2.0, show_default=True, help="Seconds not counted, each time.")
@click.option("--in-flight", multiple=True, type=POSITIVE, default=(64, 256), show_default=True)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice([*MODES, CATCH_UP]),
    default=tuple(MODES),
    show_default=True,
    help="catch-up: a standby node returns under load, from the log and by snapshot.",
)
@click.option(
    "--topology",
    "-t",
    "topologies",
    type=TopologyFile(),
    multiple=True,
    default=("one-site-3node", "renewed-3node"),
    show_default=True,
    help="The clusters to compare; catch-up takes the last one.",
)
@click.option(
    "--front",
    type=float,
    default=None,
    metavar="MS",
    help="Only a node's front, over an engine that answers every MS milliseconds.",
)
@click.option("--rate", default=200.0, show_default=True, help="catch-up: steady payments/s.")
@click.option("--away", default=20.0, show_default=True, help="catch-up: seconds away.")
@click.option("--window", default=10.0, show_default=True, help="catch-up: seconds before, after.")
@click.option("--returns", type=POSITIVE, default=3, show_default=True, help="catch-up: each way.")
@click.option(
    "--log-keep-entries",
    type=POSITIVE,
    default=100,
    show_default=True,
    help="catch-up: what the log keeps in the part with snapshots.",
)
@click.option("--json", "as_json", is_flag=True, help="Every round as JSON on standard output.")
def bench(
    rounds: int,
    seconds: float,
    warm_up: float,
    in_flight: Sequence[int],
    modes: Sequence[str],
    topologies: Sequence[Topology],
    front: float | None,
    rate: float,
    away: float,
    window: float,
    returns: int,
    log_keep_entries: int,
    as_json: bool,
) -> None:
    """Settlements beside a no-op echo on the same server stack, with the same client, in turns."""
    rates = [mode for mode in modes if mode != CATCH_UP]
    compared: Compared | None = None
    caught_up: CatchUp | None = None
    wanted = Wanted(rate, window, away, max(in_flight), returns, log_keep_entries)
    with told(), _refusing():
        if rates:
            with ExitStack() as started, asyncio.Runner(loop_factory=loop_factory()) as runner:
                targets = [started.enter_context(grounds.echo())]
                targets += _tried(started, topologies, front)
                compared = runner.run(
                    compare(
                        targets,
                        modes=rates,
                        in_flight=in_flight,
                        lengths=Lengths(rounds, seconds, warm_up),
                        say=_say,
                    )
                )
        if CATCH_UP in modes:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                caught_up = runner.run(catch_up(topologies[-1], wanted, _say))
    if as_json:
        document = {
            "rates": compared.as_json() if compared else None,
            "catch_up": caught_up.as_json() if caught_up else None,
        }
        click.echo(json.dumps(document, indent=2))
        return
    for line in show.compared(compared) if compared else ():
        click.echo(line)
    for line in show.catch_up(caught_up) if caught_up else ():
        click.echo(line)


def _tried(
    started: ExitStack, topologies: Sequence[Topology], front: float | None
) -> Iterator[Target]:
    if front is not None:
        yield started.enter_context(grounds.front(front))
        return
    for name, topology in grounds.named(topologies).items():
        yield grounds.target(started.enter_context(grounds.of_its_own(topology, _say)), name)


@contextmanager
def _refusing() -> Iterator[None]:
    """A measurement that cannot be made becomes one line and exit status 1."""
    try:
        yield
    except BenchError as problem:
        raise click.ClickException(str(problem)) from problem


def _say(line: str) -> None:
    click.echo(line, err=True)
