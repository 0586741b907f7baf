"""The commands that use, try and doubt a cluster, from `demo` to `bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from deploy.cli.options import told
from deploy.lab.processes import HOME
from deploy.topology import Topology, TopologyError
from deploy.topology import find as find_topology
from loadtest.bench.command import bench
from loadtest.counter import inquire, pay
from loadtest.drill.catalogue import Drill, DrillError, Kind, catalogue, find
from loadtest.drill.grounds import CannotBeDone, Ground, go_to, ground_of
from loadtest.drill.runner import Played, Run, Teller, Wanted
from loadtest.drill.show import progress_line, show, show_repeats
from loadtest.drill.verdict import Ruling
from loadtest.generator import GeneratorFailed
from loadtest.interrupting import both_interrupt
from loadtest.load_command import load
from loadtest.model.command import model
from loadtest.report.command import report, verify
from loadtest.sim.command import sim

_EXIT: Final = {Ruling.PASS: 0, Ruling.FAIL: 1, Ruling.INCONCLUSIVE: 2}
_GROUNDS: Final = {
    Kind.PROCESSES: "processes on loopback",
    Kind.NETNS: "each host in a network namespace (netns)",
}
_INTERRUPTED: Final = 130


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
        if topology:  # the record names what it was really played on
            wanted = msgspec.structs.replace(wanted, topology=topology)
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
    try:
        with both_interrupt():
            yield
    except KeyboardInterrupt:
        click.echo("interrupted; healed and stopped", err=True)
        sys.exit(_INTERRUPTED)


def _of(number: int, repeat: int) -> str:
    return f"  ({number + 1} of {repeat})" if repeat > 1 else ""


commands: list[click.Command] = [
    demo,
    pay,
    inquire,
    load,
    drill,
    report,
    verify,
    sim,
    model,
    bench,
]
