"""Making snapshots on a simulated disk, one at a time for all who ask (node/store/copying.py)."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from loadtest.sim.loop import VirtualLoop
from loadtest.sim.storage.disk import Contents, SimDisk, SimSnapshot
from loadtest.sim.storage.rows import Picture
from node.ledger.audit import digest
from node.store import FULL, SnapshotFailed, SnapshotFile, StoreClosed
from node.store.schema import Meta

_COPY_S: Final = (0.001, 0.05)
"""How long a copy takes: least and most."""


class Copier:
    """Keeps the snapshot made last, for as long as the process lives. `freeze` asks for a picture
    of the ledger as it is."""

    def __init__(
        self,
        disk: SimDisk,
        loop: VirtualLoop,
        draw: random.Random,
        freeze: Callable[[], Future[Picture]],
    ) -> None:
        self._disk = disk
        self._loop = loop
        self._draw = draw
        self._freeze = freeze
        self._made: SimSnapshot | None = None
        self._asking: list[Future[SnapshotFile]] = []
        self._ended = False

    def ask(self, prune_index: int) -> Future[SnapshotFile]:
        """The last snapshot, if the log from it on is still there, or the next one."""
        done: Future[SnapshotFile] = Future()
        made = self._made
        if made is not None and made.index >= prune_index:
            done.set_result(made)
            return done
        self._asking.append(done)
        if len(self._asking) == 1:
            self._freeze().add_done_callback(self._frozen)
        return done

    def find(self, index: int, chain: bytes) -> SnapshotFile | None:
        """The one made at `index`, if it is still the last one and bears this hash."""
        made = self._made
        return made if made is not None and (made.index, made.hash) == (index, chain) else None

    def stop(self) -> None:
        """No copy is finished any more."""
        self._ended = True

    def _frozen(self, frozen: Future[Picture]) -> None:
        problem = frozen.exception()
        if problem is not None:
            self._tell(problem)
            return
        picture = frozen.result()
        meta = Meta(
            disk_id="",
            cluster_id=picture.meta.cluster_id,
            applied_index=picture.index,
            prune_index=picture.index,
            prune_epoch=picture.epoch,
            prune_hash=picture.chain_hash.hex(),
            prune_stamp_ms=self._disk.stamp_at(picture.index),
        )
        contents = Contents(meta, picture.rows, picture.log)
        self._loop.call_later(self._draw.uniform(*_COPY_S), self._copied, contents)

    def _copied(self, contents: Contents) -> None:
        if self._ended:
            self._tell(StoreClosed("the store was closed"))
            return
        if self._disk.is_full:
            self._tell(SnapshotFailed(f"no snapshot is made: {FULL}"))
            return
        meta = contents.meta
        name = f"{meta.applied_index}-{meta.prune_hash}.snapshot"
        self._made = SimSnapshot(
            meta.applied_index,
            meta.prune_epoch,
            meta.base_hash,
            Path(self._disk.disk_id, name),
            sum(len(entry.payload) for entry in contents.entries),
            digest(contents.rows),
            contents,
        )
        self._tell(self._made)

    def _tell(self, made: SnapshotFile | BaseException) -> None:
        asking, self._asking = self._asking, []
        for done in asking:
            if not done.set_running_or_notify_cancel():
                continue
            if isinstance(made, SnapshotFile):
                done.set_result(made)
            else:
                done.set_exception(made)
