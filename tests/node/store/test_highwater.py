"""The record beside the database: two slots in turn, never both at risk (D5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.store.faults import DiskFaults
from node.store.highwater import SLOT_BYTES, HighWater, Mark, create
from node.store.problems import StoreRefused

DISK = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    create(tmp_path / "high-water", Mark(DISK, 0, 0, bytes(32)))
    return tmp_path / "high-water"


def test_the_last_mark_is_found_again(file: Path) -> None:
    record = HighWater(file, DiskFaults(None))
    for index in range(1, 8):
        record.cover(index * 2, index, bytes([index]) * 32)
    record.close()
    again = HighWater(file, DiskFaults(None))
    assert again.mark == Mark(DISK, 14, 7, bytes([7]) * 32)
    assert again.note == ""
    again.close()


def test_each_write_leaves_the_slot_before_it_alone(file: Path) -> None:
    record = HighWater(file, DiskFaults(None))
    for index in range(1, 6):
        before = file.read_bytes()
        record.cover(1, index, bytes([index]) * 32)
        after = file.read_bytes()
        changed = [n for n in (0, 1) if _slot(before, n) != _slot(after, n)]
        assert len(changed) == 1
        torn = bytearray(after)
        torn[changed[0] * SLOT_BYTES + 20] ^= 255
        file.write_bytes(torn)
        older = HighWater(file, DiskFaults(None))
        assert older.mark.index == index - 1
        older.close()
        file.write_bytes(after)
    record.close()


def test_the_same_mark_is_not_written_again(file: Path) -> None:
    record = HighWater(file, DiskFaults(None))
    record.cover(1, 1, bytes(32))
    before = file.read_bytes()
    record.cover(1, 1, bytes(32))
    assert file.read_bytes() == before
    record.close()


def test_it_may_be_lowered(file: Path) -> None:
    record = HighWater(file, DiskFaults(None))
    record.cover(3, 9, b"9" * 32)
    record.cover(3, 4, b"4" * 32)
    record.close()
    again = HighWater(file, DiskFaults(None))
    assert (again.mark.promised, again.mark.index) == (3, 4)
    again.close()


@pytest.mark.parametrize("size", [0, 10, 80])
def test_a_file_cut_short_is_refused(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StoreRefused, match="neither slot"):
        HighWater(file, DiskFaults(None))


def _slot(content: bytes, number: int) -> bytes:
    return content[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]
