"""Snapshots as files: those made here for others to fetch, and the one being fetched (M4).

They stand in `snapshots/` inside the disk, so they go where the disk goes:

    INDEX-HASH.snapshot   made here; only the last one is kept, and none over a restart
    making                being copied
    INDEX-HASH.part       being fetched; kept over a restart while it can still be of use

A snapshot is a SQLite file with the ledger's rows as they stood at its index and one row of meta
data: cluster id, index, epoch and chain hash of that entry, and the tallies of the rows. No log, no
promise, no disk id: those are each replica's own.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.store.problems import StoreFull

FOLDER: Final = "snapshots"

_PART: Final = re.compile(r"(\d+)-[0-9a-f]{64}\.part")


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot made here. `epoch` and `hash` (the chain's) are those of the entry at `index`;
    `size` is in bytes, `sha256` over the whole file."""

    index: int
    epoch: int
    hash: bytes
    path: Path
    size: int
    sha256: bytes


class Snapshots:
    """The folder. Its methods may be called from any thread."""

    def __init__(self, disk: Path) -> None:
        self.folder = disk / FOLDER
        self._lock = threading.Lock()
        self._last: SnapshotFile | None = None

    def sweep(self, applied: int) -> None:
        """At start: removes what a former life made, and parts that `applied` has passed."""
        for file in self._files():
            part = _PART.fullmatch(file.name)
            if part is None or int(part[1]) <= applied:
                # One that stays takes room, and does no other harm.
                with contextlib.suppress(OSError):
                    file.unlink()

    def make_room_if_full(
        self, kind: type[BaseException] | None, problem: BaseException | None, _trace: object
    ) -> bool:
        """On the way out of opening a full disk: removes everything here, so that the next try may
        do. All of it can be made or fetched again."""
        for file in self._files() if isinstance(problem, StoreFull) else ():
            with contextlib.suppress(OSError):
                file.unlink()
        return False

    def part(self, index: int, chain: bytes) -> Path:
        """Where the file of this offer is put together; parts of other offers are removed.

        Raises `OSError`.
        """
        self.folder.mkdir(exist_ok=True)
        mine = self.folder / f"{index}-{chain.hex()}.part"
        for file in self._files():
            if _PART.fullmatch(file.name) and file != mine:
                file.unlink(missing_ok=True)
        return mine

    def making(self) -> Path:
        """An empty file to copy to. Raises `OSError`."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "making"
        file.write_bytes(b"")
        return file

    def keep(self, made: SnapshotFile) -> SnapshotFile:
        """Gives the finished file its name, in the place of the one before. Raises `OSError`."""
        name = f"{made.index}-{made.hash.hex()}.snapshot"
        kept = SnapshotFile(
            made.index,
            made.epoch,
            made.hash,
            made.path.rename(self.folder / name),
            made.size,
            made.sha256,
        )
        with self._lock:
            before, self._last = self._last, kept
        if before is not None and before.path != kept.path:
            before.path.unlink(missing_ok=True)
        return kept

    def last(self) -> SnapshotFile | None:
        """The one made last, while its file is there."""
        with self._lock:
            found = self._last
        return found if found is not None and found.path.exists() else None

    def find(self, index: int, chain: bytes) -> SnapshotFile | None:
        """The one made at `index`, if it is still the last one and bears this hash."""
        found = self.last()
        return found if found is not None and (found.index, found.hash) == (index, chain) else None

    def _files(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []
