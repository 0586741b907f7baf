"""Reads beside the writer: any thread, each with a connection of its own while it reads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from node.store.problems import StoreDamaged, StoreFailed
from node.store.schema import connect

_LOOK_S: Final = 0.001


class Guard:
    """Damage met while reading stops the store: what else is there cannot be trusted either."""

    def __init__(self, file: Path, broken: Callable[[str], None]) -> None:
        """`broken` is told the reason; it may be called from any thread."""
        self._file = file
        self._broken = broken

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Around a read. Raises `StoreFailed` when the disk or a row is bad."""
        try:
            yield
        except (apsw.Error, StoreDamaged) as problem:
            reason = f"{self._file}: {type(problem).__name__}: {problem}"
            self._broken(reason)
            raise StoreFailed(reason) from problem


class Readers:
    """Connections for reading, made when needed and kept."""

    def __init__(self, file: Path, vfs: str | None, guard: Guard) -> None:
        self._file = file
        self._vfs = vfs
        self._guard = guard
        self._idle: deque[apsw.Connection] = deque()
        self._inside: set[object] = set()

    @contextmanager
    def borrow(self) -> Iterator[apsw.Connection]:
        """A connection for one short read, which `drain` waits for.

        Raises `StoreFailed` when the disk or a row is bad.
        """
        token = object()
        self._inside.add(token)
        try:
            with self._guard():
                try:
                    connection = self._idle.pop()
                except IndexError:
                    connection = connect(self._file, self._vfs, cache_kib=8192, readonly=True)
                yield connection
            self._idle.append(connection)
        finally:
            self._inside.discard(token)

    def drain(self) -> None:
        """Waits until the reads that are under way now have ended; others may begin meanwhile."""
        waiting = self._inside.copy()
        while not waiting.isdisjoint(self._inside.copy()):
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop().close()
