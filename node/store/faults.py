"""A disk that misbehaves on request: slow, full, failing. For drills and tests only.

A SQLite VFS that passes everything to the real one, but first looks at a small JSON file. Used only
where a fault file is configured: every read and write then goes through Python, which is slow.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final

import apsw
import msgspec

CHECK_MS: Final = 100


class DiskFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the disk misbehaves now; the JSON object in the fault file has these keys.

    `full`: every write gets ENOSPC. `io_error`: every write and sync gets EIO. `read_error`: every
    read gets EIO. `slow_sync_ms`: every sync takes that much longer.
    """

    slow_sync_ms: int = 0
    full: bool = False
    io_error: bool = False
    read_error: bool = False


class DiskFaults:
    """The fault now in force. Without a file, or while it is absent or empty, there is none."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._fault = DiskFault()
        self._stamp: tuple[int, int] | None = None
        self._next_check = 0.0

    def before_read(self) -> None:
        """Raises `OSError` where a read must fail."""
        if self._now().read_error:
            raise OSError(errno.EIO, "injected: the disk cannot be read")

    def before_write(self) -> None:
        """Raises `OSError` where a write must fail."""
        fault = self._now()
        if fault.full:
            raise OSError(errno.ENOSPC, "injected: no space left on the disk")
        if fault.io_error:
            raise OSError(errno.EIO, "injected: the disk cannot be written")

    def before_sync(self) -> None:
        """Waits as long as a slow disk would; raises `OSError` where a sync must fail."""
        fault = self._now()
        if fault.slow_sync_ms:
            time.sleep(fault.slow_sync_ms / 1000)
        if fault.io_error:
            raise OSError(errno.EIO, "injected: the disk cannot be synced")

    def _now(self) -> DiskFault:
        """The fault in force, from a look at the file at most `CHECK_MS` old."""
        if self._file is not None and time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_MS / 1000
            self._read(self._file)
        return self._fault

    def _read(self, file: Path) -> None:
        try:
            status = os.stat(file)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            content = file.read_bytes()
        except FileNotFoundError:
            self._stamp, self._fault = None, DiskFault()
            return
        try:
            fault = msgspec.json.decode(content, type=DiskFault) if content else DiskFault()
        except msgspec.MsgspecError as problem:
            # Loud on purpose: a drill whose fault is mistyped would otherwise prove nothing.
            raise OSError(errno.EINVAL, f"fault file {file}: {problem}") from problem
        self._stamp, self._fault = stamp, fault


class FaultyVfs(apsw.VFS):
    """SQLite's own file layer behind `DiskFaults`. `name` is what a connection opens it by."""

    def __init__(self, faults: DiskFaults) -> None:
        self.name = f"kessai-faults-{id(faults)}"
        self._faults = faults
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Opens through the shim."""
        return _FaultyFile(self._faults, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(
        self, faults: DiskFaults, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._faults = faults
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        try:
            self._faults.before_read()
        except OSError as problem:
            raise apsw.IOError(str(problem)) from problem
        return super().xRead(amount, offset)

    def xWrite(self, data: object, offset: int) -> None:
        try:
            self._faults.before_write()
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise apsw.FullError(str(problem)) from problem
            raise apsw.IOError(str(problem)) from problem
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        try:
            self._faults.before_sync()
        except OSError as problem:
            raise apsw.IOError(str(problem)) from problem
        super().xSync(flags)
