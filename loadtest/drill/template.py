"""A drill to begin with, for `kessai drill new`: playable, and beside it all that one can have.

What it says of keys, steps and faults is read from their definitions. Lines that begin with `#` and
no space after it are TOML that waits to be used.
"""

from __future__ import annotations

import enum
import inspect
import textwrap
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from loadtest.drill.catalogue import Drill, Limits, Load
from loadtest.drill.steps import KINDS
from loadtest.faults import casting

_WIDTH: Final = 98

_BEGINNING: Final = """\
# A drill: what is done to a cluster under load, and what must hold.
#
# `kessai drill run {name}` plays it, on a cluster of its own. `kessai drill list` tells what drills
# there are, and `kessai drill show leader-crash` how one of them is written.
#
# It begins and ends with a steady state. Whatever a step breaks is healed at the latest when the
# drill ends, also after Ctrl-C.

title = "The leader is killed"
title_ja = "リーダーの停止"
about = "Another node wins the lead; the killed one comes back as a follower."
"""

_STEPS: Final = """\
[[steps]]
do = "steady"
for_s = 4

[[steps]]
do = "kill"
target = "leader"

[[steps]]
do = "hold"
for_s = 4

[[steps]]
do = "heal"

[[steps]]
do = "whole"

[[steps]]
do = "steady"
for_s = 3

[limits]
longest_gap_ms = 2000
failed = 0
unserved = 0
new_leader = true
"""

_EXAMPLES: Final[dict[str, Any]] = {
    "target": "leader",
    "for_s": 3,
    "place": "a",
    "contains": "degraded",
    "times": 3,
    "others": "peers",
    "share": 0.2,
    "delay_ms": 100,
    "offset_s": 3600,
    "in_sync": 3,
    "standby_in_sync": 3,
    "copies_min": 2,
    "longest_wait_ms": 2000,
    "p99_ms": 500,
    "resumed_ms": 3000,
    "services": 7,
}
"""What stands where a value has to be given, or means nothing where it is left out."""

_TARGETS: Final = {
    "cut": "between-sites",
    "isolate": "active-site",
    "lossy": "switch-1",
    "slow": "between-sites",
    "switch": "standby-site",
    "switch-down": "switch-1",
}
"""Whom faults are done to that are not for a leader."""


def template(name: str) -> str:
    """The text of a drill's file that is to be called `name`."""
    return "\n".join(
        [
            _BEGINNING.format(name=name),
            *_said(inspect.getdoc(Drill) or ""),
            *_keys(Drill, ("topology", "ground", "copies_min", "longest_s")),
            "",
            _STEPS,
            *_said(inspect.getdoc(Limits) or ""),
            *_keys(Limits, [each for each in Limits.__struct_fields__ if each not in _STEPS]),
            "",
            *_said(inspect.getdoc(Load) or ""),
            "#[load]",
            *_keys(Load, Load.__struct_fields__),
            "",
            *_said("Whom a fault can have as its `target`:"),
            *_said(inspect.cleandoc(casting.__doc__ or "").partition("\n\n")[2]),
            "",
            *_said(
                "All steps that there are. Values that are shown as they are by themselves may "
                "be left out."
            ),
            *(line for do in KINDS for line in _step(do)),
            "",
        ]
    )


def _step(do: str) -> Iterator[str]:
    kind = KINDS[do]
    yield ""
    yield from _said(inspect.getdoc(kind) or "")
    yield "#[[steps]]"
    yield f"#do = {_toml(do)}"
    yield from _keys(kind, kind.__struct_fields__)


def _keys(kind: type[msgspec.Struct], names: Sequence[str]) -> Iterator[str]:
    fields = {each.name: each for each in msgspec.structs.fields(kind)}
    do = str(kind.__struct_config__.tag)
    for name in names:
        field = fields[name]
        if not field.required and field.default is not None:
            value = field.default
        else:
            value = _TARGETS[do] if name == "target" and do in _TARGETS else _EXAMPLES[name]
        yield f"#{name} = {_toml(value)}{_choices(field.type)}"


def _choices(kind: Any) -> str:
    """What else could stand there, as a comment, where that is one of a few words."""
    words = list(kind) if isinstance(kind, enum.EnumMeta) else typing.get_args(kind)
    if not words or not all(isinstance(each, str) for each in words):
        return ""
    return f"  # {', '.join(words)}"


def _said(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield from textwrap.wrap(paragraph, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)
