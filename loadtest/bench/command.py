"""`kessai bench`: starts what is measured, measures, prints, stops it again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from deploy.cli import told, topology_option
from deploy.lab.processes import HOME, Cluster
from deploy.topology import Topology
from loadtest.bench.echo import loop_factory
from loadtest.bench.load import BenchError
from loadtest.bench.rounds import Comparison, Measured, Spread, Target, compare

POSITIVE: Final = click.IntRange(min=1)


@click.command("bench")
@click.option(
    "--rounds", type=POSITIVE, default=5, show_default=True, help="Turns of each comparison."
)
@click.option("--seconds", default=5.0, show_default=True, help="Length of one round.")
@click.option("--warm-up", default=2.0, show_default=True, help="Seconds not counted, each target.")
@click.option("--in-flight", multiple=True, type=POSITIVE, default=(64, 256), show_default=True)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(["unary", "stream"]),
    default=("unary", "stream"),
    show_default=True,
)
@topology_option
@click.option(
    "--front",
    type=float,
    default=None,
    metavar="MS",
    help="Only a node's front, over an engine that answers every MS milliseconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Every round as JSON on standard output.")
def bench(
    rounds: int,
    seconds: float,
    warm_up: float,
    in_flight: Sequence[int],
    modes: Sequence[str],
    topology: Topology,
    front: float | None,
    as_json: bool,
) -> None:
    """Settlements beside a no-op echo on the same server stack, with the same client, in turns."""
    with (
        _echo() as base,
        _cluster(topology) if front is None else _front(front) as tried,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        try:
            comparisons = runner.run(
                compare(
                    base,
                    tried,
                    modes=modes,
                    in_flight=in_flight,
                    rounds=rounds,
                    seconds=seconds,
                    warm_up=warm_up,
                    say=_say,
                )
            )
        except BenchError as problem:
            raise click.ClickException(str(problem)) from problem
    if as_json:
        click.echo(json.dumps([each.as_json() for each in comparisons], indent=2))
    else:
        _print(comparisons, base.name, tried.name)


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _echo() -> Iterator[Target]:
    with _server("loadtest.bench.echo") as (pid, address):
        yield Target("echo", address, {"server": pid})


@contextmanager
def _front(burst_ms: float) -> Iterator[Target]:
    with _server("loadtest.bench.front", str(burst_ms)) as (pid, address):
        yield Target("front", address, {"server": pid})


@contextmanager
def _server(module: str, *arguments: str) -> Iterator[tuple[int, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise click.ClickException(f"{module} did not start")
        yield process.pid, f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _cluster(topology: Topology) -> Iterator[Target]:
    # Beside the data of other clusters, not in /tmp: that may be memory, where an fsync is free.
    HOME.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=HOME) as folder,
        told(),
        Cluster(topology, Path(folder), owned=True, say=_say) as cluster,
    ):
        leader = cluster.start()
        processes = {}
        for name in cluster.terminal_endpoints():
            pid = cluster.pid(name)
            if pid is None:
                raise click.ClickException(f"{name} is not running")
            processes["leader" if name == leader else f"follower {name}"] = pid

        def counters() -> tuple[int, int]:
            status = cluster.statuses()[leader]
            if status is None:
                raise BenchError(f"{leader}, which led, does not answer")
            if not status.serving:
                raise BenchError(f"{leader} no longer serves as {status.role}: {status.reason}")
            return status.settled, status.fsyncs

        yield Target("settlement", cluster.terminal_endpoints()[leader], processes, counters)


def _print(comparisons: Sequence[Comparison], base: str, tried: str) -> None:
    click.echo("rates are answers a second: median (least to greatest) of the rounds")
    for each in comparisons:
        ratio = each.ratio
        click.echo(f"\n{each.mode}, {each.in_flight} in flight")
        click.echo(f"  {base:<12}{_row(each.base)}")
        click.echo(f"  {tried:<12}{_row(each.tried)}")
        click.echo(f"  {'ratio':<12}{ratio.median:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})")
        fsyncs = [round_.settlements_per_fsync for round_ in each.tried]
        known = [value for value in fsyncs if value is not None]
        if known:
            click.echo(f"  settlements a fsync of the leader: {Spread.of(known).median:.1f}")
        click.echo(f"  processor time an answer, {base}: {_cpu(each.base)}")
        click.echo(f"  processor time an answer, {tried}: {_cpu(each.tried)}")


def _row(rounds: Sequence[Measured]) -> str:
    rate = Spread.of([each.rate for each in rounds])
    p50 = Spread.of([each.p50_ms for each in rounds]).median
    p99 = Spread.of([each.p99_ms for each in rounds]).median
    rates = f"{rate.median:,.0f} ({rate.least:,.0f} to {rate.greatest:,.0f})"
    return f"{rates:<28}p50 {p50:.1f} ms  p99 {p99:.1f} ms"


def _cpu(rounds: Sequence[Measured]) -> str:
    spent = {
        name: Spread.of([each.cpu_us[name] for each in rounds]).median for name in rounds[0].cpu_us
    }
    each = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in spent.items())
    return f"{sum(spent.values()):.0f} us ({each})"
