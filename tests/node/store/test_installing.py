"""M4: a snapshot in the place of ledger and log: one durable step that keeps what is one's own."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from node.core.messages import Entry, Offer
from node.core.outputs import Install, Write
from node.store import AuditReport, IndexPassed, SnapshotFile, Store
from node.store.faults import CHECK_MS, DiskFaults
from node.store.highwater import HighWater
from tests.node.store.parts import (
    Ear,
    crash_image,
    fetched,
    log,
    opened,
    reopened,
    sale,
    settle,
    settled_and_flushed,
)

ENTRIES = 12


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> tuple[SnapshotFile, AuditReport]:
    """The snapshot of a replica at entry 12, and that replica's audit there."""
    store, _, _ = settled_and_flushed(tmp_path_factory.mktemp("donor"), ENTRIES)
    made = store.make_snapshot().result(20)
    report = store.audit(0, False).result(20)
    content = made.path.read_bytes()
    store.close()
    kept = tmp_path_factory.mktemp("kept") / "snapshot"
    kept.write_bytes(content)
    return SnapshotFile(made.index, made.epoch, made.hash, kept, made.size, made.sha256), report


def same_ledger(store: Store, expected: AuditReport) -> None:
    found = store.audit(0, False).result(20)
    assert (found.index, found.chain_hash) == (expected.index, expected.chain_hash)
    assert found.ledger_digest == expected.ledger_digest
    assert (found.records, found.problem) == (expected.records, "")


@pytest.mark.parametrize("own", [0, 1, 5])
def test_ledger_and_log_become_the_offers_and_the_rest_stays(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport], own: int
) -> None:
    made, expected = donor
    store, ear, _ = settled_and_flushed(tmp_path, own)
    disk_id = json.loads(next(iter(store.export(0))))["disk_id"]
    install, part = fetched(store, made, number=own + 1, promised=8, revision=5)
    store.install(install, part)
    ear.until(lambda e: e.number == own + 1)
    assert ear.order[-1] == f"persisted {own + 1}"
    assert ear.index == own
    assert store.prune_index == ENTRIES
    assert store.read_log(1, 10**6) == ()
    same_ledger(store, expected)
    assert not part.exists()
    image = crash_image(tmp_path, tmp_path.parent / (tmp_path.name + "-image"))
    store.close()
    for folder in (image, tmp_path):
        store, found = Store.open(folder, node="a1")
        store.start(Ear())
        same_ledger(store, expected)
        store.close()
        assert (found.disk_id, found.cluster_id) == (disk_id, "tokyo")
        assert (found.promised, found.configuration_revision) == (8, 5)
        assert (found.applied_index, found.prune_index, found.base_index) == (12, 12, 12)
        assert (found.base_epoch, found.base_hash, found.entries) == (1, made.hash, ())


def test_the_log_goes_on_after_it(tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]) -> None:
    """Also where all is asked for at once: what is not written yet is not lost, nor mixed in."""
    made, _ = donor
    store, ear, entries = settled_and_flushed(tmp_path / "live", 3)
    install, part = fetched(store, made, number=5, promised=2)
    last = log(ENTRIES)[-1]
    after = log(3, after=last)
    fourth = log(1, after=entries[-1])
    store.write(Write(4, 2, 1, None, tuple(fourth)))
    store.apply(fourth)
    store.install(install, part)
    store.write(Write(6, 3, 1, None, tuple(after)))
    store.apply(after[:2])
    ear.until(lambda e: e.number == 6 and e.index == 14)
    assert ear.order.index("persisted 4") < ear.order.index("persisted 5")
    assert store.read_log(13, 10**6) == tuple(after)
    twin, _, _ = settled_and_flushed(tmp_path / "twin", 14)
    same_ledger(store, twin.audit(0, False).result(20))
    twin.close()
    store.close()
    assert reopened(tmp_path / "live").entries == tuple(after)


def test_readers_see_the_new_ledger_from_then_on(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]
) -> None:
    """Nothing that was kept in memory of the old one shows through."""
    made, _ = donor
    store, ear, _ = opened(tmp_path)
    store.bind_cluster("tokyo")
    settle(store, ear, log(3))  # not on disk yet
    assert store.interim("T0000001", 1).totals[0].count == 6
    install, part = fetched(store, made, number=4)
    store.install(install, part)
    ear.until(lambda e: e.number == 4)
    assert store.interim("T0000001", 1).totals[0].count == 24
    found = store.inquire(sale(100_024).key)
    assert found is not None
    assert found.receipt.index == 12
    store.close()


def test_a_reader_at_work_is_waited_for(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]
) -> None:
    """It may hold changes of the old ledger, and would lay them over the new one."""
    made, _ = donor
    store, ear, _ = settled_and_flushed(tmp_path, 3)
    install, part = fetched(store, made, number=4)
    with store._reading() as rows:
        store.install(install, part)
        store.write(Write(5, 1, 1))
        time.sleep(0.05)
        assert ear.number == 3
        with store._reading():
            assert dict(rows._changes) == store._writer.changes
    ear.until(lambda e: e.number == 5)
    store.close()


def test_who_waits_for_an_index_it_passes_over_is_told(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]
) -> None:
    made, expected = donor
    store, ear, _ = settled_and_flushed(tmp_path, 3)
    between: Future[AuditReport] = store.audit(7, False)
    exactly, later = store.audit(ENTRIES, False), store.audit(13, False)
    install, part = fetched(store, made, number=4)
    store.install(install, part)
    with pytest.raises(IndexPassed, match="index 7 has passed: the ledger stands at 12"):
        between.result(20)
    assert exactly.result(20).ledger_digest == expected.ledger_digest
    after = log(1, after=log(ENTRIES)[-1])
    store.write(Write(5, 1, 1, None, tuple(after)))
    store.apply(after)
    assert later.result(20).index == 13
    assert ear.failures == []
    store.close()


def conflicting(folder: Path, last: int) -> tuple[Store, Ear, list[Entry]]:
    """Applied 3; then entries up to `last` that no leader of a later epoch has."""
    store, ear, entries = settled_and_flushed(folder, 3)
    tail = log(last - 3, epoch=2, after=entries[-1])
    store.write(Write(4, 2, 1, None, tuple(tail)))
    ear.until(lambda e: e.number == 4)
    return store, ear, tail


@pytest.mark.parametrize("last", [11, 12, 15])
def test_a_tail_that_conflicts_goes_with_the_log(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport], last: int
) -> None:
    """The high-water record goes down, and covers the snapshot at the end (D5)."""
    made, expected = donor
    store, ear, _ = conflicting(tmp_path, last)
    install, part = fetched(store, made, number=5, promised=3)
    store.install(install, part)
    ear.until(lambda e: e.number == 5)
    same_ledger(store, expected)
    store.close()
    record = HighWater(tmp_path / "disk" / "high-water", DiskFaults(None))
    record.close()
    assert (record.mark.promised, record.mark.index, record.mark.hash) == (3, 12, made.hash)
    assert reopened(tmp_path).entries == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (Install(9, 0, 1, Offer(9, 12, 1, b"")), "promise 0 is below 1"),
        (Install(9, 1, 1, Offer(9, 3, 1, b"")), "a snapshot at 3, but 3 is applied"),
        (Install(9, 1, 1, Offer(9, 11, 1, b"")), "fetched for index 11 is another one"),
        (Install(9, 1, 1, Offer(9, 12, 1, bytes(32))), "fetched for index 12 is another one"),
    ],
)
def test_what_must_not_be_stops_the_store_and_changes_nothing(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport], changed: Install, reason: str
) -> None:
    made, _ = donor
    store, ear, entries = settled_and_flushed(tmp_path, 3)
    _, part = fetched(store, made, number=4)
    store.install(changed, part)
    assert reason in ear.until_failed()
    assert ear.number == 3
    store.close()
    recovered = reopened(tmp_path)
    assert recovered.entries == tuple(entries)
    assert (recovered.promised, recovered.prune_index) == (1, 0)


def test_a_disk_that_fills_up_under_an_installation_keeps_the_replica_of_before(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]
) -> None:
    made, expected = donor
    faults, folder = tmp_path / "faults.json", tmp_path / "data"
    store, ear, _ = opened(folder, fault_file=faults)
    store.bind_cluster("tokyo")
    settle(store, ear, log(3))
    install, part = fetched(store, made, number=4, promised=2)
    faults.write_text(json.dumps({"full": True}))
    time.sleep(CHECK_MS / 1000)
    store.install(install, part)
    assert ear.until_failed().startswith("the disk is full")
    store.close()
    faults.unlink()
    recovered = reopened(folder)
    assert (recovered.promised, recovered.prune_index) == (1, 0)
    assert recovered.entries == tuple(log(3))
    store, ear, _ = opened(folder)
    store.apply(log(3)[recovered.applied_index :])
    install, part = fetched(store, made, number=1, promised=2)
    store.install(install, part)
    ear.until(lambda e: e.number == 1)
    same_ledger(store, expected)
    store.close()


def test_reads_go_on_meanwhile(tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]) -> None:
    """Each sees one ledger whole: six sales or twenty-four, never anything else."""
    made, _ = donor
    store, ear, _ = settled_and_flushed(tmp_path, 3)
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(store.interim("T0000001", 1).totals[0].count)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    install, part = fetched(store, made, number=4)
    store.install(install, part)
    ear.until(lambda e: e.number == 4)
    assert store.interim("T0000001", 1).totals[0].count == 24
    done.set()
    for reader in readers:
        reader.join()
    assert seen <= {6, 24}
    store.close()


def test_a_disk_filled_by_snapshot_serves_the_next_one(
    tmp_path: Path, donor: tuple[SnapshotFile, AuditReport]
) -> None:
    """What was installed can be handed on, and installed over again later."""
    made, expected = donor
    store, ear, _ = settled_and_flushed(tmp_path / "first", 0)
    store.install(*fetched(store, made, number=1))
    ear.until(lambda e: e.number == 1)
    handed_on = store.make_snapshot().result(20)
    assert (handed_on.index, handed_on.epoch, handed_on.hash) == (12, 1, made.hash)
    other, ear, _ = settled_and_flushed(tmp_path / "second", 5)
    other.install(*fetched(other, handed_on, number=6))
    ear.until(lambda e: e.number == 6)
    same_ledger(other, expected)
    other.close()
    store.close()
