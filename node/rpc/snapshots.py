"""Serving snapshots (M4): a file that was offered, in checked pieces, at a bounded rate.

The server keeps settling meanwhile: what is sent is bounded in bytes a second over all askers
together, few are served at once, and no file is touched on the event loop. An asker that lost its
stream asks again from where it was; fetching is in `node.rpc.fetching`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, Protocol

import grpc
import grpc.aio

from node.rpc.errors import Rejection, unreadable
from node.rpc.refuse import refuse
from node.rpc.wire_replication import SERVICE
from node.rpc.wire_snapshots import (
    METHOD,
    SnapshotChunk,
    SnapshotRequest,
    decode_request,
    encode_chunk,
)

CHUNK_BYTES: Final = 262_144

SERVED_AT_ONCE: Final = 2
"""Askers served at the same time; they share the rate."""

BUSY_RETRY_MS: Final = 2000
"""When one who was not served is told to come again."""

STALLED_S: Final = 30.0
"""How long an asker may take for one chunk before it is taken for gone."""

Context = grpc.aio.ServicerContext[Any, Any]


class SnapshotFile(Protocol):
    """A snapshot that lies ready: where, how many bytes, and their SHA-256."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def sha256(self) -> bytes:
        """Of all of them."""
        ...


class Pace:
    """No more than so many bytes a second, whoever takes them; a second's rest is not saved up."""

    def __init__(
        self,
        bytes_s: float,
        *,
        now_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`now_s` is a clock that never goes back, in seconds (the loop's own)."""
        self._bytes_s = bytes_s
        self._now_s = now_s
        self._sleep = sleep
        self._paid_until = now_s()

    async def take(self, size: int) -> None:
        """Return when `size` bytes may go."""
        now = self._now_s()
        wait_s = self._paid_until - now
        self._paid_until = max(now, self._paid_until) + size / self._bytes_s
        if wait_s > 0:
            await self._sleep(wait_s)


class SnapshotService:
    """Replication.Snapshot, beside Converse on the replicas' server."""

    def __init__(
        self,
        cluster_id: Callable[[], str],
        known: Collection[str],
        find: Callable[[int, bytes], SnapshotFile | None],
        pace: Pace,
        on_sent: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`known` names the nodes that may ask; `find(index, hash)` is a snapshot offered here;
        `on_sent` is told the bytes of each chunk that left.
        """
        self._cluster_id = cluster_id
        self._known = known
        self._find = find
        self._pace = pace
        self._on_sent = on_sent
        self._serving: dict[str, object] = {}

    async def snapshot(self, request: SnapshotRequest | None, context: Context) -> None:
        """One asker's file from its offset on."""
        if request is None:
            await refuse(context, unreadable())
        found = await self._admit(request, context)
        # A node that asks again has lost its former stream, noticed here or not: the newest counts.
        mine = self._serving[request.node] = object()
        try:
            await self._send(
                request, found, context, lambda: self._serving.get(request.node) is mine
            )
        finally:
            if self._serving.get(request.node) is mine:
                del self._serving[request.node]

    async def _admit(self, request: SnapshotRequest, context: Context) -> SnapshotFile:
        cluster_id = self._cluster_id()
        if not cluster_id or request.cluster_id != cluster_id:
            await _stranger(
                context,
                f"{request.node} asks for data of cluster {request.cluster_id or 'unknown'!r}, "
                f"this is {cluster_id or 'unknown'!r}: its settings or its disk are another's",
            )
        if request.node not in self._known:
            await _stranger(context, f"no node {request.node!r} is known here")
        if request.node not in self._serving and len(self._serving) >= SERVED_AT_ONCE:
            names = " and ".join(sorted(self._serving))
            await refuse(
                context,
                Rejection(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "SNAPSHOT_BUSY",
                    f"{names} are being served: come again later",
                    retry_after_ms=BUSY_RETRY_MS,
                ),
            )
        found = self._find(request.index, request.hash)
        if found is None:
            await _gone(context, request.index)
        if request.offset > found.size:
            await refuse(
                context,
                Rejection(
                    grpc.StatusCode.OUT_OF_RANGE,
                    "SNAPSHOT_OFFSET",
                    f"the snapshot has {found.size} bytes, {request.offset} are said to be there "
                    "already: put them away and begin again",
                ),
            )
        return found

    async def _send(
        self,
        request: SnapshotRequest,
        found: SnapshotFile,
        context: Context,
        is_wanted: Callable[[], bool],
    ) -> None:
        try:
            source = await asyncio.to_thread(_Source, found)
        except OSError:
            await _gone(context, request.index)
        offset = request.offset
        try:
            # Also when all of it is there already: the asker learns the total and the SHA-256.
            while is_wanted():
                await self._pace.take(min(CHUNK_BYTES, found.size - offset))
                raw = await asyncio.to_thread(source.chunk, offset)
                async with asyncio.timeout(STALLED_S):
                    await context.write(raw)
                sent = min(CHUNK_BYTES, found.size - offset)
                self._on_sent(sent)
                offset += sent
                if offset >= found.size:
                    return
            await context.abort(grpc.StatusCode.ABORTED, f"{request.node} has asked again")
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.ABORTED, f"{request.node} took nothing for {STALLED_S:.0f} s"
            )
        except OSError as problem:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, f"{found.path} cannot be read here: {problem}"
            )
        finally:
            # Not waited for: a read under way in another thread may hold it back.
            asyncio.get_running_loop().run_in_executor(None, source.close)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer this service."""
        return grpc.method_handlers_generic_handler(
            SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(self.snapshot, decode_request)}
        )


class _Source:
    """An open file: it can be read to its end even when it is removed meanwhile."""

    def __init__(self, found: SnapshotFile) -> None:
        self._found = found
        self._file: BinaryIO = found.path.open("rb", buffering=0)
        # Closing it under a read in another thread would let that read hit another file.
        self._lock = threading.Lock()

    def chunk(self, offset: int) -> bytes:
        """The message that carries what begins at `offset`. Raises `OSError`."""
        found = self._found
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(CHUNK_BYTES)
        if len(data) != min(CHUNK_BYTES, found.size - offset):
            raise OSError(f"shorter than the {found.size} bytes that it had when it was made")
        return encode_chunk(SnapshotChunk(offset, data, found.size, found.sha256))

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._file.close()


async def _stranger(context: Context, message: str) -> NoReturn:
    await refuse(
        context, Rejection(grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_STRANGER", message)
    )


async def _gone(context: Context, index: int) -> NoReturn:
    await refuse(
        context,
        Rejection(
            grpc.StatusCode.NOT_FOUND,
            "SNAPSHOT_GONE",
            f"there is no such snapshot at index {index} here any more: wait for another offer",
        ),
    )
