"""The keys under `/kessai/<cluster>/` and the records in them, as canonical JSON.

Pure. Unknown fields in a record are ignored, so that a newer node may say more than an older one
understands; a missing or mistyped field is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

_Record = TypeVar("_Record")


class RecordError(ValueError):
    """Bytes in etcd that are not the record their key promises, or a name that cannot be a key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The key layout of one cluster. Raises `RecordError` for a name that would break it."""

    cluster: str

    def __post_init__(self) -> None:
        if not self.cluster or "/" in self.cluster:
            raise RecordError(f"a cluster's name is not empty and has no slash: {self.cluster!r}")

    @property
    def prefix(self) -> str:
        """Everything of this cluster, and of no other."""
        return f"/kessai/{self.cluster}/"

    @property
    def configuration(self) -> str:
        """Who counts (E1)."""
        return f"{self.prefix}configuration"

    @property
    def leader(self) -> str:
        """Who leads, and since which epoch (E2)."""
        return f"{self.prefix}leader"

    @property
    def nodes(self) -> str:
        """The prefix of what nodes say of themselves."""
        return f"{self.prefix}nodes/"

    @property
    def events(self) -> str:
        """The prefix of the operators' records."""
        return f"{self.prefix}events/"

    @property
    def reports(self) -> str:
        """The prefix of what each place has seen of the sites."""
        return f"{self.prefix}reports/"

    def event(self, at_ms: int, source: str, serial: str) -> str:
        """Where one event is written: keys sort by time, then source, then serial.

        Raises `RecordError` for a time below 0 and for names with a slash, or none.
        """
        if at_ms < 0 or not source or not serial or "/" in source + serial:
            raise RecordError(f"not an event's time, source and serial: {at_ms} {source} {serial}")
        return f"{self.events}{at_ms:014d}.{source}.{serial}"

    def report(self, place: str) -> str:
        """Where `place` reports. Raises `RecordError` for a name with a slash, or none."""
        if not place or "/" in place:
            raise RecordError(f"a place's name is not empty and has no slash: {place!r}")
        return f"{self.reports}{place}"

    def node(self, name: str) -> str:
        """Where node `name` publishes. Raises `RecordError` for a name with a slash, or none."""
        if not name or "/" in name:
            raise RecordError(f"a node's name is not empty and has no slash: {name!r}")
        return f"{self.nodes}{name}"


class LeaderRecord(msgspec.Struct, frozen=True):
    """The leader key: who holds it, where terminals find it, and which attempt won it.

    `epoch` is the key's `mod_revision`: known to whoever read it, so 0 inside etcd.
    """

    node: str
    disk: str
    site: str
    endpoint: str
    nonce: str
    epoch: int = 0

    def to_json(self) -> bytes:
        """Canonical bytes for etcd, without the epoch."""
        fields = msgspec.structs.asdict(self)
        del fields["epoch"]
        return msgspec.json.encode(fields, order="sorted")

    @classmethod
    def from_json(cls, data: bytes, epoch: int) -> LeaderRecord:
        """The record in `data`, read at `mod_revision` `epoch`. Raises `RecordError`."""
        return msgspec.structs.replace(_decode(data, cls), epoch=epoch)


class NodeRecord(msgspec.Struct, frozen=True):
    """What a node says of itself under `nodes/`, for as long as it renews its lease.

    `terminals` and `peers` are `host:port`; `last_index` is the end of its log, 0 when empty.
    """

    node: str
    disk: str
    site: str
    terminals: str
    peers: str
    last_index: int
    health: str

    def to_json(self) -> bytes:
        """Canonical bytes for etcd."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_json(cls, data: bytes) -> NodeRecord:
        """The inverse of `to_json`. Raises `RecordError` on anything else."""
        return _decode(data, cls)


class EventRecord(msgspec.Struct, frozen=True):
    """Something an operator wants to find again: a switch, a set change, an alarm, a consent.

    `at_ms` is the source's wall clock (Unix milliseconds); `site` the place it stands in; `kind` a
    short fixed word; `epoch` and `index` are 0 where they mean nothing; `why` is a sentence.
    """

    at_ms: int
    source: str
    site: str
    kind: str
    epoch: int
    index: int
    why: str

    def to_json(self) -> bytes:
        """Canonical bytes for etcd."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_json(cls, data: bytes) -> EventRecord:
        """The inverse of `to_json`. Raises `RecordError` on anything else."""
        return _decode(data, cls)


class Reach(StrEnum):
    """How a node answers a terminal that asks it a real question."""

    SERVES = "serves"  # it leads, and proved it
    STALLS = "stalls"  # it leads or seems to, but proves nothing now: its write quorum is away
    ANSWERS = "answers"  # it sends the terminal elsewhere
    SILENT = "silent"  # refused, or nothing in time


class NodeSight(msgspec.Struct, frozen=True):
    """One node as seen from one place: how it answers, since when, and its own words for it."""

    node: str
    site: str
    reach: Reach
    for_ms: int
    reason: str = ""


class ReportRecord(msgspec.Struct, frozen=True):
    """What one place has seen, written over and over under `reports/`.

    Durations are by the place's own clock. `unserved_ms`: for how long nobody in `active_site` has
    served a terminal; `awaited`: nobody there has since it became active, or since this place began
    to look. `leader_unreached_ms`: for how long terminals cannot reach the leader of `epoch` while
    other nodes of its site answer them; `led_ms`: how long it has led. `failover_ms`: how long ago
    the active site changed while the former one had long served nobody. These two are -1 where
    this place has seen no such change. `etcd_away_ms`: how long etcd was last away, 0 for never.
    `at_ms` is the wall clock, for people only: nothing is judged by it.
    """

    place: str
    source: str
    sequence: int
    at_ms: int
    mode: str
    revision: int
    active_site: str
    unserved_ms: int
    awaited: bool
    leader: str
    epoch: int
    led_ms: int
    leader_unreached_ms: int
    failover_ms: int
    nodes: tuple[NodeSight, ...]
    etcd: str
    etcd_ok: bool
    etcd_away_ms: int
    says: str = ""
    proposal: str = ""

    def to_json(self) -> bytes:
        """Canonical bytes for etcd."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_json(cls, data: bytes) -> ReportRecord:
        """The inverse of `to_json`. Raises `RecordError` on anything else."""
        return _decode(data, cls)


def _decode(data: bytes, record: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(data, type=record)
    except msgspec.MsgspecError as problem:
        raise RecordError(f"not a {record.__name__}: {problem}") from problem
