"""What was done to the cluster, who led and how the sites stood, from events and journals. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from deploy.topology import Topology
from loadtest.evidence import Event
from loadtest.faults import SITE
from loadtest.report.dossier import Entry
from loadtest.report.model import Reign, Span

DONE: Final = frozenset(
    {"kill", "pause", "stop", "losedisk", "cut", "isolate", "handover", "switch"}
)
"""The runner's words for what is done to a cluster, as `Scene` writes them."""

LASTING: Final = DONE - {"handover", "switch"}
_UNDONE: Final = frozenset({"start", "resume", "restore"})
_HEALED: Final = ("healed", "healed at the end")
_SILENCED: Final = frozenset({"kill", "stop", "losedisk"})
_EPOCH: Final = re.compile(r"epoch (\d+) from index \d+")
_DEGRADED: Final = "degraded"


def faults(events: Iterable[Event]) -> tuple[Span, ...]:
    """What was done, on the events' clock in milliseconds, each until it was undone."""
    found: list[Span] = []
    for event in events:
        verb, _, names = event.what.partition(" ")
        if verb in DONE and names:
            until = None if verb in LASTING else event.at_ms
            found += [Span(event.at_ms, until, verb, name) for name in names.split(", ")]
        elif verb in _UNDONE and event.detail in _HEALED:
            found = _undo(found, names, event.at_ms)
    return tuple(found)


def _undo(found: list[Span], name: str, at_ms: float) -> list[Span]:
    """Close the latest span over `name` that is still open."""
    for number in range(len(found) - 1, -1, -1):
        span = found[number]
        if span.who == name and span.until_s is None:
            found[number] = Span(span.from_s, at_ms, span.kind, span.who)
            break
    return found


def reigns(
    journal: Sequence[Entry], done: Sequence[Span], topology: Topology | None
) -> tuple[Reign, ...]:
    """Who served as leader, and until it said otherwise, was killed, or another one served."""
    starts = [
        (entry, int(match.group(1)))
        for entry in journal
        if entry.event == "serving" and (match := _EPOCH.match(entry.detail))
    ]
    found = []
    for number, (entry, epoch) in enumerate(starts):
        ends = [
            later.at_ms
            for later in journal
            if later.at_ms > entry.at_ms
            and later.who == entry.who
            and later.event in ("follower", "stopped", "silent", "started")
        ]
        ends += [
            span.from_s
            for span in done
            if span.from_s > entry.at_ms
            and span.kind in _SILENCED
            and entry.who in hit(span.who, topology)
        ]
        ends += [later.at_ms for later, _ in starts[number + 1 : number + 2]]
        found.append(Reign(entry.at_ms, min(ends, default=None), entry.who, epoch))
    return tuple(found)


def hit(target: str, topology: Topology | None) -> tuple[str, ...]:
    """The target of a fault, and all that stands there where it is a place."""
    place = target.removeprefix(SITE)
    if place == target or topology is None or place not in topology.places():
        return (target,)
    return (target, *topology.at(place))


def modes(journal: Iterable[Entry], topology: Topology | None) -> tuple[Span, ...]:
    """How the two sites stood, as the leaders told it; nothing where there is one site only."""
    if topology is None or len(topology.sites) < 2:
        return ()
    turns = [(0.0, "mode_in_sync")]
    for entry in journal:
        if entry.event == "alarm" and entry.detail.startswith(_DEGRADED):
            turns.append((entry.at_ms, "mode_degraded"))
        elif entry.event == "in-sync":
            turns.append((entry.at_ms, "mode_in_sync"))
    ends: list[float | None] = [at for at, _ in turns[1:]]
    return tuple(
        Span(at, until, kind) for (at, kind), until in zip(turns, [*ends, None], strict=True)
    )
