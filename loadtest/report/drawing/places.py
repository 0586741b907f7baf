"""The cluster as it was built: places side by side, what stands in each, what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from loadtest.report.drawing.svg import WIDTH, element, hint, label, picture, text
from loadtest.report.model import Grounds, Place
from loadtest.report.words import Words, filled, word

_TOP: Final = 74.0
_GAP: Final = 56.0
_PAD: Final = 18.0
_ROW: Final = 58.0
_HEAD: Final = 46.0
_BOX: Final = 40.0
_LINE: Final = 20.0
_SMALL: Final = 0.62
"""A place without settlement nodes is drawn so much narrower."""


def draw(grounds: Grounds) -> Markup:
    """The whole picture."""
    widths = _widths(grounds.places)
    rows = 3 + any(place.coordinators for place in grounds.places)
    height = _HEAD + _ROW * rows + _LINE + 2.0
    found: list[Markup] = []
    x = _PAD
    middles = []
    for place, width in zip(grounds.places, widths, strict=True):
        found += _place(place, x, width, height)
        middles.append(x + width / 2.0)
        x += width + _GAP
    found = [*_joins(grounds.places, widths, height), *found]
    found += _terminals(grounds.places, middles)
    found += _key(grounds.places, _TOP + height + 34.0)
    return picture(word("grounds"), _TOP + height + 50.0, *found)


def _widths(places: Sequence[Place]) -> list[float]:
    room = WIDTH - 2.0 * _PAD - _GAP * (len(places) - 1)
    shares = [1.0 if place.nodes else _SMALL for place in places]
    # One site alone need not fill the page.
    return [min(460.0, room * share / sum(shares)) for share in shares]


def _place(place: Place, x: float, width: float, height: float) -> list[Markup]:
    name = word("site") if place.nodes else Words("", "")
    kind = word("active" if place.active else "standby") if place.nodes else word("witness")
    found = [
        element(
            "rect",
            x=x,
            y=_TOP,
            width=width,
            height=height,
            rx=8,
            class_="place active" if place.active else "place",
        ),
        label(
            x + 14.0,
            _TOP + 24.0,
            Words(f"{name.en} {place.name}".strip(), f"{name.ja} {place.name}".strip()),
            "heading",
        ),
        label(x + 14.0, _TOP + 40.0, kind, "small"),
    ]
    switches = tuple(f"s{place.name}{number + 1}" for number in range(place.switches))
    rows = (
        ("network", switches),
        ("nodes", place.nodes),
        ("etcd", place.etcd),
        ("coordinators", place.coordinators),
    )
    y = _TOP + _HEAD + 6.0
    for group, names in rows:
        found += _boxes(group, names, x, y, width)
        y += _ROW
    if place.nodes:
        offered = filled("some_services", ", ".join(place.services))
        words = offered if place.services else word("all_services")
        found.append(label(x + 14.0, _TOP + height - 12.0, words, "small"))
    return found


def _boxes(group: str, names: Sequence[str], x: float, y: float, width: float) -> list[Markup]:
    found = []
    each = min(92.0, (width - 28.0) / max(1, len(names)))
    begin = x + (width - each * len(names)) / 2.0
    for number, name in enumerate(names):
        words = word(group)
        middle = begin + each * (number + 0.5)
        found.append(
            element(
                "rect",
                hint(f"{words.en} / {words.ja} {name}"),
                x=begin + each * number + 5.0,
                y=y,
                width=each - 10.0,
                height=_BOX,
                rx=20 if group == "coordinators" else 4,
                class_=group,
            )
        )
        found.append(text(middle, y + 25.0, name, "name", anchor="middle"))
    return found


def _joins(places: Sequence[Place], widths: Sequence[float], height: float) -> list[Markup]:
    """Between neighbours: replication where both settle, else etcd and the probes only."""
    found = []
    x = _PAD
    for (one, other), width in zip(pairwise(places), widths, strict=False):
        x += width
        if one.nodes and other.nodes:
            y = _TOP + _HEAD + 26.0 + _ROW
            batch_s = (other if one.active else one).batch_s
            kind = "replication batches" if batch_s else "replication"
            found.append(element("line", x1=x, x2=x + _GAP, y1=y, y2=y, class_=kind))
            middle = x + _GAP / 2.0
            found.append(label(middle, y - 8.0, word("replication"), "tiny", anchor="middle"))
            # How, above the places: it is longer than the way between them.
            how = filled("in_batches", f"{batch_s:g}") if batch_s else word("in_real_time")
            found.append(label(middle, _TOP - 8.0, how, "small", anchor="middle"))
        y = _TOP + _HEAD + 26.0 + 2.0 * _ROW
        found.append(element("line", x1=x, x2=x + _GAP, y1=y, y2=y, class_="quorum"))
        found.append(text(x + _GAP / 2.0, y - 8.0, "etcd", "tiny", anchor="middle"))
        x += _GAP
    return found


def _terminals(places: Sequence[Place], middles: Sequence[float]) -> list[Markup]:
    sites = [middle for place, middle in zip(places, middles, strict=True) if place.nodes]
    if not sites:
        return []
    centre = sum(sites) / len(sites)
    lines = [
        element("line", x1=centre, x2=middle, y1=36.0, y2=_TOP, class_="link") for middle in sites
    ]
    return [
        *lines,
        element("rect", x=centre - 80.0, y=8, width=160, height=28, rx=14, class_="terminals"),
        label(centre, 27.0, word("terminals"), "name", anchor="middle"),
    ]


def _key(places: Sequence[Place], y: float) -> list[Markup]:
    groups = ["network", "nodes", "etcd"] + ["coordinators"] * any(
        place.coordinators for place in places
    )
    found = []
    for number, group in enumerate(groups):
        x = _PAD + 200.0 * number
        found.append(element("rect", x=x, y=y - 11.0, width=22, height=14, rx=3, class_=group))
        found.append(label(x + 30.0, y, word(group), "small"))
    return found
