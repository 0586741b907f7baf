"""The high-water record: what this replica last vouched for, kept outside SQLite (D5).

SQLite opens a write-ahead log with a flipped bit as if the lost half had never been written. This
record says how far the log and the promise had come, so that such a loss, or an older copy put
back, is found at start. Two slots are written in turn: a crash can tear only the one being written,
whose content was not yet vouched for.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.store.faults import DiskFaults
from node.store.problems import StoreRefused

SLOT_BYTES: Final = 4096
_MAGIC: Final = b"KESSAIHW"
_FORMAT: Final = 1
_BODY: Final = struct.Struct(">8sIQ32sQQ32s")
_CRC: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Mark:
    """A replica's vow: the log of `disk_id` reaches at least `index`, with chain hash `hash`."""

    disk_id: str
    promised: int
    index: int
    hash: bytes


def lost(mark: Mark, promised: int, last_index: int) -> str:
    """What `mark` vouches for and a disk has not, in words; empty if it has it all.

    `promised` and `last_index` are the disk's. Whether entry `mark.index` is the right one is for
    whoever has it to say.
    """
    if last_index < mark.index:
        lacks = f"the log ends at {last_index}, but was vouched for up to {mark.index}"
    elif promised < mark.promised:
        lacks = f"promises epoch {promised}, but {mark.promised} was promised"
    else:
        return ""
    return f"{lacks}: it lost its tail, or an older copy was put back"


class HighWater:
    """The record's file, open for as long as the store is."""

    def __init__(self, file: Path, faults: DiskFaults) -> None:
        """Opens and checks. Raises `StoreRefused` when neither slot can be read."""
        self._faults = faults
        self.file = file
        try:
            # O_DSYNC: a write returns when it is on the disk, in one call instead of two.
            self._descriptor = os.open(file, os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
        except FileNotFoundError as problem:
            raise StoreRefused(
                file, "the high-water record is missing: what was vouched for is not known"
            ) from problem
        except OSError as problem:
            raise StoreRefused(file, f"cannot be opened: {problem.strerror}") from problem
        try:
            self._sequence, self.mark, self.note = self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def cover(self, promised: int, index: int, chain: bytes) -> None:
        """Makes these the record, unless they are; on disk when it returns. Raises `OSError`."""
        mark = Mark(self.mark.disk_id, promised, index, chain)
        if mark == self.mark:
            return
        sequence = self._sequence + 1
        self._faults.before_write()
        self._faults.before_sync()
        os.pwrite(self._descriptor, _encode(sequence, mark), sequence % 2 * SLOT_BYTES)
        self._sequence, self.mark = sequence, mark

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _read(self) -> tuple[int, Mark, str]:
        """The newest valid slot, and a note when the other one is not valid."""
        file = self.file
        try:
            content = os.pread(self._descriptor, 2 * SLOT_BYTES, 0)
        except OSError as problem:
            raise StoreRefused(file, f"cannot be read: {problem.strerror}") from problem
        slots = [_decode(content[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
        found = [slot for slot in slots if slot is not None]
        if not found:
            raise StoreRefused(file, "neither slot of the high-water record has a valid checksum")
        sequence, mark = max(found, key=lambda slot: slot[0])
        note = (
            ""
            if len(found) == 2
            else f"{file}: slot {slots.index(None)} of the high-water record is unreadable; "
            f"the other one vouches for index {mark.index}"
        )
        return sequence, mark, note


def create(file: Path, mark: Mark) -> None:
    """Writes a new record, both slots, synced."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for sequence in (0, 1):
            slot = _encode(sequence, mark).ljust(SLOT_BYTES, b"\0")
            os.pwrite(descriptor, slot, sequence * SLOT_BYTES)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(sequence: int, mark: Mark) -> bytes:
    body = _BODY.pack(
        _MAGIC, _FORMAT, sequence, mark.disk_id.encode(), mark.promised, mark.index, mark.hash
    )
    return body + _CRC.pack(zlib.crc32(body))


def _decode(slot: bytes) -> tuple[int, Mark] | None:
    """A slot's sequence and mark; None when it is not what was written."""
    if len(slot) < _BODY.size + _CRC.size:
        return None
    body = slot[: _BODY.size]
    if zlib.crc32(body) != _CRC.unpack_from(slot, _BODY.size)[0]:
        return None
    magic, version, sequence, disk_id, promised, index, chain = _BODY.unpack(body)
    if magic != _MAGIC or version != _FORMAT:
        return None
    return sequence, Mark(disk_id.rstrip(b"\0").decode(), promised, index, chain)
