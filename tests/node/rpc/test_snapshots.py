"""Snapshots over a real server: whole, cut, damaged, gone, paced, and not too many at once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from node.rpc.fetching import (
    SnapshotCut,
    SnapshotDamaged,
    SnapshotGone,
    fetch,
    fetch_patiently,
)
from node.rpc.server import build_server, listen, open_channel
from node.rpc.snapshots import CHUNK_BYTES, SERVED_AT_ONCE, Pace, SnapshotService
from node.rpc.wire_replication import SERVICE
from node.rpc.wire_snapshots import (
    METHOD,
    ChunkDamaged,
    SnapshotChunk,
    SnapshotRequest,
    decode_chunk,
    decode_request,
    encode_chunk,
    encode_request,
)

REQUEST = SnapshotRequest("c1", "b1", 40, b"\7" * 32)
SIZE = 5 * CHUNK_BYTES + 1234


@dataclass(frozen=True)
class File:
    """A snapshot that lies ready."""

    path: Path
    size: int
    sha256: bytes


@pytest.fixture
def ready(tmp_path: Path) -> File:
    """A file of some chunks and a bit."""
    path = tmp_path / "snapshot"
    data = random.Random(7).randbytes(SIZE)
    path.write_bytes(data)
    return File(path, SIZE, hashlib.sha256(data).digest())


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Where a fetched file is put together."""
    return tmp_path / "part"


class Valve:
    """A sleep that lets so many pass, then holds everybody until it is opened."""

    def __init__(self, passes: int = 1_000_000) -> None:
        self._passes = passes
        self._held = 0
        self._came = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _: float) -> None:
        """Instead of `asyncio.sleep`."""
        self._passes -= 1
        if self._passes < 0:
            self._held += 1
            self._came.set()
            await self.open.wait()

    async def holds(self, many: int) -> None:
        """Return once so many are held."""
        while self._held < many:
            self._came.clear()
            await self._came.wait()


def kept(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    return path.read_bytes() if path.exists() else None


def put(path: Path, data: bytes) -> None:
    """Make a file hold `data`."""
    path.write_bytes(data)


def remove(path: Path) -> None:
    """Take a file away."""
    path.unlink()


@asynccontextmanager
async def serving(*handlers: grpc.GenericRpcHandler) -> AsyncIterator[str]:
    """A server with these handlers; yields its address."""
    server = build_server(handlers, services=(), health=None, message_bytes=65536)
    port = listen(server, "127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def service(
    found: File | None, valve: Valve | None = None, sent: list[int] | None = None
) -> SnapshotService:
    """Offers `found` at REQUEST's index and hash; every chunk but the first sleeps in `valve`.

    What leaves is counted in `sent`.
    """

    def find(index: int, chain_hash: bytes) -> File | None:
        return found if (index, chain_hash) == (REQUEST.index, REQUEST.hash) else None

    pace = Pace(1.0, now_s=lambda: 0.0, sleep=valve or Valve())
    return SnapshotService(
        lambda: "c1", {"b1", "b2", "b3"}, find, pace, (sent if sent is not None else []).append
    )


def ignored(here: int, total: int) -> None:
    """A progress nobody watches."""


def sending(*chunks: bytes) -> grpc.GenericRpcHandler:
    """A server that sends just these messages to everybody."""

    async def snapshot(request: object, context: Any) -> None:
        for chunk in chunks:
            await context.write(chunk)

    return grpc.method_handlers_generic_handler(
        SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(snapshot, decode_request)}
    )


def pieces(data: bytes) -> list[SnapshotChunk]:
    """`data` as it should be sent."""
    sha256 = hashlib.sha256(data).digest()
    return [
        SnapshotChunk(offset, data[offset : offset + CHUNK_BYTES], len(data), sha256)
        for offset in range(0, len(data), CHUNK_BYTES)
    ]


async def test_a_snapshot_arrives_whole(ready: File, part: Path) -> None:
    told: list[tuple[int, int]] = []
    sent: list[int] = []
    async with serving(service(ready, sent=sent).handler()) as address:
        await fetch(address, REQUEST, part, progress=lambda *both: told.append(both))
    assert kept(part) == kept(ready.path)
    assert told == [(min(n * CHUNK_BYTES, SIZE), SIZE) for n in range(1, 7)]
    assert sum(sent) == SIZE


async def test_an_empty_snapshot_is_one_too(tmp_path: Path, part: Path) -> None:
    empty = tmp_path / "empty"
    put(empty, b"")
    found = File(empty, 0, hashlib.sha256(b"").digest())
    async with serving(service(found).handler()) as address:
        await fetch(address, REQUEST, part, progress=ignored)
    assert kept(part) == b""


async def test_cut_half_way_only_the_rest_travels(ready: File, part: Path) -> None:
    valve = Valve(passes=2)
    async with serving(service(ready, valve).handler()) as address:
        half_way = asyncio.Event()

        def watch(here: int, total: int) -> None:
            if here == 3 * CHUNK_BYTES:
                half_way.set()

        fetching = asyncio.create_task(fetch(address, REQUEST, part, progress=watch))
        await half_way.wait()
    with pytest.raises(SnapshotCut):
        await fetching
    sent: list[int] = []
    async with serving(service(ready, sent=sent).handler()) as address:
        await fetch(address, REQUEST, part, progress=ignored)
    assert sum(sent) == SIZE - 3 * CHUNK_BYTES
    assert kept(part) == kept(ready.path)


async def test_a_chunk_half_written_does_not_count(ready: File, part: Path) -> None:
    data = kept(ready.path)
    assert data is not None
    put(part, data[:CHUNK_BYTES] + b"half-way")
    sent: list[int] = []
    async with serving(service(ready, sent=sent).handler()) as address:
        await fetch(address, REQUEST, part, progress=ignored)
    assert sum(sent) == SIZE - CHUNK_BYTES
    assert kept(part) == kept(ready.path)


async def test_all_there_already_is_verified_and_nothing_travels(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(2 * CHUNK_BYTES)
    path, part = tmp_path / "snapshot", tmp_path / "part"
    put(path, data)
    put(part, data)
    found, sent = File(path, len(data), hashlib.sha256(data).digest()), list[int]()
    async with serving(service(found, sent=sent).handler()) as address:
        await fetch(address, REQUEST, part, progress=ignored)
        assert sum(sent) == 0
        put(part, bytes(len(data)))
        with pytest.raises(SnapshotDamaged, match="SHA-256"):
            await fetch(address, REQUEST, part, progress=ignored)
        assert kept(part) is None


def changed(chunks: Sequence[SnapshotChunk]) -> Iterator[tuple[str, list[bytes]]]:
    """Every way in which a stream can be wrong, and what is said of it."""
    good = [encode_chunk(chunk) for chunk in chunks]
    flipped = bytearray(good[1])
    flipped[1000] ^= 1
    yield "check sum", [good[0], bytes(flipped), *good[2:]]
    yield "no chunk", [good[0], b"\xff\xff"]
    yield "came where", [good[0], good[2]]
    yield "changed while", [good[0], encode_chunk(replace(chunks[1], total=7_000_000))]
    yield "changed while", [good[0], encode_chunk(replace(chunks[1], sha256=b"\0" * 32))]
    yield "more than", [encode_chunk(replace(chunk, total=CHUNK_BYTES + 1)) for chunk in chunks]
    yield "SHA-256", [encode_chunk(replace(chunk, sha256=b"\0" * 32)) for chunk in chunks]


@pytest.mark.parametrize("way", range(7))
async def test_damage_is_found_and_the_part_deleted(way: int, part: Path) -> None:
    said, chunks = list(changed(pieces(random.Random(7).randbytes(SIZE))))[way]
    async with serving(sending(*chunks)) as address:
        with pytest.raises(SnapshotDamaged, match=said):
            await fetch(address, REQUEST, part, progress=ignored)
    assert kept(part) is None


@pytest.mark.parametrize("sent", [0, 3])
async def test_a_stream_that_ends_early_is_a_cut(sent: int, part: Path) -> None:
    chunks = [encode_chunk(chunk) for chunk in pieces(bytes(SIZE))[:sent]]
    async with serving(sending(*chunks)) as address:
        with pytest.raises(SnapshotCut, match=f"ended after byte {sent * CHUNK_BYTES}"):
            await fetch(address, REQUEST, part, progress=ignored)


async def test_a_part_longer_than_the_snapshot_is_damage(ready: File, part: Path) -> None:
    put(part, bytes(7 * CHUNK_BYTES))
    async with serving(service(ready).handler()) as address:
        with pytest.raises(SnapshotDamaged, match="begin again"):
            await fetch(address, REQUEST, part, progress=ignored)
    assert kept(part) is None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (replace(REQUEST, cluster_id="c2"), "'c2'"),
        (replace(REQUEST, cluster_id=""), "another's"),
        (replace(REQUEST, node="z9"), "no node 'z9'"),
        (replace(REQUEST, index=41), "another offer"),
        (replace(REQUEST, hash=b"\0" * 32), "another offer"),
    ],
)
async def test_who_or_what_is_not_known_is_told_so(
    request_: SnapshotRequest, said: str, ready: File, part: Path
) -> None:
    async with serving(service(ready).handler()) as address:
        with pytest.raises(SnapshotGone, match=said):
            await fetch(address, request_, part, progress=ignored)
    assert kept(part) is None


async def test_a_node_that_is_of_no_cluster_yet_serves_nobody(ready: File, part: Path) -> None:
    offered = SnapshotService(
        lambda: "", {"b1"}, lambda *_: ready, Pace(1e9, now_s=lambda: 0.0, sleep=Valve())
    )
    async with serving(offered.handler()) as address:
        with pytest.raises(SnapshotGone, match="unknown"):
            await fetch(address, replace(REQUEST, cluster_id=""), part, progress=ignored)


async def test_a_file_that_is_gone_needs_another_offer(ready: File, part: Path) -> None:
    remove(ready.path)
    async with serving(service(ready).handler()) as address:
        with pytest.raises(SnapshotGone, match="another offer"):
            await fetch(address, REQUEST, part, progress=ignored)


async def test_a_file_removed_while_it_is_sent_is_sent_to_its_end(ready: File, part: Path) -> None:
    data, valve = kept(ready.path), Valve(passes=0)
    async with serving(service(ready, valve).handler()) as address:
        fetching = asyncio.create_task(fetch(address, REQUEST, part, progress=ignored))
        await valve.holds(1)
        remove(ready.path)
        valve.open.set()
        await fetching
    assert kept(part) == data


async def test_a_file_that_became_shorter_is_a_cut(ready: File, part: Path) -> None:
    longer = replace(ready, size=SIZE + 1)
    async with serving(service(longer).handler()) as address:
        with pytest.raises(SnapshotCut, match="shorter"):
            await fetch(address, REQUEST, part, progress=ignored)


async def test_bytes_that_are_no_request_are_refused(ready: File) -> None:
    async with serving(service(ready).handler()) as address, open_channel(address) as channel:
        call: Any = channel.unary_stream(f"/{SERVICE}/{METHOD}")
        assert await call(b"\xff\xff").code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_beyond_so_many_at_once_one_is_told_to_come_again(
    ready: File, tmp_path: Path
) -> None:
    assert SERVED_AT_ONCE == 2
    valve = Valve(passes=0)
    offered = service(ready, valve)
    async with serving(offered.handler()) as address:

        def start(node: str) -> asyncio.Task[None]:
            return asyncio.create_task(
                fetch(address, replace(REQUEST, node=node), tmp_path / node, progress=ignored)
            )

        both = [start("b1"), start("b2")]
        await valve.holds(2)
        with pytest.raises(SnapshotCut, match="b1 and b2 are being served") as busy:
            await start("b3")
        assert busy.value.retry_after_ms == 2000
        valve.open.set()
        await asyncio.gather(*both)
        await start("b3")
    for node in ("b1", "b2", "b3"):
        assert kept(tmp_path / node) == kept(ready.path)


async def test_a_node_that_asks_again_takes_the_place_of_its_former_stream(
    ready: File, tmp_path: Path
) -> None:
    valve = Valve(passes=0)
    async with serving(service(ready, valve).handler()) as address:
        former = asyncio.create_task(fetch(address, REQUEST, tmp_path / "a", progress=ignored))
        await valve.holds(1)
        newer = asyncio.create_task(fetch(address, REQUEST, tmp_path / "b", progress=ignored))
        await valve.holds(2)
        valve.open.set()
        with pytest.raises(SnapshotCut, match="asked again"):
            await former
        await newer
    assert kept(tmp_path / "b") == kept(ready.path)


async def test_a_sender_that_stalls_is_a_cut(ready: File, part: Path) -> None:
    valve = Valve(passes=1)
    async with serving(service(ready, valve).handler()) as address:
        with pytest.raises(SnapshotCut, match="nothing came"):
            await fetch(address, REQUEST, part, progress=ignored, stalled_s=1.0)
    assert kept(part) == (kept(ready.path) or b"")[: 2 * CHUNK_BYTES]


async def test_nobody_there_is_a_cut(part: Path) -> None:
    with pytest.raises(SnapshotCut, match=r"127\.0\.0\.1:17799"):
        await fetch("127.0.0.1:17799", REQUEST, part, progress=ignored)


async def test_a_full_disk_is_a_cut_that_says_so(ready: File, part: Path) -> None:
    async with serving(service(ready).handler()) as address:
        with pytest.raises(SnapshotCut, match=r"/dev/full.*No space left"):
            await fetch(address, REQUEST, Path("/dev/full"), progress=ignored)
        with pytest.raises(SnapshotCut, match="has 1000 bytes free"):
            await fetch(address, REQUEST, part, progress=ignored, free_bytes=lambda _: 1000)
        assert len(kept(part) or b"") == CHUNK_BYTES


class Flaky:
    """The chunks of a file, but every stream ends after `each` of them."""

    def __init__(self, data: bytes, each: int) -> None:
        self._chunks = pieces(data)
        self._each = each
        self.asked: list[int] = []

    async def snapshot(self, request: SnapshotRequest, context: Any) -> None:
        """See `node.rpc.snapshots.SnapshotService`."""
        self.asked.append(request.offset)
        first = request.offset // CHUNK_BYTES
        for chunk in self._chunks[first : first + self._each]:
            await context.write(encode_chunk(chunk))

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer it."""
        return grpc.method_handlers_generic_handler(
            SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(self.snapshot, decode_request)}
        )


async def test_patience_goes_on_after_every_cut(part: Path) -> None:
    data = random.Random(5).randbytes(SIZE)
    flaky, received = Flaky(data, each=2), list[int]()
    async with serving(flaky.handler()) as address:
        await fetch_patiently(
            address,
            REQUEST,
            part,
            progress=ignored,
            on_received=received.append,
            tries=2,
            pause_s=0,
        )
    assert sum(received) == SIZE
    assert flaky.asked == [0, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    assert kept(part) == data


async def test_patience_ends_where_nothing_comes_any_more(part: Path) -> None:
    flaky = Flaky(bytes(SIZE), each=0)
    async with serving(flaky.handler()) as address:
        with pytest.raises(SnapshotCut):
            await fetch_patiently(address, REQUEST, part, progress=ignored, tries=3, pause_s=0)
    assert flaky.asked == [0, 0, 0]


async def test_patience_begins_anew_once_after_damage(ready: File, part: Path) -> None:
    put(part, bytes(CHUNK_BYTES))
    async with serving(service(ready).handler()) as address:
        await fetch_patiently(address, REQUEST, part, progress=ignored, pause_s=0)
    assert kept(part) == kept(ready.path)
    wrong = [encode_chunk(replace(chunk, sha256=b"\0" * 32)) for chunk in pieces(bytes(100))]
    remove(part)
    async with serving(sending(*wrong)) as address:
        with pytest.raises(SnapshotDamaged):
            await fetch_patiently(address, REQUEST, part, progress=ignored, pause_s=0)


async def test_the_pace_is_never_more_than_its_bytes_a_second() -> None:
    clock, bytes_s, size = FakeClock(), 1000, 300
    pace = Pace(bytes_s, now_s=lambda: clock.now, sleep=clock.sleep)
    went: list[float] = []

    async def take(many: int) -> None:
        for _ in range(many):
            await pace.take(size)
            went.append(clock.now)

    takers = [asyncio.create_task(take(many)) for many in (5, 5)]
    await clock.run(until=asyncio.gather(*takers))
    assert len(went) == 10
    for number, at in enumerate(went):
        assert number * size <= bytes_s * at + 1e-6
    assert went[-1] == pytest.approx(9 * size / bytes_s)
    # What was not used is not saved up.
    clock.now += 100
    resting = clock.now
    await clock.run(until=asyncio.gather(asyncio.create_task(take(3))))
    assert went[-1] == pytest.approx(resting + 2 * size / bytes_s)


class FakeClock:
    """Time that goes on only when everybody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        """Instead of `asyncio.sleep`."""
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def run(self, until: asyncio.Future[Any]) -> None:
        """Let time pass until `until` is done."""
        while not until.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if self._sleepers:
                self._sleepers.sort(key=lambda sleeper: sleeper[0])
                self.now, woken = self._sleepers.pop(0)
                woken.set()
        await until


def test_requests_and_chunks_come_out_as_they_went_in() -> None:
    request = replace(REQUEST, offset=2**40)
    assert decode_request(encode_request(request)) == request
    assert decode_request(b"\xff\xff") is None
    chunk = SnapshotChunk(2**40, b"data", 2**41, b"\1" * 32)
    assert decode_chunk(encode_chunk(chunk)) == chunk
    with pytest.raises(ChunkDamaged):
        decode_chunk(b"\xff\xff")
