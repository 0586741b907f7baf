"""The keys under `/kessai/<cluster>/` and the records in them, as canonical JSON.

Pure. Unknown fields in a record are ignored, so that a newer node may say more than an older one
understands; a missing or mistyped field is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def _decode(data: bytes, record: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(data, type=record)
    except msgspec.MsgspecError as problem:
        raise RecordError(f"not a {record.__name__}: {problem}") from problem
