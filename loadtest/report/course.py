"""What was done to the cluster, who led and how the sites stood, from events and journals. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, get_args

from deploy.topology import Topology
from loadtest.drill.duty import OPERATOR
from loadtest.evidence import Event
from loadtest.faults import NEEDS_NETWORK, SITE, MachineFault
from loadtest.measure import Figures
from loadtest.report.dossier import Entry
from loadtest.report.model import Ending, Reign, Span

_NETWORK: Final = frozenset(kind.__name__.lower() for kind in NEEDS_NETWORK)
_MACHINES: Final = frozenset(kind.__name__.lower() for kind in get_args(MachineFault))
LASTING: Final = frozenset({"kill", "pause", "stop", "losedisk"}) | _NETWORK | _MACHINES
DONE: Final = LASTING | {"handover", "switch"}
"""The runner's words for what is done to a cluster, as `Scene` writes them."""

_UNDONE: Final = frozenset({"start", "resume", "restore", "mend"})
_HEALED: Final = ("healed", "healed at the end")
_TO_THE_LOAD: Final[dict[str, str]] = {
    "the rate changes": "rate",
    "the business date ends": "rollover",
}
"""What is done to the load, by the player's words for it; it is not undone."""

_AT_ONCE_MS: Final = 1_000.0
"""A gap that begins so close to a healing is that healing's own making."""

_HEALING_MS: Final = 2_000.0
"""A healing is on record once it is done; so much earlier it may have worked."""

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
        elif event.what in _TO_THE_LOAD:
            kind = _TO_THE_LOAD[event.what]
            found.append(Span(event.at_ms, event.at_ms, kind, event.detail))
    return tuple(found)


def operator_steps(events: Iterable[Event]) -> int:
    """How many commands the people on duty typed."""
    return sum(event.what == OPERATOR for event in events)


def gap_ended(figures: Figures, done: Sequence[Span], events: Iterable[Event]) -> Ending:
    """What ended the longest time without an acknowledgement.

    The repair did where nothing was acknowledged up to a fault's healing; people did where one of
    their commands lies in it.
    """
    from_ms = figures.longest_gap_at_ms
    until_ms = from_ms + figures.longest_gap_ms
    lasting = [span for span in done if span.kind in LASTING and span.from_s < until_ms]
    healed = [span.until_s for span in lasting if span.until_s is not None]
    if lasting and until_ms >= figures.stopped_ms:
        return Ending.NEVER
    if any(from_ms + _AT_ONCE_MS <= at_ms <= until_ms + _HEALING_MS for at_ms in healed):
        return Ending.REPAIR
    typed = [event.at_ms for event in events if event.what == OPERATOR]
    if any(from_ms <= at_ms <= until_ms for at_ms in typed):
        return Ending.OPERATORS
    return Ending.ITSELF


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
    by_batches = any(
        site.batch_every_ms for site in topology.sites if site.name != topology.active_site
    )
    turns = [(0.0, "mode_batches" if by_batches else "mode_in_sync")]
    for entry in journal:
        if entry.event == "alarm" and entry.detail.startswith(_DEGRADED):
            turns.append((entry.at_ms, "mode_degraded"))
        elif entry.event == "batches":
            turns.append((entry.at_ms, "mode_batches"))
        elif entry.event == "in-sync":
            turns.append((entry.at_ms, "mode_in_sync"))
    ends: list[float | None] = [at for at, _ in turns[1:]]
    return tuple(
        Span(at, until, kind) for (at, kind), until in zip(turns, [*ends, None], strict=True)
    )
