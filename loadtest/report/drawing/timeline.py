"""The course of one drill: settlements, latency and failures over who led and what was done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from loadtest.report.drawing.axis import LEFT, RIGHT, Axis, round_step
from loadtest.report.drawing.lanes import LANE, draw_lane, rows_of
from loadtest.report.drawing.svg import element, hint, label, path, picture, text
from loadtest.report.model import Second, Timeline
from loadtest.report.words import Words, word

_TOP: Final = 30.0
_SETTLED: Final = 150.0
_LATENCY: Final = 130.0
_FAILED: Final = 44.0
_BETWEEN: Final = 36.0


def draw(timeline: Timeline) -> Markup:
    """The whole picture."""
    axis = Axis(timeline.length_s)
    settled = _TOP
    latency = settled + _SETTLED + _BETWEEN
    failed = latency + _LATENCY + _BETWEEN
    lanes = failed + _FAILED + 22.0
    rows = rows_of(timeline)
    bottom = lanes + LANE * len(rows)
    return picture(
        word("timeline"),
        bottom + 44.0,
        *_shades(timeline, axis, bottom),
        *_seconds(axis, bottom),
        *_settled(timeline, axis, settled),
        *_latency(timeline.seconds, axis, latency),
        *_failures(timeline.seconds, axis, failed),
        *(
            each
            for number, row in enumerate(rows)
            for each in draw_lane(row, axis, lanes + LANE * number)
        ),
    )


def _shades(timeline: Timeline, axis: Axis, bottom: float) -> list[Markup]:
    """What was done lies behind everything, from top to bottom."""
    found = []
    for span in timeline.faults:
        begin, end = axis.at(span.from_s), axis.until(span.until_s)
        height = bottom - _TOP
        if end > begin:
            found.append(
                element("rect", x=begin, y=_TOP, width=end - begin, height=height, class_="shade")
            )
        found.append(element("line", x1=begin, x2=begin, y1=_TOP, y2=bottom, class_="moment"))
    return found


def _seconds(axis: Axis, bottom: float) -> list[Markup]:
    step = round_step(axis.length_s / 10.0)
    found = [label((LEFT + RIGHT) / 2.0, bottom + 38.0, word("seconds"), "small", anchor="middle")]
    for number in range(int(axis.length_s / step) + 1):
        x = axis.at(number * step)
        found.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 5.0, class_="rule"))
        found.append(text(x, bottom + 19.0, f"{number * step:g}", "small", anchor="middle"))
    return found


# --- the three charts -----------------------------------------------------------------------------


def _settled(timeline: Timeline, axis: Axis, top: float) -> list[Markup]:
    most = max([each.settled for each in timeline.seconds] + [timeline.meant, 1.0])
    step = round_step(most / 3.0)
    high = math.ceil(most / step) * step
    found = [*_frame(word("settled_a_second"), top, _SETTLED)]
    for number in range(int(high / step) + 1):
        found += _rule(top + _SETTLED * (1 - number * step / high), f"{number * step:,.0f}")
    for each in timeline.seconds:
        height = _SETTLED * each.settled / high
        found.append(
            element(
                "rect",
                hint(_told(each)),
                x=axis.at(each.at_s) + 0.75,
                y=top + _SETTLED - height,
                width=max(0.5, axis.at(each.at_s + 1) - axis.at(each.at_s) - 1.5),
                height=height,
                class_="settled",
            )
        )
    if timeline.meant:
        y = top + _SETTLED * (1 - timeline.meant / high)
        found.append(element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="meant"))
        words = word("meant")
        both = Words(f"{words.en} {timeline.meant:g}", f"{words.ja} {timeline.meant:g}")
        found.append(label(RIGHT, top - 8.0, both, "small", anchor="end"))
    return found


def _latency(seconds: Sequence[Second], axis: Axis, top: float) -> list[Markup]:
    """On a logarithmic scale: a wait of seconds and one of milliseconds are both to be seen."""
    values = [value for each in seconds for value in (each.p50_ms, each.p99_ms) if value]
    least = 10.0 ** math.floor(math.log10(max(1.0, min(values, default=1.0))))
    most = 10.0 ** math.ceil(math.log10(max(10.0 * least, *values, 10.0)))

    def at(value_ms: float) -> float:
        return top + _LATENCY * (1 - math.log(max(value_ms, least) / least) / span)

    span = math.log(most / least)
    found = [*_frame(word("latency"), top, _LATENCY)]
    decade = least
    while decade <= most * 1.001:
        said = f"{decade / 1000.0:g} s" if decade >= 1000.0 else f"{decade:g} ms"
        found += _rule(at(decade), said)
        decade *= 10.0
    for name, kind in (("p50", "p50"), ("p99", "p99")):
        points = [(each.at_s, each.p50_ms if name == "p50" else each.p99_ms) for each in seconds]
        for run in _runs(points):
            placed = [(axis.at(second + 0.5), at(value)) for second, value in run]
            found.append(path(placed, kind) if len(placed) > 1 else Markup(""))
            found += [element("circle", cx=x, cy=y, r=2.2, class_=f"{kind} dot") for x, y in placed]
    return [*found, *_key((("p50", "p50"), ("p99", "p99")), top - 8.0)]


def _failures(seconds: Sequence[Second], axis: Axis, top: float) -> list[Markup]:
    most = max((each.refused + each.unknown for each in seconds), default=0)
    found = [*_frame(word("failures"), top, _FAILED)]
    found.append(
        element("line", x1=LEFT, x2=RIGHT, y1=top + _FAILED, y2=top + _FAILED, class_="rule")
    )
    if not most:
        found.append(label(LEFT + 8.0, top + 28.0, word("no_failures"), "quiet"))
        return found
    found += _rule(top, f"{most:,}")
    for each in seconds:
        x, wide = axis.at(each.at_s), axis.at(each.at_s + 1) - axis.at(each.at_s)
        low = top + _FAILED
        for count, kind in ((each.unknown, "unknown"), (each.refused, "refused")):
            height = _FAILED * count / most
            low -= height
            if count:
                found.append(
                    element(
                        "rect",
                        hint(_told(each)),
                        x=x + 0.75,
                        y=low,
                        width=max(0.5, wide - 1.5),
                        height=height,
                        class_=kind,
                    )
                )
    unknown, refused = word("unknown_short"), word("refused_short")
    words = Words(f"■ {unknown.en}", f"■ {unknown.ja}")
    others = Words(f"■ {refused.en}", f"■ {refused.ja}")
    found.append(label(RIGHT, top - 8.0, words, "small unknown", anchor="end"))
    found.append(label(RIGHT - 170.0, top - 8.0, others, "small refused", anchor="end"))
    return found


def _frame(title: Words, top: float, height: float) -> list[Markup]:
    return [
        label(LEFT, top - 8.0, title, "heading"),
        element("line", x1=LEFT, x2=LEFT, y1=top, y2=top + height, class_="rule"),
    ]


def _rule(y: float, said: str) -> list[Markup]:
    return [
        element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"),
        text(LEFT - 8.0, y + 4.0, said, "small", anchor="end"),
    ]


def _key(names: Sequence[tuple[str, str]], y: float) -> list[Markup]:
    found = []
    for number, (name, kind) in enumerate(reversed(names)):
        x = RIGHT - 64.0 * number
        found.append(text(x, y, name, "small", anchor="end"))
        found.append(element("line", x1=x - 48.0, x2=x - 28.0, y1=y - 4.0, y2=y - 4.0, class_=kind))
    return found


def _runs(points: Sequence[tuple[int, float | None]]) -> list[list[tuple[int, float]]]:
    """The stretches without a hole."""
    found: list[list[tuple[int, float]]] = [[]]
    for second, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append((second, value))
    return [run for run in found if run]


def _told(each: Second) -> str:
    waits = ""
    if each.p50_ms is not None and each.p99_ms is not None:
        waits = f", p50 {each.p50_ms:,.0f} ms, p99 {each.p99_ms:,.0f} ms"
    return f"{each.at_s} s: {each.settled:,}{waits}"
