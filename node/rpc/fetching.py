"""Fetching a snapshot that was offered (M4): resumed after every cut, checked piece by piece.

What is there of it lies in a part file, of which only whole chunks count: the last one may have
been half-way to the disk when the process ended. Nothing here touches the file on the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from node.rpc.server import open_channel
from node.rpc.snapshots import CHUNK_BYTES, STALLED_S
from node.rpc.wire_refusal import retry_after_ms
from node.rpc.wire_replication import SERVICE
from node.rpc.wire_snapshots import (
    METHOD,
    ChunkDamaged,
    SnapshotChunk,
    SnapshotRequest,
    decode_chunk,
    encode_request,
)

TRIES: Final = 20
PAUSE_S: Final = 0.5

RESERVE_BYTES: Final = 67_108_864
"""Room that a snapshot must leave on the disk: the log of this very replica is there, too."""

Progress = Callable[[int, int], None]


class SnapshotError(Exception):
    """A snapshot could not be fetched; the message says why."""


class SnapshotCut(SnapshotError):
    """It broke off; what came stays, and the next fetch goes on from there."""

    def __init__(self, reason: str, retry_after_ms: int = 0) -> None:
        super().__init__(reason)
        self.retry_after_ms = retry_after_ms


class SnapshotGone(SnapshotError):
    """It cannot be had there: another offer must come."""


class SnapshotDamaged(SnapshotError):
    """What came is not what was sent; the part file is deleted, the next fetch begins anew."""


async def fetch(
    address: str,
    request: SnapshotRequest,
    part: Path,
    *,
    progress: Progress,
    on_received: Callable[[int], None] = lambda size: None,
    stalled_s: float = STALLED_S,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> None:
    """Complete `part` with the snapshot of `request` from the replica at `address`.

    The request's offset is the part file's. When it returns the file is whole, on disk, and has
    the sender's SHA-256. After every chunk `progress` is told bytes here and bytes in all,
    `on_received` the chunk's own.
    Raises `SnapshotCut`, `SnapshotGone`, `SnapshotDamaged`.
    """
    try:
        offset = await asyncio.to_thread(_whole_chunks, part)
        first: SnapshotChunk | None = None
        async with open_channel(address) as channel:
            ask = channel.unary_stream(
                f"/{SERVICE}/{METHOD}",
                request_serializer=encode_request,
                response_deserializer=bytes,  # decoded off the loop
            )
            call: Any = ask(replace(request, offset=offset))
            while True:
                async with asyncio.timeout(stalled_s):
                    raw = await call.read()
                if raw is grpc.aio.EOF:
                    break
                chunk = await asyncio.to_thread(_put, part, raw, offset, first)
                if first is None:
                    first = chunk
                    needed = chunk.total - offset + RESERVE_BYTES
                    free = await asyncio.to_thread(free_bytes, part.parent)
                    if free < needed:
                        raise SnapshotCut(
                            f"{part.parent} has {free} bytes free, {needed} are needed: make room"
                        )
                offset += len(chunk.data)
                on_received(len(chunk.data))
                progress(offset, chunk.total)
        if first is None or offset < first.total:
            raise SnapshotCut(f"the stream from {address} ended after byte {offset}")
        await asyncio.to_thread(_finish, part, first)
    except TimeoutError as problem:
        raise SnapshotCut(f"nothing came from {address} for {stalled_s:.0f} s") from problem
    except grpc.aio.AioRpcError as problem:
        await _ended(problem, address, part)
    except (SnapshotDamaged, ChunkDamaged) as problem:
        await asyncio.to_thread(part.unlink, missing_ok=True)
        raise SnapshotDamaged(f"{problem}; the part that was here is deleted") from problem
    except OSError as problem:
        raise SnapshotCut(f"{part} cannot be written: {problem.strerror}") from problem


async def fetch_patiently(
    address: str,
    request: SnapshotRequest,
    part: Path,
    *,
    progress: Progress,
    on_received: Callable[[int], None] = lambda size: None,
    tries: int = TRIES,
    pause_s: float = PAUSE_S,
) -> None:
    """`fetch`, again after every cut, until it is whole or `tries` in a row brought nothing.

    Damage is met once by beginning anew. Raises as `fetch` does.
    """
    left = tries
    damaged = False
    reached = 0

    def moved(here: int, total: int) -> None:
        nonlocal left, reached
        if here > reached:
            left, reached = tries, here
        progress(here, total)

    while True:
        try:
            await fetch(address, request, part, progress=moved, on_received=on_received)
            return
        except SnapshotCut as cut:
            left -= 1
            if left <= 0:
                raise
            await asyncio.sleep(max(pause_s, cut.retry_after_ms / 1000))
        except SnapshotDamaged:
            if damaged:
                raise
            damaged = True
            reached = 0


async def _ended(problem: grpc.aio.AioRpcError, address: str, part: Path) -> None:
    """Say in our own words how the stream ended."""
    details = f"{address}: {problem.details()}"
    match problem.code():
        case (
            grpc.StatusCode.NOT_FOUND
            | grpc.StatusCode.FAILED_PRECONDITION
            | grpc.StatusCode.UNIMPLEMENTED
        ):
            raise SnapshotGone(details) from problem
        case grpc.StatusCode.OUT_OF_RANGE:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise SnapshotDamaged(details) from problem
        case _:
            raise SnapshotCut(details, retry_after_ms(problem)) from problem


def _whole_chunks(part: Path) -> int:
    """Bytes of the part file that count; what is beyond is cut off."""
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0
    counts = size - size % CHUNK_BYTES
    if counts != size:
        os.truncate(part, counts)
    return counts


def _put(part: Path, raw: bytes, offset: int, first: SnapshotChunk | None) -> SnapshotChunk:
    """Check a chunk and write it to its place. Opened each time: a cancelled fetch leaves no file
    open, and no late write can hit another one.
    """
    chunk = decode_chunk(raw)
    if chunk.offset != offset:
        raise SnapshotDamaged(f"a chunk for byte {chunk.offset} came where {offset} was due")
    if first is not None and (chunk.total, chunk.sha256) != (first.total, first.sha256):
        raise SnapshotDamaged("the snapshot changed while it was sent")
    if offset + len(chunk.data) > chunk.total:
        raise SnapshotDamaged(f"more than the {chunk.total} bytes that were announced came")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(chunk.data)
        while left:
            written = os.pwrite(descriptor, left, offset + len(chunk.data) - len(left))
            left = left[written:]
    finally:
        os.close(descriptor)
    return chunk


def _finish(part: Path, announced: SnapshotChunk) -> None:
    """Everything on disk, and everything right."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        if size != announced.total:
            raise SnapshotDamaged(f"{size} bytes are here, {announced.total} were announced")
        if hashlib.file_digest(file, "sha256").digest() != announced.sha256:
            raise SnapshotDamaged("the whole does not have the SHA-256 that was announced")
