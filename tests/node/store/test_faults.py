"""A disk that is slow, full or failing: the store falls silent and says why; nothing is vouched."""

from __future__ import annotations

import errno
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from node.core.messages import Entry, chain_hash
from node.core.outputs import Write
from node.ledger.book import apply
from node.ledger.commands import PayloadError, Receipt
from node.ledger.storage import LedgerStorage
from node.store import Store, StoreFailed, StoreRefused
from node.store.disk import Disk
from node.store.faults import CHECK_MS, DiskFaults
from node.store.highwater import HighWater
from node.store.recovery import verify
from node.store.schema import connect
from node.store.writer import FLUSH_ROWS, Writer
from tests.node.store.parts import Ear, log, opened, sale, settle


class FaultyStore:
    """A store at work on a disk that can be made to fail."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "faults.json"
        self.folder = folder / "data"
        self.store, self.ear, _ = opened(self.folder, fault_file=self.file)
        self.entries = log(8)

    def now(self, **fault: Any) -> None:
        """The fault is in force when it returns."""
        self.file.write_text(json.dumps(fault))
        time.sleep(CHECK_MS / 1000)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"full": True}, "no space left"),
        ({"io_error": True}, "the disk cannot be"),
        ({"slow_sync": 5}, "fault file"),
    ],
)
def test_a_failing_disk_stops_the_store_and_nothing_is_vouched(
    tmp_path: Path, fault: dict[str, object], reason: str
) -> None:
    at = FaultyStore(tmp_path)
    settle(at.store, at.ear, at.entries[:3])
    at.now(**fault)
    at.store.write(Write(4, 9, 1, None, (at.entries[3],)))
    assert reason in at.ear.until_failed()
    at.now()
    at.store.write(Write(5, 9, 1, None, tuple(at.entries[3:5])))
    at.store.apply(at.entries[3:4])
    for ask in (
        lambda: at.store.inquire("k"),
        lambda: at.store.read_log(1, 10),
        lambda: at.store.bind_cluster("tokyo"),
        lambda: at.store.audit(0, False),
    ):
        with pytest.raises(StoreFailed, match=reason):
            ask()
    at.store.close()
    assert at.ear.order[-2:] == ["persisted 3", "failed"]
    store, recovered = Store.open(at.folder, node="a1")
    store.close()
    assert recovered.entries == tuple(at.entries[:3])
    assert recovered.promised == 1


def test_who_waits_is_told(tmp_path: Path) -> None:
    at = FaultyStore(tmp_path)
    settle(at.store, at.ear, at.entries[:1])
    later: Future[object] = at.store.audit(5, False)  # type: ignore[assignment]
    at.now(full=True)
    at.store.write(Write(2, 1, 1, None, (at.entries[1],)))
    with pytest.raises(StoreFailed, match="no space left"):
        later.result(20)
    at.store.close()


def test_a_disk_that_fills_up_before_the_commit(tmp_path: Path) -> None:
    """The receipts have left, as they may; the write is not reported, the record not moved."""
    at = FaultyStore(tmp_path)
    settle(at.store, at.ear, at.entries[:1])
    before = (at.folder / "disk" / "high-water").read_bytes()
    at.ear.on_applied = lambda index: at.now(full=True)
    at.store.write(Write(2, 1, 1, None, (at.entries[1],)))
    at.store.apply(at.entries[1:2])
    at.ear.until_failed()
    assert (at.ear.index, at.ear.number) == (2, 1)
    at.store.close()
    assert (at.folder / "disk" / "high-water").read_bytes() == before


def test_what_the_high_water_record_does_not_cover_is_not_reported(stopped: Path) -> None:
    """D2, D5: committed in SQLite is not enough."""

    class NoSync(DiskFaults):
        def before_sync(self) -> None:
            raise OSError(errno.EIO, "no sync")

    disk = stopped / "disk"
    connection = connect(disk / "settlement.db", None, 1024)
    high_water = HighWater(disk / "high-water", NoSync(None))
    recovered, meta, end = verify(connection, disk, high_water, 100)
    held = Disk(connection, high_water, meta, end)
    writer = Writer(held, disk / "settlement.db", None, apply, FLUSH_ROWS)
    ear = Ear()
    writer.start(ear)
    writer.queue.put(Write(1, 1, 1, None, tuple(log(1, after=recovered.entries[-1]))))
    assert "no sync" in ear.until_failed()
    writer.stop(lambda: None)
    assert ear.order == ["failed"]


def test_a_slow_disk_only_delays(tmp_path: Path) -> None:
    at = FaultyStore(tmp_path)
    at.now(slow_sync_ms=40)
    settle(at.store, at.ear, at.entries[:2])
    assert at.store.fsync_seconds >= 4 * 0.040
    assert at.ear.failures == []
    at.store.close()


def test_a_disk_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    at = FaultyStore(tmp_path)
    settle(at.store, at.ear, at.entries)
    at.store.close()
    at.now(read_error=True)
    with pytest.raises(StoreRefused, match=r"settlement\.db: SQLite cannot"):
        Store.open(at.folder, node="a1", fault_file=at.file)
    at.file.unlink()
    store, recovered = Store.open(at.folder, node="a1", fault_file=at.file)
    store.close()
    assert len(recovered.entries) == 8


def test_a_read_error_while_running_stops_the_store(tmp_path: Path) -> None:
    at = FaultyStore(tmp_path)
    settle(at.store, at.ear, at.entries)
    at.now(read_error=True)
    with pytest.raises(StoreFailed, match="cannot be read"):
        at.store.read_log(1, 10_000)
    assert "cannot be read" in at.ear.until_failed()
    at.store.close()


@pytest.mark.parametrize("how", ["inquire", "audit", "export", "apply"])
def test_a_row_that_goes_bad_while_running_stops_the_store(stopped: Path, how: str) -> None:
    """Named, whoever meets it first."""
    store, ear, recovered = opened(stopped)
    other = connect(stopped / "disk" / "settlement.db", None, 1024)
    other.execute("UPDATE ledger SET crc = crc + 1 WHERE tab = 1").fetchall()
    other.close()
    after = recovered.entries[-1]
    sales = recovered.entries[0].payload
    again = Entry(13, 1, sales, chain_hash(after.hash, 13, 1, sales))
    reads: dict[str, Callable[[], object]] = {
        "inquire": lambda: store.inquire(sale(100_002).key),
        "audit": lambda: store.audit(0, True).result(20),
        "export": lambda: list(store.export(0)),
    }
    named = r"ledger record: the checksum of row 'T0000001.20261123.100002.0200' does not match"
    if how == "apply":
        store.write(Write(1, 1, 1, None, (again,)))
        store.apply([again])
    else:
        with pytest.raises(StoreFailed, match=named):
            reads[how]()
    assert re.search(named, ear.until_failed())
    store.close()


def test_a_disk_that_is_full_at_start_is_refused(tmp_path: Path, stopped: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('{"io_error": true}')
    store, _ = Store.open(stopped, node="a1")
    store.bind_cluster("tokyo")
    image = Path(shutil.copytree(stopped, tmp_path / "image"))
    store.close()
    with pytest.raises(StoreRefused, match="cannot be"):
        Store.open(image, node="a1", fault_file=file)


def test_an_entry_that_cannot_be_applied_stops_the_store(tmp_path: Path) -> None:
    def poisoned(storage: LedgerStorage, index: int, payload: bytes) -> tuple[Receipt, ...]:
        receipts = apply(storage, index, payload)
        if index == 3:
            raise PayloadError("unreadable")
        return receipts

    store, ear, _ = opened(tmp_path, apply_entry=poisoned)
    entries = log(3)
    settle(store, ear, entries[:2])
    store.write(Write(3, 1, 1, None, (entries[2],)))
    store.apply(entries[2:])
    assert "PayloadError: unreadable" in ear.until_failed()
    store.close()
    assert ear.index == 2
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.applied_index < 3


def test_a_listener_that_fails_stops_the_store(tmp_path: Path) -> None:
    class Broken(Ear):
        def persisted(self, number: int) -> None:
            raise RuntimeError("the loop is closed")

        def failed(self, reason: str) -> None:
            super().failed(reason)
            raise RuntimeError("still closed")

    store, _ = Store.open(tmp_path, node="a1")
    ear = Broken()
    store.start(ear)
    entry: Entry = log(1)[0]
    store.write(Write(1, 1, 1, None, (entry,)))
    assert "the loop is closed" in ear.until_failed()
    store.close()
    assert len(ear.failures) == 1


def test_closing_a_store_that_fails_meanwhile_ends(tmp_path: Path) -> None:
    """The end was asked for before the error was met."""
    store, _ = Store.open(tmp_path, node="a1")
    ear = Ear()
    store.write(Write(1, 1, 1, None, tuple(log(2)[1:])))
    waiting = store.audit(7, False)
    closing = threading.Thread(target=store.close)
    ear.on_failed = closing.start
    store.start(ear)
    ear.until_failed()
    closing.join(20)
    assert not closing.is_alive()
    with pytest.raises(StoreFailed, match="entry 2 does not follow 0"):
        waiting.result(20)
    after, _ = Store.open(tmp_path, node="a1")
    after.close()


def test_an_end_asked_for_before_the_error_is_not_forgotten(tmp_path: Path) -> None:
    store, _ = Store.open(tmp_path, node="a1")
    ear = Ear()
    holding, go_on = threading.Event(), threading.Event()

    def hold(index: int) -> None:
        holding.set()
        go_on.wait(20)

    ear.on_applied = hold
    store.start(ear)
    entries = log(3)
    store.write(Write(1, 1, 1, None, tuple(entries[:1])))
    store.apply(entries[:1])
    assert holding.wait(20)
    store.write(Write(2, 1, 1, None, tuple(entries[2:])))
    closing = threading.Thread(target=store.close)
    closing.start()
    go_on.set()
    closing.join(20)
    assert not closing.is_alive()
    assert "entry 3 does not follow 1" in ear.failures[0]
