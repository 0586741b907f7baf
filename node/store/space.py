"""Telling a full disk from a bad one: the one mends itself when there is room, the other never."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

import apsw

from node.store.problems import StoreFull, StoreRefused

FULL: Final = "the disk is full"

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LEAST_BYTES: Final = 64 * 1024
LOG_BYTES: Final = 4 * 1024 * 1024
"""Room for the log: what a store that begins, and whatever else needs room, must leave to it."""


def check_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises `OSError` (ENOSPC) when `folder` has no room for `what`, and for the log besides."""
    free = free_bytes(folder)
    if free < needed_bytes + LOG_BYTES:
        raise OSError(
            errno.ENOSPC,
            f"{FULL}: {folder} has {free >> 20} MiB left, {what} wants "
            f"{(needed_bytes + LOG_BYTES) >> 20} MiB: make room",
        )


def is_full(problem: BaseException, folder: Path) -> bool:
    """Did `problem` come from `folder` having no room left?

    Not everything that needs room is told as such by SQLite: where it could not make a file, or
    grow the index of the write-ahead log, the file system is asked.
    """
    if isinstance(problem, apsw.FullError):
        return True
    if isinstance(problem, OSError):
        return problem.errno in _NO_ROOM
    if isinstance(problem, apsw.IOError | apsw.CantOpenError):
        extended = getattr(problem, "extendedresult", 0)
        return extended == apsw.SQLITE_IOERR_SHMSIZE or free_bytes(folder) < _LEAST_BYTES
    return False


def reason(problem: BaseException, folder: Path) -> str:
    """`problem` in words for an operator: begins with `FULL` where that is what it is."""
    words = f"{type(problem).__name__}: {problem}"
    return f"{FULL}: {folder} has no room left ({words})" if is_full(problem, folder) else words


def refusal(file: Path, problem: Exception, what: str) -> StoreRefused:
    """The refusal of `file` for `problem`, met while `what`: `StoreFull` where it is that."""
    folder = file if file.is_dir() else file.parent
    words = (problem.strerror if isinstance(problem, OSError) else "") or str(problem)
    if is_full(problem, folder):
        if not words.startswith(FULL):
            words = f"{FULL}: make room, nothing else is wrong ({words})"
        return StoreFull(file, f"{what}: {words}")
    return StoreRefused(file, f"{what}: {words}")


def free_bytes(folder: Path) -> int:
    """What the file system that `folder` is on has left for us. Raises `OSError`."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
