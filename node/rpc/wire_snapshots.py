"""A snapshot's way over the wire: which one is asked for, and its bytes in checked pieces.

Encoding and decoding copy and add up a quarter of a MiB each time, so callers do both off the
event loop; gRPC itself is handed bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from proto import replication_pb2 as pb

METHOD: Final = "Snapshot"


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """`node` asks for the snapshot at `index`, whose chain hash is `hash`, from `offset` on."""

    cluster_id: str
    node: str
    index: int
    hash: bytes
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotChunk:
    """Bytes at `offset`; `total` and `sha256` are those of the whole file."""

    offset: int
    data: bytes
    total: int
    sha256: bytes


class ChunkDamaged(ValueError):
    """Bytes that are no chunk, or whose check sum says that they were changed on the way."""


def encode_request(request: SnapshotRequest) -> bytes:
    """The bytes of a request: a gRPC serializer."""
    return pb.SnapshotRequest(
        cluster_id=request.cluster_id,
        node=request.node,
        index=request.index,
        hash=request.hash,
        offset=request.offset,
    ).SerializeToString()


def decode_request(raw: bytes) -> SnapshotRequest | None:
    """The request in `raw`, or None where there is none: a gRPC deserializer must not raise."""
    try:
        request = pb.SnapshotRequest.FromString(raw)
    except DecodeError:
        return None
    return SnapshotRequest(
        request.cluster_id, request.node, request.index, request.hash, request.offset
    )


def encode_chunk(chunk: SnapshotChunk) -> bytes:
    """The bytes of a chunk, with the CRC-32 of its data."""
    return pb.SnapshotChunk(
        offset=chunk.offset,
        data=chunk.data,
        crc=zlib.crc32(chunk.data),
        total=chunk.total,
        sha256=chunk.sha256,
    ).SerializeToString()


def decode_chunk(raw: bytes) -> SnapshotChunk:
    """The inverse of `encode_chunk`. Raises `ChunkDamaged`."""
    try:
        chunk = pb.SnapshotChunk.FromString(raw)
    except DecodeError as problem:
        raise ChunkDamaged("the bytes are no chunk of a snapshot") from problem
    if zlib.crc32(chunk.data) != chunk.crc:
        raise ChunkDamaged(f"the chunk at byte {chunk.offset} does not match its check sum")
    return SnapshotChunk(chunk.offset, chunk.data, chunk.total, chunk.sha256)
