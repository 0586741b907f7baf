"""The report as one HTML file that needs nothing else, and as JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import jinja2
import msgspec
from markupsafe import Markup, escape

from loadtest.checkers.finding import Verdict
from loadtest.drill.verdict import Ruling, worst
from loadtest.report import cells
from loadtest.report.compare import topology_of
from loadtest.report.comparison import Comparison
from loadtest.report.drawing import ladder, places, spread, timeline
from loadtest.report.model import Grounds
from loadtest.report.words import Words, deed, filled, word

FORMAT: Final = 1
_TEMPLATES: Final = Path(__file__).parent / "templates"
_SHOWN: Final = 10
"""So many problems of one checker stand in the page; verdict.json has them all."""


def html(comparison: Comparison) -> str:
    """The whole page: the overview where there is more than one drill, then each drill."""
    counts = Counter(report.ruling for report in comparison.reports)
    judged = counts if comparison.renewal is None else _of_last_column(comparison)
    spreads = [
        cell.gap_ms.most
        for line in comparison.lines
        for cell in line.cells
        if cell is not None and cell.gap_ms is not None
    ]
    return (
        _environment()
        .get_template("page.html")
        .render(
            comparison=comparison,
            reports=comparison.reports,
            passed=counts[Ruling.PASS],
            worst=worst(judged),
            both_grounds=_grounds(comparison),
            most_ms=max(spreads, default=0.0),
            shown=_SHOWN,
            Verdict=Verdict,
        )
    )


def document(comparison: Comparison) -> bytes:
    """The model as JSON; times and names as in `loadtest.report.model`."""
    whole = {"format": FORMAT, "kind": "kessai drill report", "comparison": comparison}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2)


def write(comparison: Comparison, out: Path) -> None:
    """The page at `out`, and the JSON of the same beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html(comparison), encoding="utf-8")
    out.with_suffix(".json").write_bytes(document(comparison))


def both(words: Words) -> Markup:
    """The words in both languages, of which the page shows one."""
    if words.en == words.ja:
        return escape(words.en)
    return Markup('<span lang="en">{}</span><span lang="ja">{}</span>').format(words.en, words.ja)


def _of_last_column(comparison: Comparison) -> Counter[Ruling]:
    """A system that was replaced may fail: that is a finding, and the other one is on trial."""
    column = [line.cells[-1] for line in comparison.lines]
    return Counter(cell.ruling for cell in column if cell is not None and not cell.absent)


def _grounds(comparison: Comparison) -> list[Grounds]:
    """What each column was played on, as the first of its drills has it."""
    found = {topology_of(report): report.grounds for report in reversed(comparison.reports)}
    both = [found.get(column) for column in comparison.columns]
    return [grounds for grounds in both if grounds is not None]


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters.update(both=both, ms=_ms, s=cells.seconds, n=cells.count)
    made.globals.update(
        w=lambda name: both(word(name)),
        word=word,
        deed=deed,
        filled=filled,
        gap_ended=cells.gap_ended,
        style=Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((_TEMPLATES / "switches.js").read_text(encoding="utf-8")),
        draw_timeline=timeline.draw,
        draw_ladder=ladder.draw,
        draw_places=places.draw,
        draw_spread=spread.draw,
    )
    return made


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
