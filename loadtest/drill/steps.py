"""The steps of a drill that are no faults: what is waited for, and what must be so, as data."""

from __future__ import annotations

import msgspec

from loadtest.faults import (
    Cut,
    HandOver,
    Isolate,
    Kill,
    LoseDisk,
    Pause,
    Restore,
    Resume,
    Start,
    Stop,
    Switch,
)


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
    them there and close. `mode`: "in sync", "degraded", "one site". `active`: the active site.
    Nothing at all asked for: that somebody leads. Fails after `within_s`.
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
    """A terminal asks for one settlement of each of the seven services: all must be approved."""

    within_s: float = 10.0


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


Step = (
    Steady
    | Hold
    | Heal
    | Await
    | Stalled
    | Alarm
    | Refused
    | Frozen
    | Services
    | Pruned
    | SnapshotTaken
    | Kill
    | Pause
    | Stop
    | LoseDisk
    | Start
    | Resume
    | HandOver
    | Switch
    | Cut
    | Isolate
    | Restore
)
