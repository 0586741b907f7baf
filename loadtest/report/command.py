"""`kessai verify` and `kessai report`: evidence judged again, and evidence shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from deploy.lab.processes import HOME
from loadtest import evidence
from loadtest.drill.show import show_finding
from loadtest.evidence import EvidenceError
from loadtest.report import dossier, page
from loadtest.report.build import build
from loadtest.report.compare import compare, topology_of
from loadtest.report.model import DrillReport
from loadtest.verify import Verified
from loadtest.verify import verify as judge_again

_HOLDS, _DIFFERS, _UNREADABLE = range(3)
_SHOWN: Final = 20
_LATEST: Final = "latest"


@click.command()
@click.argument("folder", metavar="EVIDENCE")
@click.option("--json", "as_json", is_flag=True, help="What came of it as JSON.")
def verify(folder: str, as_json: bool) -> None:
    """Judge a drill again from the folder EVIDENCE alone (a path, a name in .kessai/evidence, or
    `latest`): every checker, every figure, and the hash of every file.

    Exit status 0: the same verdict, and no file changed; 1: another verdict, or a file is changed,
    missing or added; 2: there is no evidence that can be read.
    """
    try:
        verified = judge_again(_folder(folder))
    except EvidenceError as problem:
        click.echo(f"cannot be read: {problem}", err=True)
        sys.exit(_UNREADABLE)
    if as_json:
        click.echo(msgspec.json.encode({**_plain(verified), "holds": verified.holds}))
    else:
        _show(Console(highlight=False), verified)
    sys.exit(_HOLDS if verified.holds else _DIFFERS)


@click.command()
@click.argument("folders", metavar="EVIDENCE...", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page; the JSON of the same is written beside it.",
)
@click.option("--by-topology", is_flag=True, help="A column for each topology.")
def report(folders: tuple[str, ...], out: Path, by_topology: bool) -> None:
    """Write one page (and one JSON) of the drills in the folders EVIDENCE: paths, names in
    .kessai/evidence, or `latest`. Repeats of a drill stand together.

    Exit status 0: it was written; 2: a folder's evidence cannot be read.
    """
    reports: list[DrillReport] = []
    for name in folders:
        folder = _folder(name)
        try:
            reports.append(build(dossier.read(folder), evidence.altered(folder)))
        except EvidenceError as problem:
            click.echo(f"cannot be read: {problem}", err=True)
            sys.exit(_UNREADABLE)
    columns = dict.fromkeys(topology_of(each) for each in reports) if by_topology else ()
    comparison = compare(reports, tuple(columns))
    page.write(comparison, out)
    click.echo(f"{out}, {out.with_suffix('.json')}: {len(reports)} drills")


def _folder(name: str) -> Path:
    """A path, or a folder by its name where drills leave their evidence; `latest`: the newest."""
    path, kept = Path(name), HOME / "evidence"
    if path.exists():
        return path
    if name == _LATEST:  # their names begin with the time
        return max((each for each in kept.glob("*") if each.is_dir()), default=kept / name)
    return kept / name


def _plain(verified: Verified) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(verified)
    return plain


def _show(console: Console, verified: Verified) -> None:
    for finding in verified.findings:
        show_finding(console, finding)
    for note in verified.notes:
        console.print(f"note: {escape(note)}", style="dim", soft_wrap=True)
    for each in verified.altered[:_SHOWN]:
        console.print(f"[red]{each.how:8}[/] {escape(each.name)}", soft_wrap=True)
    if len(verified.altered) > _SHOWN:
        console.print(f"         and {len(verified.altered) - _SHOWN} more files")
    for difference in verified.differences[:_SHOWN]:
        console.print(
            f"[red]differs [/] {escape(difference.what)}: sealed {escape(difference.sealed)}; "
            f"now {escape(difference.now)}",
            soft_wrap=True,
        )
    whole = f"{verified.files} files, manifest {verified.seal[:16]}"
    if verified.holds:
        words = f"[bold green]HOLDS 一致[/]  {verified.now}, as sealed; no file changed ({whole})"
    else:
        words = f"[bold red]DOES NOT HOLD 不一致[/]  {_why(verified)} ({whole})"
    console.print(f"\n{words}", soft_wrap=True)


def _why(verified: Verified) -> str:
    said = []
    if verified.altered:
        count = len(verified.altered)
        said.append(f"{count} file{'s' * (count != 1)} not as sealed")
    if verified.sealed is None:
        said.append("the sealed verdict cannot be read")
    elif verified.sealed is not verified.now:
        said.append(f"sealed as {verified.sealed}, now {verified.now}")
    elif verified.differences:
        said.append(f"{verified.now} as sealed, but not with the same findings and figures")
    return "; ".join(said)
