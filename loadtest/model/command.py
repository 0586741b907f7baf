"""`kessai model`: explores the protocol's model exhaustively and says what was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from loadtest.model import spin_binary
from loadtest.model.instances import INSTANCES, Instance, find
from loadtest.model.planted import PLANTED, Planted
from loadtest.model.spin import Explored, SpinFailed, explore
from loadtest.model.spin_binary import SpinMissing

_GAP: Final = (0, 2, 0, 0)


@click.command("model")
@click.option("--quick", is_flag=True, help="Only what takes a minute in all.")
@click.option("--planted", is_flag=True, help="Break one rule after the other: is each noticed?")
@click.option(
    "--instance",
    "names",
    multiple=True,
    type=click.Choice([each.name for each in INSTANCES]),
    help="Only this one; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON on standard output.")
def model(quick: bool, planted: bool, names: Sequence[str], as_json: bool) -> None:
    """Explore the model of the protocol: every state of a few small clusters.

    Needs gcc; fetches Spin with apt where there is none. Exit status 0: every invariant holds in
    every state, and what must be reachable is (with --planted: every broken rule was noticed).
    """
    try:
        spin = spin_binary.find(say=_say)
        _say(f"spin {spin_binary.version(spin)}, one instance after the other")
        found = _planted(spin, quick, names) if planted else _instances(spin, quick, names)
    except (SpinMissing, SpinFailed) as problem:
        raise click.ClickException(str(problem)) from problem
    if as_json:
        click.echo(json.dumps(found, indent=2))
    sys.exit(0 if all(each["good"] for each in found) else 1)


def verdict(instance: Instance, found: Explored) -> str:
    """What came of an instance, in words: `holds` is the only good one."""
    if found.violated:
        return f"violated: {found.violated}"
    if not found.complete:
        return "not finished"
    missing = [each for each in instance.witnesses if each not in found.witnesses]
    return f"proves nothing, never seen: {'; '.join(missing)}" if missing else "holds"


def _instances(spin: Path, quick: bool, names: Sequence[str]) -> list[dict[str, object]]:
    wanted = [find(name) for name in names] or [i for i in INSTANCES if i.quick or not quick]
    table = Table("instance", box=None, padding=_GAP)
    for column in ("states", "transitions", "depth", "s", "MB"):
        table.add_column(column, justify="right")
    table.add_column("search")
    table.add_column("verdict")
    results: list[dict[str, object]] = []
    trails: list[str] = []
    for instance in wanted:
        _say(f"{instance.name}: {instance.about}; {instance.bounds}")
        found = explore(instance, spin)
        words = verdict(instance, found)
        table.add_row(
            instance.name,
            f"{found.states:,}",
            f"{found.transitions:,}",
            str(found.depth),
            f"{found.seconds:.0f}",
            f"{found.memory_mb:.0f}",
            "exhaustive" if found.complete and not found.violated else "ended early",
            words,
        )
        results.append(
            {"instance": instance.name, "verdict": words, "good": words == "holds", **asdict(found)}
        )
        trails += _told(instance.name, found)
    _show(table, trails)
    return results


def _planted(spin: Path, quick: bool, names: Sequence[str]) -> list[dict[str, object]]:
    table = Table("rule", "broken", "instance", box=None, padding=_GAP)
    for column in ("states", "depth"):
        table.add_column(column, justify="right")
    table.add_column("noticed by")
    results: list[dict[str, object]] = []
    for bug in _wanted(quick, names):
        _say(f"{bug.rule}: {bug.about}")
        found = explore(bug.instance, spin, bug.macro)
        good = found.violated == bug.caught_by
        table.add_row(
            bug.rule,
            bug.about,
            bug.instance.name,
            f"{found.states:,}",
            str(found.depth),
            found.violated + ("" if good else f" (expected: {bug.caught_by})"),
        )
        results.append({"planted": bug.macro, "rule": bug.rule, "good": good, **asdict(found)})
    _show(table, [])
    return results


def _wanted(quick: bool, names: Sequence[str]) -> Iterator[Planted]:
    for bug in PLANTED:
        if (bug.quick or not quick) and (not names or bug.instance.name in names):
            yield bug


def _told(name: str, found: Explored) -> Iterator[str]:
    if found.violated:
        yield f"\n{name}, {found.violated}:"
        yield from (f"  {number:3} {step}" for number, step in enumerate(found.trail, 1))


def _show(table: Table, lines: Sequence[str]) -> None:
    """On standard error, so that --json has standard output to itself."""
    Console(stderr=True, highlight=False).print(table)
    for line in lines:
        click.echo(line, err=True)


def _say(line: str) -> None:
    click.echo(f"kessai: {line}", err=True)
