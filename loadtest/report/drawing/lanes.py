"""Who led, how the sites stood and what was done, as bars under the charts of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from loadtest.report.drawing.axis import LEFT, RIGHT, Axis
from loadtest.report.drawing.svg import element, hint, label
from loadtest.report.model import Span, Timeline
from loadtest.report.words import Words, deed, word

LANE: Final = 24.0
"""How high one lane is."""


@dataclass(frozen=True, slots=True)
class Bar:
    """From one second to another, None being the end; `kind` gives it its colour."""

    from_s: float
    until_s: float | None
    kind: str
    words: Words


@dataclass(frozen=True, slots=True)
class Row:
    """The bars of one lane, in the order of time."""

    name: Words
    bars: tuple[Bar, ...]


def rows_of(timeline: Timeline) -> list[Row]:
    """The lanes from top to bottom."""
    epoch = word("epoch")
    led = [
        Bar(
            reign.from_s,
            reign.until_s,
            "reign",
            Words(
                f"{reign.node}, {epoch.en} {reign.epoch}",
                f"{reign.node}（{epoch.ja} {reign.epoch}）",
            ),
        )
        for reign in timeline.reigns
    ]
    rows = [Row(word("lane_leader"), tuple(led))]
    if timeline.modes:
        stood = [
            Bar(span.from_s, span.until_s, span.kind, word(span.kind)) for span in timeline.modes
        ]
        rows.append(Row(word("lane_mode"), tuple(stood)))
    for number, spans in enumerate(_apart(timeline)):
        name = Words("", "") if number else word("lane_faults")
        done = [
            Bar(span.from_s, span.until_s, "fault", deed(span.kind, span.who)) for span in spans
        ]
        rows.append(Row(name, tuple(done)))
    return rows


def _apart(timeline: Timeline) -> list[list[Span]]:
    """Spans in as few rows as keep their words apart."""
    room = timeline.length_s / 7.0  # a label's width, in seconds
    rows: list[list[Span]] = []
    for span in sorted(timeline.faults, key=lambda each: each.from_s):
        for row in rows:
            last = row[-1]
            end = timeline.length_s if last.until_s is None else last.until_s
            if max(end, last.from_s + room) <= span.from_s:
                row.append(span)
                break
        else:
            rows.append([span])
    return rows


def draw_lane(row: Row, axis: Axis, top: float) -> list[Markup]:
    """One lane whose upper edge is at `top`."""
    found = [label(LEFT - 8.0, top + 16.0, row.name, "small", anchor="end")]
    begins = [axis.at(bar.from_s) for bar in row.bars[1:]]
    for bar, room in zip(row.bars, [*begins, RIGHT], strict=True):
        begin, end = axis.at(bar.from_s), axis.until(bar.until_s)
        words = bar.words
        found.append(
            element(
                "rect",
                hint(f"{words.en} / {words.ja}: {bar.from_s:.2f} s"),
                x=begin,
                y=top + 3.0,
                width=max(3.0, end - begin - 1.0),
                height=LANE - 6.0,
                rx=2,
                class_=bar.kind,
            )
        )
        # In the bar, beside it, before it, or where there is no room only in the hint.
        wide = 7.0 * len(words.en) + 12.0
        if end - begin > wide:
            found.append(label(begin + 8.0, top + 16.5, words, "in"))
        elif room - begin > wide:
            found.append(label(max(begin + 3.0, end) + 6.0, top + 16.5, words, "beside"))
        elif begin - LEFT > wide and len(row.bars) == 1:
            found.append(label(begin - 6.0, top + 16.5, words, "beside", anchor="end"))
    return found
