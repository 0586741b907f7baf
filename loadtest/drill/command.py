"""The commands that play drills: `kessai demo`, and all of `kessai drill`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console

from deploy.cli.options import told
from deploy.lab.processes import HOME
from deploy.topology import Topology, TopologyError
from deploy.topology import find as find_topology
from loadtest.drill import document
from loadtest.drill.catalogue import Drill, DrillError, Kind, catalogue, find, path_of
from loadtest.drill.grounds import CannotBeDone, Ground, go_to, ground_of
from loadtest.drill.runner import Played, Run, Wanted
from loadtest.drill.screen import Screen
from loadtest.drill.show import show, show_repeats
from loadtest.drill.template import template
from loadtest.drill.verdict import Ruling, worst
from loadtest.generator import GeneratorFailed
from loadtest.interrupting import both_interrupt

_EXIT: Final = {Ruling.PASS: 0, Ruling.FAIL: 1, Ruling.INCONCLUSIVE: 2}
_INTERRUPTED: Final = 130
_GROUNDS: Final = {
    Kind.PROCESSES: "processes on loopback",
    Kind.NETNS: "each host in a network namespace (netns)",
}


class NotPlayed(click.UsageError):
    """Nothing was played, so there is no verdict."""

    exit_code = 3


class Playing(click.Command):
    """A command whose exit status is a verdict: click's own 2 would be taken for one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As ever, but a wrong command line has the exit status of what was not played."""
        with _not_played():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As ever, but Ctrl-C, SIGTERM and whatever keeps it from being played have their own."""
        try:
            with both_interrupt(), _not_played():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted; healed and stopped", err=True)
            sys.exit(_INTERRUPTED)


@contextmanager
def _not_played() -> Iterator[None]:
    try:
        with told():
            yield
    except click.ClickException as problem:
        at = problem.ctx if isinstance(problem, click.UsageError) else None
        raise NotPlayed(problem.format_message(), at) from problem
    except (CannotBeDone, DrillError, GeneratorFailed, OSError, TopologyError) as problem:
        raise NotPlayed(str(problem)) from problem


@click.command(cls=Playing)
@click.option("--rate", type=float, help="Slots a second; else the drill's own.")
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
def demo(rate: float | None, seed: int) -> None:
    """Thirty seconds of a payment centre that loses its leader, and the verdict.

    Starts etcd and three nodes of its own, lets Locust's terminals pay, kills the leader in the
    middle, checks that nothing was lost or settled twice, and stops everything. Exit status 0 only
    if so.
    """
    drill = find("demo")
    console = Console(highlight=False)
    console.print(f"{drill.title} / {drill.title_ja}\n{drill.about}\n", soft_wrap=True)
    with ground_of(drill, _topology(drill)) as ground:
        played = _play(drill, ground, console, rate=rate, seed=seed, root=HOME / "demo")
    show(console, played)
    sys.exit(_EXIT[played.verdict.ruling])


@click.group()
def drill() -> None:
    """Break a cluster on purpose, under load, and judge what terminals lived through."""


@drill.command("list")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def list_(as_json: bool) -> None:
    """What there is to play."""
    if as_json:
        click.echo(document.of_drills(catalogue()))
        return
    for each in catalogue():
        click.echo(
            f"{each.name:24} {each.title} / {each.title_ja}\n"
            f"{'':24} {each.about}\n"
            f"{'':24} {each.topology}, {_GROUNDS[each.ground]}\n"
        )


@drill.command("show")
@click.argument("name")
def show_(name: str) -> None:
    """How the drill NAME is written: a beginning for one of your own."""
    try:
        click.echo(path_of(name).read_text(encoding="utf-8"), nl=False)
    except (DrillError, OSError) as problem:
        raise click.ClickException(str(problem)) from problem


@drill.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
def new(file: Path | None) -> None:
    """Write a drill to begin with into FILE, or on standard output.

    It can be played as it is, and lists every step and fault that there is.
    """
    if file is None:
        click.echo(template("my-drill.toml"), nl=False)
        return
    if file.suffix != ".toml":
        raise click.ClickException(f"{file}: expected a name that ends in .toml")
    try:
        with file.open("x", encoding="utf-8") as writing:
            writing.write(template(str(file)))
    except OSError as problem:
        raise click.ClickException(f"{file}: {problem.strerror}") from problem
    click.echo(f"{file} is written; play it with: kessai drill run {file}")


@drill.command(cls=Playing)
@click.argument("name", required=False)
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Slots a second; else the drill's own.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed asks the same.")
@click.option("--topology", help="A file or a name in deploy/topologies; else the drill's own.")
@click.option(
    "--json", "as_json", is_flag=True, help="The verdict as one JSON document, and nothing else."
)
@click.option("--planted", "faulty", is_flag=True, help="Nodes with faults, to be convicted.")
@click.option("--fault", "faults", multiple=True, help="With --planted: this one; else all.")
@click.option("--write", is_flag=True, help="With --planted: into docs/evidence.md, too.")
def run(
    name: str | None,
    repeat: int,
    rate: float | None,
    seed: int,
    topology: str | None,
    as_json: bool,
    faulty: bool,
    faults: tuple[str, ...],
    write: bool,
) -> None:
    """Play the drill NAME (or a .toml file) on a cluster of its own.

    With --json, standard output has the document only; how it goes is told on standard error.
    With --planted, the drills themselves are tried: nodes are played that have a fault each.

    \b
    Exit status:
      0    it passed, each time that it was played
      1    it failed: a limit was not kept, or something is proven wrong
      2    it is inconclusive: it could not be played out, or a checker has no answer
      3    it was not played: no such drill, not possible here, or a wrong command line
      130  it was interrupted (Ctrl-C, SIGTERM): everything is healed and stopped
    """
    if faulty:
        if name is not None or as_json or topology or rate or repeat > 1:
            raise click.UsageError("--planted goes with --seed, --fault and --write alone")
        # Here and not above: no other command should wait for what it imports.
        from loadtest.drill.planted.command import planted

        sys.exit(planted(faults, seed=seed, write=write))
    if name is None or faults or write:
        raise click.UsageError("expected the NAME of a drill; --fault and --write need --planted")
    console = Console(highlight=False, stderr=as_json)
    wanted = find(name)
    if topology:  # the record names what it was really played on
        wanted = msgspec.structs.replace(wanted, topology=topology)
    on = _topology(wanted)
    go_to(wanted, lambda words: console.print(words, markup=False))
    played: list[Played] = []
    with ground_of(wanted, on) as ground:
        for number in range(repeat):
            console.print(f"{wanted.title} / {wanted.title_ja}{_of(number, repeat)}", markup=False)
            again = seed + number
            root = HOME / "drill"
            played.append(_play(wanted, ground, console, rate=rate, seed=again, root=root))
            show(console, played[-1])
    if repeat > 1:
        show_repeats(console, played)
    ruling = worst([each.verdict.ruling for each in played])
    if as_json:
        click.echo(document.of_played(wanted, played, ruling))
    sys.exit(_EXIT[ruling])


def _play(
    drill: Drill, ground: Ground, console: Console, *, rate: float | None, seed: int, root: Path
) -> Played:
    wanted = Wanted(
        seed=seed,
        rate=drill.load.rate if rate is None else rate,
        root=root,
        evidence=HOME / "evidence",
        command=" ".join(["kessai", *sys.argv[1:]]),
    )
    with Screen(console).live() as teller:
        return Run(drill, ground, wanted, teller).play()


def _topology(drill: Drill) -> Topology:
    return drill.changed(find_topology(drill.topology))


def _of(number: int, repeat: int) -> str:
    return f"  ({number + 1} of {repeat})" if repeat > 1 else ""
