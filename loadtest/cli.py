"""The commands that use and try a cluster: demo, pay, inquire, load, drill, sim, model, bench."""

from __future__ import annotations

import datetime
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
import msgspec
from rich.console import Console

from deploy.cli.options import told, topology_option
from deploy.lab.processes import HOME
from deploy.topology import Topology, TopologyError
from deploy.topology import find as find_topology
from loadtest import directory, generator, history_file
from loadtest.arrivals import Pattern
from loadtest.bench.command import bench
from loadtest.counter import JST, inquire, pay
from loadtest.drill.catalogue import Drill, DrillError, Kind, catalogue, find
from loadtest.drill.grounds import CannotBeDone, Ground, go_to, ground_of
from loadtest.drill.runner import Played, Run, Teller, Wanted
from loadtest.drill.show import progress_line, show, show_repeats
from loadtest.drill.verdict import Ruling
from loadtest.generator import Generator, GeneratorFailed
from loadtest.load_plan import LoadPlan
from loadtest.measure import measure
from loadtest.model.command import model
from loadtest.sim.command import sim

_EXIT: Final = {Ruling.PASS: 0, Ruling.FAIL: 1, Ruling.INCONCLUSIVE: 2}
_GROUNDS: Final = {
    Kind.PROCESSES: "processes on loopback",
    Kind.NETNS: "each host in a network namespace (netns)",
}
_INTERRUPTED: Final = 130
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@click.command()
@click.option("--rate", type=float, help="Slots a second; else the drill's own.")
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
def demo(rate: float | None, seed: int) -> None:
    """Thirty seconds of a payment centre that loses its leader, and the verdict.

    Starts etcd and three nodes of its own, lets Locust's terminals pay, kills the leader in the
    middle, checks that nothing was lost or settled twice, and stops everything. Exit status 0 only
    if so.
    """
    drill = find("demo")
    click.echo(f"{drill.title} / {drill.title_ja}\n{drill.about}\n")
    with _ending(), ground_of(drill, _topology(drill, None)) as ground:
        played = _play(drill, ground, rate=rate, seed=seed, root=HOME / "demo")
    show(Console(highlight=False), played)
    sys.exit(_EXIT[played.verdict.ruling])


@click.group()
def drill() -> None:
    """Break a cluster on purpose, under load, and judge what terminals lived through."""


@drill.command("list")
def list_() -> None:
    """What there is to play."""
    for each in catalogue():
        click.echo(
            f"{each.name:24} {each.title} / {each.title_ja}\n"
            f"{'':24} {each.about}\n"
            f"{'':24} {each.topology}, {_GROUNDS[each.ground]}\n"
        )


@drill.command()
@click.argument("name")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--rate", type=float, help="Slots a second; else the drill's own.")
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
@click.option("--topology", help="A file or a name in deploy/topologies; else the drill's own.")
def run(name: str, repeat: int, rate: float | None, seed: int, topology: str | None) -> None:
    """Play the drill NAME (or a .toml file) on a cluster of its own.

    Exit status 0: passed, 1: failed, 2: inconclusive.
    """
    try:
        wanted = find(name)
        go_to(wanted, click.echo)
    except (DrillError, CannotBeDone) as problem:
        raise click.ClickException(str(problem)) from problem
    console = Console(highlight=False)
    played: list[Played] = []
    with _ending(), _told(), ground_of(wanted, _topology(wanted, topology)) as ground:
        for number in range(repeat):
            click.echo(f"{wanted.title} / {wanted.title_ja}" + _of(number, repeat))
            played.append(_play(wanted, ground, rate=rate, seed=seed + number, root=HOME / "drill"))
            show(console, played[-1])
    if repeat > 1:
        show_repeats(console, played)
    sys.exit(max(_EXIT[each.verdict.ruling] for each in played))


@click.command()
@topology_option
@click.option("--rate", default=300.0, show_default=True, help="Slots a second, all together.")
@click.option("--terminals", default=100, show_default=True, type=click.IntRange(1, 5000))
@click.option("--duration", default=30.0, show_default=True, help="Seconds.")
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
@click.option(
    "--pattern",
    type=click.Choice([each.value for each in Pattern]),
    default=Pattern.POISSON.value,
    show_default=True,
)
@click.option("--web", is_flag=True, help="Steer it from Locust's web page instead.")
@click.option("--web-port", default=8089, show_default=True)
def load(
    topology: Topology,
    rate: float,
    terminals: int,
    duration: float,
    seed: int,
    pattern: str,
    web: bool,
    web_port: int,
) -> None:
    """Let terminals pay at a running cluster (see `kessai up`), in an open model.

    Exit status 0: every slot was served and every result is known.
    """
    now = datetime.datetime.now(JST)
    folder = HOME / "load" / f"{now:%Y%m%d-%H%M%S}"
    plan = LoadPlan(
        run=folder.name,
        endpoints=directory.endpoints(topology),
        sites=directory.sites(topology),
        history=str(folder / "history-load.ndjson"),
        rate=rate,
        terminals=terminals,
        seed=seed,
        tag=_tag(),
        business_date=int(f"{now:%Y%m%d}"),
        pattern=Pattern(pattern),
        duration_s=duration,
        controlled=not web,
    )
    if web:
        _become_web_page(plan, folder, web_port)
    with told(), _ending():
        _headless(plan, folder)
    figures = measure(history_file.read([Path(plan.history)]))
    click.echo(
        f"\n{figures.slots:,} slots: {figures.approved:,} approved, {figures.declined:,} declined, "
        f"{figures.refused:,} refused, {figures.unknown_at_end:,} unknown, "
        f"{figures.unserved:,} not served\n"
        f"from the intended start: p50 {figures.p50_ms:,.0f} ms, p99 {figures.p99_ms:,.0f} ms, "
        f"longest gap between answers {figures.longest_gap_ms:,.0f} ms\n"
        f"history: {plan.history}"
    )
    sys.exit(0 if not figures.unserved else 1)


def _headless(plan: LoadPlan, folder: Path) -> None:
    with Generator(plan, folder, lambda progress: click.echo(progress_line(progress))) as running:
        try:
            running.wait()
        except KeyboardInterrupt:
            click.echo("stopping: what is under way may finish")
            running.stop()
            running.wait()


def _become_web_page(plan: LoadPlan, folder: Path, port: int) -> NoReturn:
    """Locust takes this process over: whatever ends it, nothing is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    plan_file = folder.resolve() / "load-plan.json"
    plan_file.write_bytes(msgspec.json.encode(plan))
    click.echo(f"Locust's page: http://127.0.0.1:{port}   (Ctrl-C ends it)")
    sys.stdout.flush()
    command = generator.web(plan_file, "127.0.0.1", port)
    environment = generator.environment(folder)
    os.chdir(folder)
    os.execve(command[0], command, environment)


def _play(drill: Drill, ground: Ground, *, rate: float | None, seed: int, root: Path) -> Played:
    wanted = Wanted(
        seed=seed,
        rate=drill.load.rate if rate is None else rate,
        root=root,
        evidence=HOME / "evidence",
        command=" ".join(["kessai", *sys.argv[1:]]),
    )
    teller = Teller(click.echo, lambda progress: click.echo(progress_line(progress)))
    with told():
        try:
            return Run(drill, ground, wanted, teller).play()
        except GeneratorFailed as problem:
            raise click.ClickException(str(problem)) from problem


def _topology(drill: Drill, other: str | None) -> Topology:
    try:
        return drill.changed(find_topology(other or drill.topology))
    except TopologyError as problem:
        raise click.ClickException(str(problem)) from problem


@contextmanager
def _told() -> Iterator[None]:
    """A ground that does not do what it should becomes one line and exit status 1."""
    try:
        yield
    except CannotBeDone as problem:
        raise click.ClickException(str(problem)) from problem


@contextmanager
def _ending() -> Iterator[None]:
    """Ctrl-C and SIGTERM clear up alike, and leave with status 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    both = (signal.SIGINT, signal.SIGTERM)  # SIGINT, too: a shell's background job ignores it
    before = [signal.signal(each, interrupt) for each in both]
    try:
        yield
    except KeyboardInterrupt:
        click.echo("interrupted; healed and stopped", err=True)
        sys.exit(_INTERRUPTED)
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)


def _tag() -> str:
    """Sets this run's terminals apart from those of earlier runs: seconds, to base 36."""
    left, tag = int(time.time()), ""
    while left:
        left, digit = divmod(left, 36)
        tag = _BASE36[digit] + tag
    return tag


def _of(number: int, repeat: int) -> str:
    return f"  ({number + 1} of {repeat})" if repeat > 1 else ""


commands: list[click.Command] = [demo, pay, inquire, load, drill, sim, model, bench]
