"""Reads beside the writer: any thread, each with a connection of its own while it reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from node.store.problems import StoreDamaged, StoreFailed
from node.store.schema import connect


class Readers:
    """Connections for reading, made when needed and kept. `broken` is told of damage met."""

    def __init__(self, file: Path, vfs: str | None, broken: Callable[[str], None]) -> None:
        self._file = file
        self._vfs = vfs
        self._broken = broken
        self._idle: deque[apsw.Connection] = deque()

    @contextmanager
    def borrow(self) -> Iterator[apsw.Connection]:
        """A connection for one short read. Raises `StoreFailed` when the disk or a row is bad."""
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect(self._file, self._vfs, cache_kib=8192, readonly=True)
            yield connection
        except (apsw.Error, StoreDamaged) as problem:
            reason = f"{self._file}: {type(problem).__name__}: {problem}"
            self._broken(reason)
            raise StoreFailed(reason) from problem
        self._idle.append(connection)

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop().close()
