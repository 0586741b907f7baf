"""The steps of a drill that are no faults: what is waited for, and what must be so, as data."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loadtest.faults import AnyFault


class Steady(msgspec.Struct, frozen=True, tag_field="do", tag="steady", forbid_unknown_fields=True):
    """Wait until terminals are served at the full rate, then so long again.

    `required` false: a machine too slow for the rate is told of, and the drill goes on.
    """

    for_s: float
    within_s: float = 30.0
    required: bool = True


class Hold(msgspec.Struct, frozen=True, tag_field="do", tag="hold", forbid_unknown_fields=True):
    """Let the fault last."""

    for_s: float


class Heal(msgspec.Struct, frozen=True, tag_field="do", tag="heal", forbid_unknown_fields=True):
    """Undo what was done last and not undone yet; `all` of it, or the latest only."""

    all: bool = False


class Await(msgspec.Struct, frozen=True, tag_field="do", tag="await", forbid_unknown_fields=True):
    """Wait until the leader says all of this; what is absent is not asked for.

    `in_sync` and `standby_in_sync`: so many replicas of the active and of the standby site, all of
    them there and close. `mode`: "in sync", "degraded", "batches" or "one site". `active`: the
    active site. Nothing at all asked for: that somebody leads. Fails after `within_s`.
    """

    in_sync: int | None = None
    standby_in_sync: int | None = None
    mode: str = ""
    active: str = ""
    within_s: float = 30.0


class Stalled(
    msgspec.Struct, frozen=True, tag_field="do", tag="stalled", forbid_unknown_fields=True
):
    """Settling must stop (too few copies), and a node must say why in its status."""

    within_s: float = 10.0


class Alarm(msgspec.Struct, frozen=True, tag_field="do", tag="alarm", forbid_unknown_fields=True):
    """`kessai status` must raise an alarm with these words in it."""

    contains: str
    within_s: float = 10.0


class Refused(
    msgspec.Struct, frozen=True, tag_field="do", tag="refused", forbid_unknown_fields=True
):
    """A planned switch to the standby site, asked for now, must be refused for such a reason."""

    contains: str


class Frozen(msgspec.Struct, frozen=True, tag_field="do", tag="frozen", forbid_unknown_fields=True):
    """No node at this place may commit anything for so long: it is cut off."""

    place: str
    for_s: float = 2.0


class Services(
    msgspec.Struct, frozen=True, tag_field="do", tag="services", forbid_unknown_fields=True
):
    """A terminal asks for one settlement of each of the seven services: all must be approved.

    `required` false: how many are goes on record, and is judged by the drill's limits.
    """

    within_s: float = 10.0
    required: bool = True


class Pruned(msgspec.Struct, frozen=True, tag_field="do", tag="pruned", forbid_unknown_fields=True):
    """Wait until the leader no longer has the log that the node which is away would need next.

    A log is pruned in strides of about a thousand entries, so this needs its time.
    """

    within_s: float = 120.0


class SnapshotTaken(
    msgspec.Struct, frozen=True, tag_field="do", tag="snapshot-taken", forbid_unknown_fields=True
):
    """The node that came back last must take in a snapshot: the log alone cannot bring it back."""

    within_s: float = 30.0


class Whole(msgspec.Struct, frozen=True, tag_field="do", tag="whole", forbid_unknown_fields=True):
    """Wait until all is again as the topology has it: every node that it keeps in sync is counted,
    all there and close, whichever site is active by now.

    `required` false: where that does not come, the drill goes on, and the record says so.
    """

    within_s: float = 60.0
    required: bool = True


class OnDuty(
    msgspec.Struct, frozen=True, tag_field="do", tag="on-duty", forbid_unknown_fields=True
):
    """The operators on duty do what the runbooks ask of them now, if anything: they promote a
    standby that does not take over by itself, or give returned nodes new disks.

    Where settling goes on by itself `within_s`, they do nothing at all.
    """

    within_s: float = 6.0


class Rate(msgspec.Struct, frozen=True, tag_field="do", tag="rate", forbid_unknown_fields=True):
    """From now on so many times the drill's own rate of slots."""

    times: float


class RollOver(
    msgspec.Struct, frozen=True, tag_field="do", tag="roll-over", forbid_unknown_fields=True
):
    """The business date ends now: each terminal closes its day (日計) and begins the next."""


Step = (
    Steady
    | Hold
    | Heal
    | Await
    | Whole
    | OnDuty
    | Rate
    | RollOver
    | Stalled
    | Alarm
    | Refused
    | Frozen
    | Services
    | Pruned
    | SnapshotTaken
    | AnyFault
)

KINDS: Final[Mapping[str, type[Step]]] = {
    str(kind.__struct_config__.tag): kind for kind in typing.get_args(Step)
}
"""Every kind of step by the name that `do` has for it, in the order of `Step`."""


def read(raw: object) -> Step:
    """A step as a drill's file has it. Raises `ValueError` that says what could stand there."""
    do = raw.get("do") if isinstance(raw, dict) else None
    if not isinstance(do, str):
        raise ValueError(f'expected do = "..." with one of {", ".join(KINDS)}')
    if do not in KINDS:
        near = difflib.get_close_matches(do, KINDS, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(KINDS)}"
        raise ValueError(f"do = {do!r}: there is no such step; {meant}")
    try:
        step: Step = msgspec.convert(raw, KINDS[do])
    except msgspec.ValidationError as problem:
        fields = ", ".join(KINDS[do].__struct_fields__)
        words = f"takes {fields}" if fields else "takes nothing else"
        raise ValueError(f"do = {do!r}: {problem}; {do} {words}") from problem
    return step


def in_words(step: Step) -> str:
    """What is done, as in the drill's file, without what it leaves as it is."""
    told: dict[str, Any] = msgspec.to_builtins(step)
    usual = {each.name: each.default for each in msgspec.structs.fields(step)}
    said = [
        str(value) if name == "target" else f"{name} {_short(value)}"
        for name, value in told.items()
        if name != "do" and value != usual[name]
    ]
    return " ".join([told["do"], ", ".join(said)]).strip()


def _short(value: object) -> str:
    match value:
        case float():
            return f"{value:g}"
        case tuple():
            return " ".join(map(str, value))
    return str(value)


def longest_s(step: Step) -> float:
    """How long a step can take at most; 0 for what is done at once."""
    return float(getattr(step, "within_s", 0.0)) + float(getattr(step, "for_s", 0.0))
