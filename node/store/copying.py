"""Making a snapshot: the ledger at one index, copied to a file while the writer goes on (M4).

The writer only takes the picture; SQLite copies the rows on another thread, without holding the
interpreter. Askers who come meanwhile share the one that is being made, and one that is made serves
until the log that follows it is pruned.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec

from node.store import pruning, space
from node.store.problems import SnapshotFailed, StoreClosed
from node.store.reader import Guard
from node.store.schema import Meta, pack_meta, snapshot_tables
from node.store.snapshot import Snapshot
from node.store.snapshots import SnapshotFile, Snapshots

_ROWS: Final = 20_000
_COPY: Final = (
    "INSERT INTO copy.ledger SELECT tab, key, value, crc FROM main.ledger "
    "WHERE rowid > ? AND rowid <= ?"
)


class Copier:
    """Makes one snapshot at a time, for all who ask."""

    def __init__(
        self, snapshots: Snapshots, freeze: Callable[[], Future[Snapshot]], guard: Guard
    ) -> None:
        self._snapshots = snapshots
        self._freeze = freeze
        self._guard = guard
        self._lock = threading.Lock()
        self._asking: list[Future[SnapshotFile]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, prune_index: int) -> Future[SnapshotFile]:
        """The last snapshot, if the log from it on is still there, or the next one."""
        done: Future[SnapshotFile] = Future()
        last = self._snapshots.last()
        if last is not None and last.index >= prune_index:
            done.set_result(last)
            return done
        with self._lock:
            self._asking.append(done)
            alone = len(self._asking) == 1
        if alone:
            try:
                self._freeze().add_done_callback(self._frozen)
            except Exception as problem:
                self._tell(problem)
        return done

    def stop(self) -> None:
        """Ends a copying that is under way, and waits for that: a moment."""
        self._ended.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _frozen(self, frozen: Future[Snapshot]) -> None:
        problem = frozen.exception()
        if problem is not None:
            self._tell(problem)
            return
        with self._lock:
            self._thread = threading.Thread(
                target=self._work, args=(frozen.result(),), name="store-snapshot", daemon=True
            )
            self._thread.start()

    def _work(self, picture: Snapshot) -> None:
        try:
            with self._guard():
                found: SnapshotFile | Exception = self._make(picture)
        except Exception as problem:
            found = problem
        finally:
            picture.close()
        self._tell(found)

    def _make(self, picture: Snapshot) -> SnapshotFile:
        self._check_open()
        folder = self._snapshots.folder.parent
        try:
            # Settling comes first: the last room on the disk is the log's.
            size = Path(picture.connection.filename).stat().st_size
            space.check_room(folder, size, "a copy of the ledger")
            file = self._snapshots.making()
            try:
                self._copy(picture, file)
                made = _measured(picture, file)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
            return self._snapshots.keep(made)
        except Exception as problem:
            if isinstance(problem, OSError) or space.is_full(problem, folder):
                raise SnapshotFailed(
                    f"no snapshot is made: {space.reason(problem, folder)}"
                ) from problem
            raise

    def _copy(self, picture: Snapshot, file: Path) -> None:
        connection = picture.connection
        connection.execute("ATTACH ? AS copy", (str(file),)).fetchall()
        connection.execute(snapshot_tables("copy")).fetchall()
        ((last,),) = connection.execute("SELECT max(rowid) FROM main.ledger").fetchall()
        for start in range(0, last if isinstance(last, int) else 0, _ROWS):
            self._check_open()
            connection.execute(_COPY, (start, start + _ROWS)).fetchall()
        meta = msgspec.structs.replace(
            Meta(""),
            cluster_id=picture.meta.cluster_id,
            applied_index=picture.index,
            prune_index=picture.index,
            prune_epoch=picture.epoch,
            prune_hash=picture.chain_hash.hex(),
            prune_stamp_ms=pruning.stamp_at(connection, picture.meta, picture.index),
            tallies=picture.meta.tallies,
        )
        connection.execute("INSERT INTO copy.meta VALUES (1, ?, ?)", pack_meta(meta)).fetchall()
        connection.execute("COMMIT").fetchall()
        connection.execute("DETACH copy").fetchall()

    def _check_open(self) -> None:
        if self._ended.is_set():
            raise StoreClosed("the store was closed")

    def _tell(self, found: SnapshotFile | BaseException) -> None:
        with self._lock:
            asking, self._asking = self._asking, []
        for done in asking:
            if not done.set_running_or_notify_cancel():
                continue
            if isinstance(found, SnapshotFile):
                done.set_result(found)
            else:
                done.set_exception(found)


def _measured(picture: Snapshot, file: Path) -> SnapshotFile:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return SnapshotFile(
        picture.index, picture.epoch, picture.chain_hash, file, file.stat().st_size, digest
    )
