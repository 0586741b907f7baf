"""Snapshots as the driver sees them: made for a peer, fetched for us, handed to the store (M4).

The files belong to the store, the bytes travel beside the replicas' streams; here is only who asks
whom, and what the core hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path

from node.core.inputs import (
    Input,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
    StorageFailed,
)
from node.core.messages import Offer
from node.core.outputs import Install
from node.driver.ports import SnapshotFiles
from node.store import SnapshotDamaged, SnapshotFile, StoreClosed, StoreFailed

Progress = Callable[[int, int], None]
FetchFile = Callable[[str, Offer, Path, Progress], Awaitable[None]]
"""Fetch an offer from a node into a file, telling bytes here and bytes in all."""


class FetchFailed(Exception):
    """The file could not be had whole; the message says why."""


class SnapshotMaker:
    """Implements `node.driver.ports.Snapshots` over a store. Used on the event loop.

    `fetch_file` raises `FetchFailed`.
    """

    def __init__(
        self,
        store: SnapshotFiles,
        fetch_file: FetchFile,
        feed: Callable[[Input], None],
        say: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._fetch_file = fetch_file
        self._feed = feed
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.words = ""
        """The snapshot on its way here, in words; empty when there is none."""

    def make(self, node: str) -> None:
        """See `node.driver.ports.Snapshots`."""

        def made(future: Future[SnapshotFile]) -> None:
            problem = future.exception()
            if problem is not None:
                self._say("snapshot", f"could not be made for {node}: {problem}")
                return
            file = future.result()
            self._feed(SnapshotMade(node, file.index, file.epoch, file.hash))

        def relay(future: Future[SnapshotFile]) -> None:
            self._loop.call_soon_threadsafe(made, future)

        try:
            making = self._store.make_snapshot()
        except (StoreFailed, StoreClosed) as problem:
            self._say("snapshot", f"could not be made for {node}: {problem}")
        else:
            making.add_done_callback(relay)

    def fetch(self, node: str, offer: Offer) -> None:
        """See `node.driver.ports.Snapshots`."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._loop.create_task(self._fetch(node, offer))

    def install(self, install: Install) -> None:
        """See `node.driver.ports.Snapshots`."""
        try:
            self._store.install(install, self._part(install.offer))
        except OSError as problem:
            # The core has numbered this write: a later one must not vouch for it (D2).
            self._feed(StorageFailed(f"the snapshot's file cannot be found: {problem}"))

    async def stop(self) -> None:
        """Fetch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _part(self, offer: Offer) -> Path:
        return self._store.snapshot_part(offer.index, offer.hash)

    async def _fetch(self, node: str, offer: Offer) -> None:
        def progress(here: int, total: int) -> None:
            self.words = (
                f"index {offer.index} from {node}: {here / 1e6:.1f} of {total / 1e6:.1f} MB"
            )

        try:
            part = self._part(offer)
            await self._fetch_file(node, offer, part, progress)
            await asyncio.to_thread(self._store.check_snapshot, part, offer)
        except Exception as problem:  # told, whatever it was: else no other would ever be fetched
            expected = isinstance(problem, FetchFailed | SnapshotDamaged | OSError)
            self._feed(SnapshotMissed(offer, str(problem) if expected else repr(problem)))
        else:
            self._feed(SnapshotFetched(offer))
        self.words = ""
