"""A drill on the terminal: a line a second while it runs, then the verdict's table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.checkers.finding import Finding, Verdict
from loadtest.drill.runner import Played
from loadtest.drill.verdict import Ruling
from loadtest.load_plan import Progress

_SHOWN = 5
COLOURS = {Ruling.PASS: "green", Ruling.FAIL: "red", Ruling.INCONCLUSIVE: "yellow"}
_ANSWERS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}
_RULINGS_JA = {Ruling.PASS: "合格", Ruling.FAIL: "不合格", Ruling.INCONCLUSIVE: "判定不能"}


def progress_line(progress: Progress) -> str:
    """One second of load."""
    return (
        f"{progress.at_s:5.0f} s  {progress.rate:6.0f}/s  p50 {progress.p50_ms:6,.0f} ms  "
        f"p99 {progress.p99_ms:6,.0f} ms  answered {progress.heard:7,}  "
        f"waiting {progress.waiting:4,}  unknown {progress.unknown:3,}"
    )


def show(console: Console, played: Played) -> None:
    """The verdict, why, and where the evidence is."""
    verdict = played.verdict
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("verdict 判定", no_wrap=True)
    table.add_column("")
    table.add_column("limit", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in verdict.rows:
        mark = "" if row.good is None else "[green]ok[/]" if row.good else "[red]NO[/]"
        table.add_row(
            f"{row.what}\n[dim]{row.what_ja}[/]", escape(row.value), escape(row.limit), mark
        )
    console.print()
    if verdict.rows:
        console.print(table)
    for finding in verdict.findings:
        show_finding(console, finding)
        for note in finding.notes:
            console.print(f"           {escape(note)}", style="dim", soft_wrap=True)
        for problem in finding.problems[:_SHOWN]:
            console.print(f"           {escape(problem)}", style="red", soft_wrap=True)
        if len(finding.problems) > _SHOWN:
            console.print(f"           and {len(finding.problems) - _SHOWN} more")
    if verdict.broken:
        console.print(f"[red]not as it must be:[/] {escape(verdict.broken)}", soft_wrap=True)
    if verdict.unplayed:
        console.print(f"[yellow]not played out:[/] {escape(verdict.unplayed)}", soft_wrap=True)
    colour = COLOURS[verdict.ruling]
    console.print(
        f"\n[bold {colour}]{verdict.ruling.upper()} {_RULINGS_JA[verdict.ruling]}[/]"
        f"  evidence: {played.folder}",
        soft_wrap=True,
    )


def show_finding(console: Console, finding: Finding) -> None:
    """A judge's answer, in one line."""
    console.print(
        f"[{_ANSWERS[finding.verdict]}]{finding.verdict:8}[/] {escape(finding.question)} "
        f"[dim]({finding.checker}, {finding.looked_at:,} compared)[/]",
        soft_wrap=True,
    )


def show_repeats(console: Console, played: Sequence[Played]) -> None:
    """Least, median and greatest of the longest gaps and waits, and how many passed."""
    figures = [each.figures for each in played if each.figures is not None]
    passed = sum(each.verdict.ruling is Ruling.PASS for each in played)
    console.print(f"\n{passed} of {len(played)} passed")
    if figures:
        console.print(
            f"time terminals could not settle: {_spread([f.longest_gap_ms for f in figures])}\n"
            f"longest wait while disturbed: {_spread([f.longest_wait_ms for f in figures])}"
        )


def _spread(values_ms: Sequence[float]) -> str:
    least, middle, most = min(values_ms), median(values_ms), max(values_ms)
    return f"min {least:,.0f} ms, median {middle:,.0f} ms, max {most:,.0f} ms"
