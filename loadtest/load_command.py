"""`kessai load`: terminals pay at a running cluster, in an open model, and the run is judged."""

from __future__ import annotations

import datetime
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, NoReturn

import click
import msgspec
from rich.console import Console

from deploy.cli.options import cluster_of, told, topology_option
from deploy.lab.processes import HOME
from deploy.topology import Topology
from loadtest import business_date, directory, history_file
from loadtest.business_date import JST
from loadtest.clocks import on_one_clock
from loadtest.drill.show import progress_line
from loadtest.generator import Generator, GeneratorFailed
from loadtest.interrupting import both_interrupt
from loadtest.load_options import Wanted, Wanting
from loadtest.load_plan import LoadPlan, Progress
from loadtest.locust_command import STATISTICS, Crew, environment, web, worker_away
from loadtest.measure import Figures, NothingMeasured, measure
from loadtest.profiles.comparison import read_own, table
from loadtest.profiles.missing_node import one_less
from loadtest.profiles.thresholds import Breaking, Broke, Limits, judge

_MET: Final = 0
_NOT_MET: Final = 1
_COULD_NOT_RUN: Final = 2
_INTERRUPTED: Final = 130
_KNOCK_S: Final = 1.0
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@click.command(cls=Wanting)
@topology_option
def load(topology: Topology, wanted: Wanted) -> None:
    """Let terminals pay at a running cluster (see `kessai up`), in an open model.

    Exit status 0: all limits were met, 1: one was not, 2: it could not run, 130: interrupted.
    """
    with _status_2(), told():
        _knock(topology)
        if wanted.crew.workers:
            _check_free(wanted.crew)
        now = datetime.datetime.now(JST)
        folder = HOME / "load" / f"{now:%Y%m%d-%H%M%S}"
        plan = _plan(topology, wanted, folder.resolve(), now)
        if wanted.web_port is not None:
            _become_web_page(plan, folder, wanted.web_port)
        _say(wanted)
        cluster = cluster_of(topology)
        breaking = Breaking(wanted.limits, wanted.profile.curve)
        missing = one_less(cluster, click.echo) if wanted.profile.node_down else nullcontext("")
        try:
            with both_interrupt(), missing:
                interrupted = not _run(plan, wanted, folder, breaking)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        try:
            met = _tell(plan, wanted, folder, breaking.found)
        except (NothingMeasured, OSError):
            if not interrupted:
                raise
    if interrupted:
        click.echo("interrupted: the figures are those of the time until then", err=True)
        sys.exit(_INTERRUPTED)
    sys.exit(_MET if met else _NOT_MET)


def _run(plan: LoadPlan, wanted: Wanted, folder: Path, breaking: Breaking) -> bool:
    """Let the load run to its end; False if it was interrupted, and drained after that."""

    def hear(second: Progress) -> None:
        if second.at_s:  # workers may still be on their way
            click.echo(progress_line(second))
        if wanted.profile.until_broken:
            breaking.hear(second)

    with Generator(plan, folder, hear, crew=wanted.crew, files=wanted.files) as running:
        try:
            running.wait(until=lambda: breaking.found is not None)
        except KeyboardInterrupt:
            click.echo("stopping: what is under way may finish")
            running.stop()
            with suppress(GeneratorFailed):  # it had hardly begun
                running.wait()
            return False
    return True


def _tell(plan: LoadPlan, wanted: Wanted, folder: Path, broke: Broke | None) -> bool:
    """Print the figures and the judgement; True if all limits were met."""
    kept = sorted(folder.glob("history-load*.ndjson"))
    figures = measure(on_one_clock([history_file.read([each]) for each in kept]))
    console = Console(highlight=False)
    console.print()
    console.print(table(read_own(folder / f"{STATISTICS}.json"), figures))
    click.echo(
        f"\n{figures.slots:,} slots: {figures.approved:,} approved, {figures.declined:,} declined, "
        f"{figures.refused:,} refused, {figures.unknown_at_end:,} unknown, "
        f"{figures.unserved:,} not served"
    )
    met = (
        _tell_ramp(wanted, broke)
        if wanted.profile.until_broken
        else _tell_limits(wanted.limits, figures)
    )
    click.echo(f"history: {', '.join(map(str, kept))}")
    return met


def _tell_limits(limits: Limits, figures: Figures) -> bool:
    checks = judge(limits, figures)
    for check in checks:
        click.echo(
            f"{'ok' if check.met else 'NO':4}{check.what}: {check.value:,.0f}{check.unit}, "
            f"limit {check.limit:,.0f}{check.unit}"
        )
    return all(check.met for check in checks)


def _tell_ramp(wanted: Wanted, broke: Broke | None) -> bool:
    if broke is None:
        click.echo(f"ok  it held up to {wanted.profile.curve.highest:,.0f}/s, its highest rate")
        return True
    met = broke.rate >= wanted.lowest_break
    floor = f", limit {wanted.lowest_break:,.0f}/s" if wanted.lowest_break else ""
    click.echo(
        f"{'ok' if met else 'NO':4}broke at {broke.rate:,.0f}/s, {broke.at_s:.0f} s from the "
        f"beginning{floor}: {broke.why}"
    )
    return met


def _say(wanted: Wanted) -> None:
    """What is about to run."""
    profile = wanted.profile
    click.echo(
        f"{profile.name}: {profile.about}\n{profile.curve.slots:,.0f} slots are due in "
        f"{profile.duration_s:,.0f} s, up to {profile.curve.highest:,.0f}/s, from "
        f"{profile.terminals:,} terminals, seed {wanted.seed}"
    )
    if wanted.crew.away:
        click.echo(
            f"waiting for {wanted.crew.away} workers on other machines; there, in a copy of this "
            f"project:\n  {worker_away(wanted.crew)}"
        )


def _plan(topology: Topology, wanted: Wanted, folder: Path, now: datetime.datetime) -> LoadPlan:
    curve = wanted.profile.curve
    return LoadPlan(
        run=folder.name,
        endpoints=directory.endpoints(topology),
        sites=directory.sites(topology),
        paths=directory.paths(topology),
        history=str(folder / "history-load.ndjson"),
        rate=curve.highest,
        terminals=wanted.profile.terminals,
        seed=wanted.seed,
        tag=_tag(),
        business_date=business_date.of(now),
        pattern=wanted.pattern,
        duration_s=wanted.profile.duration_s,
        controlled=wanted.web_port is None,
        curve=curve,
        processes=max(1, wanted.crew.workers),
    )


def _knock(topology: Topology) -> None:
    """Raises `click.ClickException` where nobody listens at any of the cluster's addresses."""
    for endpoint in directory.endpoints(topology):
        host, _, port = endpoint.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
        except OSError:
            continue
        return
    raise click.ClickException(f"nobody answers for {topology.cluster}: start it with `kessai up`")


def _check_free(crew: Crew) -> None:
    """Raises `click.ClickException` where the master could not listen."""
    try:
        socket.create_server((crew.host, crew.port)).close()
    except OSError as problem:
        where = f"{crew.host}:{crew.port}"
        raise click.ClickException(
            f"workers could not be met at {where} (--master-host, --master-port): {problem}"
        ) from problem


def _become_web_page(plan: LoadPlan, folder: Path, port: int) -> NoReturn:
    """Locust takes this process over: whatever ends it, nothing is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    plan_file = folder.resolve() / "load-plan.json"
    plan_file.write_bytes(msgspec.json.encode(plan))
    click.echo(f"Locust's page: http://127.0.0.1:{port}   (Ctrl-C ends it)")
    sys.stdout.flush()
    command = web(plan_file, plan.terminals, "127.0.0.1", port)
    surroundings = environment(folder)
    os.chdir(folder)
    os.execve(command[0], command, surroundings)


@contextmanager
def _status_2() -> Iterator[None]:
    """Whatever keeps it from running becomes one line and exit status 2."""
    try:
        yield
    except (GeneratorFailed, NothingMeasured, history_file.HistoryError, OSError) as problem:
        click.echo(f"Error: {problem}", err=True)
    except click.ClickException as problem:
        problem.show()
    else:
        return
    sys.exit(_COULD_NOT_RUN)


def _tag() -> str:
    """Sets this run's terminals apart from those of earlier runs: seconds, to base 36."""
    left, tag = int(time.time()), ""
    while left:
        left, digit = divmod(left, 36)
        tag = _BASE36[digit] + tag
    return tag
