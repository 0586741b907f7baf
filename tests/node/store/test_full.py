"""A full disk is told from a bad one, costs nothing that was vouched for, and mends itself."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import apsw
import pytest

from node.core.outputs import Write
from node.store import Store, StoreFailed, StoreFull, StoreRefused
from node.store.faults import CHECK_MS
from node.store.space import is_full, refusal
from tests.node.store.parts import fetched, log, opened, reopened, settle, settled_and_flushed


class Fillable:
    """A data folder whose disk is full on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.faults = folder / "faults.json"

    def full(self, is_so: bool) -> None:
        self.faults.write_text(json.dumps({"full": is_so}))
        time.sleep(CHECK_MS / 1000)


@pytest.fixture
def disk(tmp_path: Path) -> Fillable:
    return Fillable(tmp_path)


def test_a_store_whose_disk_fills_up_says_so_and_loses_nothing(disk: Fillable) -> None:
    store, ear, _ = opened(disk.folder, fault_file=disk.faults)
    entries = log(4)
    settle(store, ear, entries[:3])
    disk.full(True)
    store.write(Write(4, 9, 1, None, (entries[3],)))
    assert ear.until_failed().startswith(f"the disk is full: {disk.folder / 'disk'} has no room")
    with pytest.raises(StoreFailed, match="the disk is full"):
        store.inquire("k")
    store.close()
    with pytest.raises(StoreFull, match="the disk is full: make room, nothing else is wrong"):
        Store.open(disk.folder, node="a1", fault_file=disk.faults)
    disk.full(False)
    store, ear, recovered = opened(disk.folder, fault_file=disk.faults)
    assert recovered.entries == tuple(entries[:3])
    assert recovered.promised == 1
    store.apply(entries[recovered.applied_index : 3])
    store.write(Write(1, 1, 1, None, (entries[3],)))
    store.apply(entries[3:])
    ear.until(lambda e: e.number == 1 and e.index == 4)
    store.close()


def test_a_full_disk_is_refused_again_and_again_and_stays_as_it_is(disk: Fillable) -> None:
    store, ear, _ = opened(disk.folder, fault_file=disk.faults)
    settle(store, ear, log(3))
    disk.full(True)
    store.write(Write(4, 9, 1))
    ear.until_failed()
    store.close()
    database = disk.folder / "disk" / "settlement.db"
    before = database.read_bytes()
    for _ in range(3):
        with pytest.raises(StoreFull):
            Store.open(disk.folder, node="a1", fault_file=disk.faults)
    assert database.read_bytes() == before
    assert reopened(disk.folder).entries == tuple(log(3))


def test_a_bad_disk_is_not_taken_for_a_full_one(disk: Fillable) -> None:
    store, ear, _ = opened(disk.folder, fault_file=disk.faults)
    settle(store, ear, log(1))
    disk.faults.write_text(json.dumps({"io_error": True}))
    time.sleep(CHECK_MS / 1000)
    store.write(Write(2, 9, 1))
    assert "full" not in ear.until_failed()
    store.close()
    with pytest.raises(StoreRefused) as caught:
        Store.open(disk.folder, node="a1", fault_file=disk.faults)
    assert not isinstance(caught.value, StoreFull)


def test_opening_a_full_disk_gives_up_what_can_be_fetched_again(disk: Fillable) -> None:
    store, ear, _ = opened(disk.folder, fault_file=disk.faults)
    settle(store, ear, log(3))
    part = store.snapshot_part(9, b"\1" * 32)
    part.write_bytes(b"half")
    disk.full(True)
    store.write(Write(4, 9, 1))
    ear.until_failed()
    store.close()
    assert part.exists()
    with pytest.raises(StoreFull):
        Store.open(disk.folder, node="a1", fault_file=disk.faults)
    assert not part.exists()


def test_a_disk_that_was_left_in_order_is_refused_too_when_it_is_full(disk: Fillable) -> None:
    """It could be read, but would fail at the first settlement."""
    store, ear, _ = opened(disk.folder)
    settle(store, ear, log(3))
    store.close()
    disk.full(True)
    with pytest.raises(StoreFull):
        Store.open(disk.folder, node="a1", fault_file=disk.faults)
    assert reopened(disk.folder).entries == tuple(log(3))


def test_a_disk_with_hardly_any_room_is_not_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(3))
    store.close()
    with monkeypatch.context() as patched:
        patched.setattr("node.store.space.free_bytes", lambda folder: 3 << 20)
        with pytest.raises(StoreFull, match="has 3 MiB left, the log wants 4 MiB: make room"):
            Store.open(tmp_path, node="a1")
    assert reopened(tmp_path).entries == tuple(log(3))


def test_a_sound_snapshot_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before the store could run into it: it goes on, and takes the file later."""
    donor, _, _ = settled_and_flushed(tmp_path / "donor", 9)
    made = donor.make_snapshot().result(20)
    store, ear, _ = settled_and_flushed(tmp_path / "here", 2)
    install, part = fetched(store, made, number=3)
    with monkeypatch.context() as patched:
        patched.setattr("node.store.space.free_bytes", lambda folder: 1)
        with pytest.raises(OSError, match=r"the disk is full: .* to install a snapshot wants"):
            store.check_snapshot(part, install.offer)
    store.check_snapshot(part, install.offer)
    store.install(install, part)
    ear.until(lambda e: e.number == 3)
    store.close()
    donor.close()


def test_a_disk_that_fills_up_while_pruning(disk: Fillable) -> None:
    store, ear, _ = opened(disk.folder, fault_file=disk.faults)
    settle(store, ear, log(8))
    store.audit(0, False).result(20)
    disk.full(True)
    store.prune(5)
    assert ear.until_failed().startswith("the disk is full")
    assert store.prune_index == 0
    store.close()
    assert reopened(disk.folder).prune_index == 0


@pytest.mark.parametrize(
    ("problem", "full"),
    [
        (apsw.FullError("no"), True),
        (OSError(errno.ENOSPC, "no"), True),
        (OSError(errno.EDQUOT, "no"), True),
        (OSError(errno.EIO, "no"), False),
        (apsw.CorruptError("no"), False),
        (apsw.IOError("no"), False),
        (apsw.CantOpenError("no"), False),
        (ValueError("no"), False),
    ],
)
def test_which_errors_say_that_there_is_no_room(
    tmp_path: Path, problem: Exception, full: bool
) -> None:
    assert is_full(problem, tmp_path) == full
    assert isinstance(refusal(tmp_path, problem, "cannot be used"), StoreFull) == full


def test_where_sqlite_does_not_say_why_the_file_system_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.statvfs(tmp_path)
    monkeypatch.setattr(
        "os.statvfs", lambda folder: os.statvfs_result((*really[:4], 0, *really[5:]))
    )
    assert is_full(apsw.IOError("no"), tmp_path)
    assert is_full(apsw.CantOpenError("no"), tmp_path)
    assert not is_full(apsw.CorruptError("no"), tmp_path)
