"""The data folder: where the files are, who may open it, how a disk is made and put aside (D6).

    folder/lock        held by the one process that uses the folder
    folder/disk/       one replica: settlement.db (SQLite, with its -wal and -shm), high-water,
                       snapshots/ (made here to be fetched, or being fetched: see `snapshots`)
    folder/aside-N/    a former disk, kept for the books

A disk is built under another name and appears by one rename, so it is there whole or not at all;
it is put aside by one rename, too.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

import apsw

from node.core.messages import GENESIS_HASH
from node.store import highwater, schema, space
from node.store.highwater import Mark
from node.store.problems import StoreRefused

DISK: Final = "disk"
DATABASE: Final = "settlement.db"
HIGH_WATER: Final = "high-water"


class Lock:
    """The right to use a folder, held until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Raises `StoreRefused` when another process, or another store in this one, has it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(
                folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as problem:
            raise space.refusal(folder, problem, "cannot be used") from problem
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace") or "unknown"
            os.close(self._descriptor)
            raise StoreRefused(
                folder, f"the folder is in use by another process (pid {holder})"
            ) from problem
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        except OSError as problem:
            os.close(self._descriptor)
            raise space.refusal(folder, problem, "cannot be locked") from problem

    def release(self) -> None:
        """Gives the folder back."""
        os.close(self._descriptor)


def make_disk(folder: Path) -> Path:
    """The path of the folder's disk, made new with a random disk id if there is none.

    Raises `StoreRefused` when it cannot be made, `StoreFull` when only room is missing.
    """
    disk = folder / DISK
    if disk.exists():
        return disk
    unfinished = folder / "disk.new"
    disk_id = secrets.token_hex(16)
    try:
        if unfinished.exists():
            shutil.rmtree(unfinished)  # never used: it would have been renamed first
        unfinished.mkdir()
        schema.create(unfinished / DATABASE, disk_id)
        highwater.create(unfinished / HIGH_WATER, Mark(disk_id, 0, 0, GENESIS_HASH))
        _sync_folder(unfinished)
        unfinished.rename(disk)
        _sync_folder(folder)
    except (OSError, apsw.Error) as problem:
        raise space.refusal(folder, problem, "a new disk cannot be made here") from problem
    return disk


def set_aside(folder: Path) -> Path:
    """Moves the folder's disk aside and returns where it is now; the next start makes another one.

    The operator's choice for a disk that was refused: it comes back as another replica (D6).
    Raises `StoreRefused` when the folder is in use or has no disk.
    """
    lock = Lock(folder)
    try:
        disk = folder / DISK
        if not disk.exists():
            raise StoreRefused(disk, "there is no disk here to put aside")
        number = 1 + max((int(p.name[6:]) for p in folder.glob("aside-[0-9]*")), default=0)
        kept = folder / f"aside-{number}"
        disk.rename(kept)
        _sync_folder(folder)
        return kept
    finally:
        lock.release()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
