"""Peer messages: envelopes on the wire, frozen dataclasses in the core, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from node.core import messages as core
from proto import replication_pb2 as pb

Envelope = pb.Envelope
"""One message between replicas, as bytes on a stream."""

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Replication"].full_name


class EnvelopeError(ValueError):
    """Bytes from a peer that are no message this version knows."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First on every stream: who speaks. `cluster_id` is empty before the first promise."""

    cluster: str
    cluster_id: str
    node: str
    disk_id: str
    site: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The receiver's one answer: who listens."""

    node: str
    disk_id: str


def to_envelope(message: core.Message | Hello) -> Envelope:
    """The envelope that carries `message`."""
    return _TO[type(message)](message)


def from_envelope(envelope: Envelope) -> core.Message | Hello:
    """The inverse of `to_envelope`. Raises `EnvelopeError` for a kind not known here."""
    kind = envelope.WhichOneof("message")
    if kind is None:
        raise EnvelopeError("a peer sent an empty envelope, or a kind this version does not know")
    return _FROM[kind](getattr(envelope, kind))


def encode(envelope: Envelope) -> bytes:
    """The bytes of an envelope: a gRPC serializer."""
    return envelope.SerializeToString()


def decode(raw: bytes) -> Envelope | None:
    """The envelope in `raw`, or None where there is none: a gRPC deserializer must not raise."""
    try:
        return pb.Envelope.FromString(raw)
    except DecodeError:
        return None


def encode_welcome(welcome: Welcome) -> bytes:
    """The bytes of a Welcome: a gRPC serializer."""
    return pb.Welcome(node=welcome.node, disk_id=welcome.disk_id).SerializeToString()


def decode_welcome(raw: bytes) -> Welcome | None:
    """The Welcome in `raw`, or None where there is none."""
    try:
        welcome = pb.Welcome.FromString(raw)
    except DecodeError:
        return None
    return Welcome(welcome.node, welcome.disk_id)


def _entries_out(entries: Iterable[core.Entry]) -> list[pb.Entry]:
    return [
        pb.Entry(index=entry.index, epoch=entry.epoch, payload=entry.payload, hash=entry.hash)
        for entry in entries
    ]


def _entries_in(entries: Iterable[pb.Entry]) -> tuple[core.Entry, ...]:
    return tuple(
        core.Entry(entry.index, entry.epoch, entry.payload, entry.hash) for entry in entries
    )


def _append_out(message: core.Append) -> Envelope:
    return Envelope(
        append=pb.Append(
            epoch=message.epoch,
            round=message.round,
            prev_index=message.prev_index,
            prev_epoch=message.prev_epoch,
            prev_hash=message.prev_hash,
            entries=_entries_out(message.entries),
            commit_index=message.commit_index,
            floor=message.floor,
        )
    )


def _append_in(message: pb.Append) -> core.Append:
    return core.Append(
        epoch=message.epoch,
        round=message.round,
        prev_index=message.prev_index,
        prev_epoch=message.prev_epoch,
        prev_hash=message.prev_hash,
        entries=_entries_in(message.entries),
        commit_index=message.commit_index,
        floor=message.floor,
    )


def _ack_out(message: core.Ack) -> Envelope:
    return Envelope(ack=pb.Ack(epoch=message.epoch, round=message.round, index=message.index))


def _ack_in(message: pb.Ack) -> core.Ack:
    return core.Ack(message.epoch, message.round, message.index)


def _entries_message_out(message: core.Entries) -> Envelope:
    return Envelope(
        entries=pb.Entries(
            epoch=message.epoch,
            prev_index=message.prev_index,
            matched=message.matched,
            entries=_entries_out(message.entries),
            last_index=message.last_index,
        )
    )


def _entries_message_in(message: pb.Entries) -> core.Entries:
    return core.Entries(
        epoch=message.epoch,
        prev_index=message.prev_index,
        matched=message.matched,
        entries=_entries_in(message.entries),
        last_index=message.last_index,
    )


_TO: Final[dict[type, Callable[[Any], Envelope]]] = {
    core.Append: _append_out,
    core.Ack: _ack_out,
    core.Entries: _entries_message_out,
    Hello: lambda m: Envelope(
        hello=pb.Hello(
            cluster=m.cluster,
            cluster_id=m.cluster_id,
            node=m.node,
            disk_id=m.disk_id,
            site=m.site,
        )
    ),
    core.Fence: lambda m: Envelope(
        fence=pb.Fence(epoch=m.epoch, configuration_revision=m.configuration_revision)
    ),
    core.Promise: lambda m: Envelope(
        promise=pb.Promise(
            epoch=m.epoch,
            last_epoch=m.last_epoch,
            last_index=m.last_index,
            commit_index=m.commit_index,
            prune_index=m.prune_index,
        )
    ),
    core.Refuse: lambda m: Envelope(
        refuse=pb.Refuse(
            epoch=m.epoch,
            promised=m.promised,
            configuration_revision=m.configuration_revision,
        )
    ),
    core.Mismatch: lambda m: Envelope(
        mismatch=pb.Mismatch(epoch=m.epoch, round=m.round, hint_index=m.hint_index)
    ),
    core.Fetch: lambda m: Envelope(
        fetch=pb.Fetch(
            epoch=m.epoch,
            prev_index=m.prev_index,
            prev_epoch=m.prev_epoch,
            prev_hash=m.prev_hash,
        )
    ),
    core.Suspect: lambda m: Envelope(suspect=pb.Suspect(epoch=m.epoch)),
    core.Suspicion: lambda m: Envelope(suspicion=pb.Suspicion(epoch=m.epoch, agreed=m.agreed)),
    core.Handover: lambda m: Envelope(handover=pb.Handover(epoch=m.epoch)),
    core.Offer: lambda m: Envelope(
        offer=pb.Offer(epoch=m.epoch, index=m.index, entry_epoch=m.entry_epoch, hash=m.hash)
    ),
}

_FROM: Final[dict[str, Callable[[Any], core.Message | Hello]]] = {
    "append": _append_in,
    "ack": _ack_in,
    "entries": _entries_message_in,
    "hello": lambda m: Hello(m.cluster, m.cluster_id, m.node, m.disk_id, m.site),
    "fence": lambda m: core.Fence(m.epoch, m.configuration_revision),
    "promise": lambda m: core.Promise(
        m.epoch, m.last_epoch, m.last_index, m.commit_index, m.prune_index
    ),
    "refuse": lambda m: core.Refuse(m.epoch, m.promised, m.configuration_revision),
    "mismatch": lambda m: core.Mismatch(m.epoch, m.round, m.hint_index),
    "fetch": lambda m: core.Fetch(m.epoch, m.prev_index, m.prev_epoch, m.prev_hash),
    "suspect": lambda m: core.Suspect(m.epoch),
    "suspicion": lambda m: core.Suspicion(m.epoch, m.agreed),
    "handover": lambda m: core.Handover(m.epoch),
    "offer": lambda m: core.Offer(m.epoch, m.index, m.entry_epoch, m.hash),
}
