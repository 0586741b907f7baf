"""Reads beside the writer: any thread, each with a connection of its own while it reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from node.store.problems import StoreDamaged, StoreFailed
from node.store.schema import connect


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

    @contextmanager
    def borrow(self) -> Iterator[apsw.Connection]:
        """A connection for one short read. Raises `StoreFailed` when the disk or a row is bad."""
        with self._guard():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect(self._file, self._vfs, cache_kib=8192, readonly=True)
            yield connection
        self._idle.append(connection)

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop().close()
