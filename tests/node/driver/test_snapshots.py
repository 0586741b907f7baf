"""Snapshots as the driver sees them (M4): what the core hears, whatever becomes of the file."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path

import pytest

from node.core.inputs import (
    Input,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
    StorageFailed,
)
from node.core.messages import Offer
from node.core.outputs import Install
from node.driver.snapshots import FetchFailed, Progress, SnapshotMaker
from node.store import SnapshotDamaged, SnapshotFile

OFFER = Offer(7, 40, 6, b"\4" * 32)


class FakeStore:
    """Remembers what it was asked; `problem` is what checking finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.making: list[Future[SnapshotFile]] = []
        self.installed: list[tuple[Install, Path]] = []
        self.problem: Exception | None = None

    def make_snapshot(self) -> Future[SnapshotFile]:
        self.making.append(Future())
        return self.making[-1]

    def snapshot_part(self, index: int, hash: bytes) -> Path:
        return self.folder / f"{index}-{hash.hex()[:8]}"

    def check_snapshot(self, path: Path, offer: Offer) -> None:
        if self.problem is not None:
            raise self.problem

    def install(self, install: Install, path: Path) -> None:
        self.installed.append((install, path))


class Stage:
    """A SnapshotMaker between a fake store and a list of what the core was fed."""

    def __init__(self, folder: Path) -> None:
        self.store = FakeStore(folder)
        self.fed: list[Input] = []
        self.said: list[str] = []
        self.problem: Exception | None = None
        self.asked: list[tuple[str, Path]] = []
        self.words: list[str] = []
        self.maker = SnapshotMaker(
            self.store,
            self.fetch_file,
            self.fed.append,
            lambda kind, detail: self.said.append(detail),
        )

    async def fetch_file(self, node: str, offer: Offer, part: Path, progress: Progress) -> None:
        self.asked.append((node, part))
        progress(1_500_000, 6_000_000)
        self.words.append(self.maker.words)
        if self.problem is not None:
            raise self.problem

    async def until_fed(self) -> Input:
        async with asyncio.timeout(5):
            while not self.fed:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        return self.fed.pop()


async def test_a_snapshot_that_is_made_is_told_with_what_it_bears(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.maker.make("b2")
    file = SnapshotFile(40, 6, b"\4" * 32, tmp_path / "s", 10, b"\5" * 32)
    stage.store.making[0].set_result(file)
    assert await stage.until_fed() == SnapshotMade("b2", 40, 6, b"\4" * 32)


async def test_one_that_cannot_be_made_is_said_and_nothing_else(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.maker.make("b2")
    stage.store.making[0].set_exception(OSError("no room"))
    await asyncio.sleep(0.01)
    assert stage.said == ["could not be made for b2: no room"]
    assert stage.fed == []


async def test_what_was_fetched_is_checked_told_and_installed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.maker.fetch("a1", OFFER)
    assert await stage.until_fed() == SnapshotFetched(OFFER)
    part = stage.store.snapshot_part(40, OFFER.hash)
    assert stage.asked == [("a1", part)]
    assert stage.words == ["index 40 from a1: 1.5 of 6.0 MB"]
    install = Install(3, 7, 9, OFFER)
    stage.maker.install(install)
    assert stage.store.installed == [(install, part)]
    assert stage.maker.words == ""


@pytest.mark.parametrize(
    ("fetching", "checking"),
    [
        (FetchFailed("gone"), None),
        (None, SnapshotDamaged("another hash")),
        (None, OSError("unreadable")),
        (ValueError("nobody thought of it"), None),
    ],
)
async def test_what_did_not_come_whole_is_missed(
    tmp_path: Path, fetching: Exception | None, checking: Exception | None
) -> None:
    stage = Stage(tmp_path)
    stage.problem, stage.store.problem = fetching, checking
    stage.maker.fetch("a1", OFFER)
    missed = await stage.until_fed()
    assert isinstance(missed, SnapshotMissed)
    assert missed.offer == OFFER
    assert str(fetching or checking) in missed.reason
    assert stage.maker.words == ""


async def test_a_later_offer_ends_the_fetching_of_the_one_before(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    never = asyncio.Event()

    async def stuck(node: str, offer: Offer, part: Path, progress: Progress) -> None:
        await never.wait()

    stage.maker = SnapshotMaker(stage.store, stuck, stage.fed.append, print)
    stage.maker.fetch("a1", OFFER)
    await asyncio.sleep(0)
    first = stage.maker._task
    stage.maker.fetch("a1", Offer(8, 50, 8, b"\6" * 32))
    await asyncio.sleep(0.01)
    assert first is not None
    assert first.cancelled()
    await stage.maker.stop()
    assert stage.fed == []


async def test_a_write_that_cannot_be_begun_is_a_failed_write(tmp_path: Path) -> None:
    """Else the next write would vouch for this one, too (D2)."""
    stage = Stage(tmp_path)

    def unreadable(index: int, hash: bytes) -> Path:
        raise OSError("the folder cannot be read")

    stage.store.snapshot_part = unreadable  # type: ignore[method-assign]
    stage.maker.install(Install(3, 7, 9, OFFER))
    assert isinstance(await stage.until_fed(), StorageFailed)
    assert stage.store.installed == []
