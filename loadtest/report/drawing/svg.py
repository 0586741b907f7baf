"""The little of SVG that the pictures need, escaped, every word in both languages."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup, escape

from loadtest.report.words import Words

WIDTH: Final = 1040
"""Every picture is as wide in its own units; the page scales it."""

Value = str | float | None


def element(name: str, *inside: str, **attributes: Value) -> Markup:
    """One element. `stroke_width` becomes stroke-width, `class_` class; None leaves one out."""
    said = "".join(
        f' {key.strip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not inside:
        return Markup(f"<{name}{said}/>")
    return Markup(f"<{name}{said}>") + Markup("").join(inside) + Markup(f"</{name}>")


def picture(title: Words, height: float, *inside: str, width: float = WIDTH) -> Markup:
    """A whole picture, which says what it is to those who cannot see it."""
    return element(
        "svg",
        element("title", escape(f"{title.en} / {title.ja}")),
        *inside,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_label=f"{title.en} / {title.ja}",
    )


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> Markup:
    """Words that read alike in both languages."""
    return element("text", escape(words), x=x, y=y, class_=kind or None, text_anchor=anchor)


def label(x: float, y: float, words: Words, kind: str = "", *, anchor: str = "start") -> Markup:
    """Words in both languages, of which the page shows one."""
    if words.en == words.ja:
        return text(x, y, words.en, kind, anchor=anchor)
    return Markup("").join(
        element(
            "text", escape(said), x=x, y=y, class_=kind or None, text_anchor=anchor, lang=language
        )
        for language, said in (("en", words.en), ("ja", words.ja))
    )


def hint(words: str) -> Markup:
    """What a pointer that rests on an element is told, and a reader of the screen."""
    return element("title", escape(words))


def path(points: list[tuple[float, float]], kind: str) -> Markup:
    """A line through these points."""
    steps = " ".join(
        f"{'L' if number else 'M'}{_number(x)} {_number(y)}" for number, (x, y) in enumerate(points)
    )
    return element("path", d=steps, class_=kind)


def _value(value: str | float | None) -> str:
    return str(escape(value)) if isinstance(value, str) else _number(float(value or 0.0))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
