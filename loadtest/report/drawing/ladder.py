"""The stages of one recovery as steps, each from the one before, beside the configured floor."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from loadtest.report.drawing.svg import WIDTH, element, hint, label, picture, text
from loadtest.report.model import Recovery
from loadtest.report.words import Words, deed, word

_LEFT: Final = 232.0
_RIGHT: Final = WIDTH - 92.0
_TOP: Final = 22.0
_STEP: Final = 30.0


def draw(recovery: Recovery) -> Markup:
    """The whole picture, as wide as its last stage."""
    longest = max([phase.after_ms for phase in recovery.phases] + [1.0])
    floors = [phase.floor_ms for phase in recovery.phases if phase.floor_ms]
    scale = (_RIGHT - _LEFT) / max([longest, *floors])
    found = []
    before_ms = 0.0
    for number, phase in enumerate(recovery.phases):
        y = _TOP + _STEP * number
        begin, end = _LEFT + before_ms * scale, _LEFT + phase.after_ms * scale
        found += [
            label(_LEFT - 12.0, y + 15.0, word(phase.stage), "stage", anchor="end"),
            element("line", x1=_LEFT, x2=_RIGHT, y1=y + 10.0, y2=y + 10.0, class_="grid"),
            element(
                "rect",
                hint(f"{phase.after_ms:,.0f} ms {phase.source}"),
                x=min(begin, end),
                y=y + 1.0,
                width=max(2.0, abs(end - begin)),
                height=18,
                rx=2,
                class_="step",
            ),
            text(max(begin, end) + 8.0, y + 15.0, f"{phase.after_ms:,.0f} ms", "figure"),
        ]
        if phase.floor_ms:
            x = _LEFT + phase.floor_ms * scale
            found.append(element("line", x1=x, x2=x, y1=y - 4.0, y2=y + 24.0, class_="floor"))
        before_ms = phase.after_ms
    bottom = _TOP + _STEP * len(recovery.phases)
    found.append(element("line", x1=_LEFT, x2=_LEFT, y1=_TOP - 6.0, y2=bottom, class_="moment"))
    if floors:
        found.append(
            element("line", x1=_RIGHT - 150.0, x2=_RIGHT - 132.0, y1=6, y2=6, class_="floor")
        )
        found.append(label(_RIGHT - 126.0, 10.0, word("floor_line"), "small"))
    title, done = word("phases"), deed(recovery.kind, recovery.who)
    words = Words(f"{title.en}: {done.en}", f"{title.ja}: {done.ja}")
    return picture(words, bottom + 8.0, *found)
