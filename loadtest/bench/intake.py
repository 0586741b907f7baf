"""How a node that was away caught up: figures from what was seen of it, look by look. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtest.bench.beat import Beat, Waits
from loadtest.bench.rounds import Spread

NEAR: Final = 5  # entries; under load a replica in sync is behind by a batch or two at any moment


class NeverCaughtUp(ValueError):
    """The looks do not hold a whole return: there is nothing to report."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the leader said at one moment (`perf_counter` seconds).

    `acked`: the entry up to which the node has acknowledged; `last`: the leader's own last one.
    """

    at_s: float
    acked: int
    last: int
    counted: bool

    @property
    def near(self) -> bool:
        """Has the node taken in all but what is on its way?"""
        return self.last - self.acked <= NEAR


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a snapshot was there at one moment (`perf_counter` seconds), in bytes."""

    at_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Moments:
    """When things happened, in `perf_counter` seconds."""

    load_s: float  # the steady load began
    away_s: float  # the node was stopped
    return_s: float  # the node was started again
    end_s: float  # the steady load ended


@dataclass(frozen=True, slots=True)
class Gap:
    """What the node missed while it was away."""

    entries: int
    settlements: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """The snapshot that was fetched; `seconds` is from the first byte seen to the last."""

    size_bytes: int
    seconds: float
    bytes_s: float


@dataclass(frozen=True, slots=True)
class Return:
    """One return. Times are in seconds from the start of the node's process.

    `entries_s`: entries acknowledged a second from the first to the last it had missed; a node that
    takes a snapshot gets over most of them at once, so there it says nothing of the log.
    """

    missed: Gap
    first_s: float
    caught_up_s: float
    counted_s: float
    entries_s: float
    settlements_s: float
    snapshot: Transfer | None
    before: Waits
    starting: Waits
    taking_in: Waits
    after: Waits

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return asdict(self)


def returned(
    looks: Sequence[Look],
    sizes: Sequence[Size],
    missed: Gap,
    moments: Moments,
    beats: Sequence[Beat],
) -> Return:
    """The figures of one return; `looks` and `sizes` begin when its process was started.

    Raises `NeverCaughtUp` where the node did not take in anything, or was never counted again.
    """
    if not looks:
        raise NeverCaughtUp("nobody looked")
    held = looks[0].acked
    first = next((number for number, look in enumerate(looks) if look.acked > held), None)
    if first is None:
        raise NeverCaughtUp(f"the node took in nothing: it stands at entry {held}")
    begin = looks[max(0, first - 1)]
    near = next((look for look in looks[first:] if look.near), None)
    counted = next((look for look in looks[first:] if look.counted), None)
    if near is None or counted is None:
        raise NeverCaughtUp(f"the node came to entry {looks[-1].acked} of {looks[-1].last}")
    fetched = transfer(sizes)
    entries_s = (near.acked - begin.acked) / (near.at_s - begin.at_s)
    work_s = _work_begins(sizes, begin)
    return Return(
        missed=missed,
        first_s=work_s - moments.return_s,
        caught_up_s=near.at_s - moments.return_s,
        counted_s=counted.at_s - moments.return_s,
        entries_s=entries_s,
        settlements_s=entries_s * missed.settlements / max(1, missed.entries),
        snapshot=fetched,
        before=Waits.of(beats, moments.load_s, moments.away_s),
        starting=Waits.of(beats, moments.return_s, work_s),
        taking_in=Waits.of(beats, work_s, counted.at_s),
        after=Waits.of(beats, counted.at_s, moments.end_s),
    )


def _work_begins(sizes: Sequence[Size], begin: Look) -> float:
    """When the node began to take in: the snapshot's first byte, or the last look before an ack."""
    bytes_seen = [each.at_s for each in sizes if each.size_bytes]
    return min([begin.at_s, *bytes_seen[:1]])


def transfer(sizes: Sequence[Size]) -> Transfer | None:
    """The snapshot as seen growing; None where it was not seen in at least two sizes."""
    grown: list[Size] = []
    for each in sizes:
        if each.size_bytes > (grown[-1].size_bytes if grown else 0):
            grown.append(each)
    if len(grown) < 2:
        return None
    first, last = grown[0], grown[-1]
    seconds = last.at_s - first.at_s
    return Transfer(last.size_bytes, seconds, (last.size_bytes - first.size_bytes) / seconds)


def spread(returns: Sequence[Return], of: str) -> Spread:
    """The spread of one figure of several returns, such as `counted_s` or `taking_in.p99_ms`."""
    values: list[float] = []
    for each in returns:
        value: Any = each
        for part in of.split("."):
            value = getattr(value, part)
        values.append(float(value))
    return Spread.of(values)
