"""The store's promises while all goes well: order, one commit for many, reads that see."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from node.core.messages import EPOCH_START, GENESIS_HASH, Entry, chain_hash
from node.core.outputs import Write
from node.ledger.commands import Outcome
from node.store import Store, StoreClosed, StoreRefused
from node.store.snapshot import take
from node.store.store import Totals
from tests.node.store.parts import Ear, crash_image, log, opened, sale, settle


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    store, ear, recovered = opened(tmp_path)
    assert (recovered.entries, recovered.base_hash) == ((), GENESIS_HASH)
    entries = log(5)
    settle(store, ear, entries)
    store.write(Write(6, 7, 3))
    ear.until(lambda e: e.number == 6)
    store.close()

    store, again = Store.open(tmp_path, node="a1")
    store.close()
    assert again.disk_id == recovered.disk_id
    assert again.entries == tuple(entries)
    assert (again.promised, again.configuration_revision, again.applied_index) == (7, 3, 5)
    assert again.notes == ()


def test_all_that_waits_goes_into_one_commit(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(21)
    busy, go_on = threading.Event(), threading.Event()

    def hold(index: int) -> None:
        busy.set()
        go_on.wait(20)

    ear.on_applied = hold
    store.write(Write(1, 1, 1, None, (entries[0],)))
    store.apply(entries[:1])
    assert busy.wait(20)
    ear.on_applied = lambda index: None
    for number, entry in enumerate(entries[1:], 2):
        store.write(Write(number, 1, 1, None, (entry,)))
        store.apply([entry])
    go_on.set()
    ear.until(lambda e: e.number == 21)
    assert store.fsyncs == 2
    assert ear.order == ["applied 1", "persisted 1", "applied 21", "persisted 21"]
    assert [index for index, _ in ear.receipts] == list(range(1, 22))
    store.close()


def test_receipts_leave_before_the_commit_and_reads_see_them(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(2)
    settle(store, ear, entries[:1])
    seen: dict[str, Any] = {}

    def look(index: int) -> None:
        committed = take(tmp_path / "disk" / "settlement.db", None)
        seen["committed"] = committed.index
        committed.close()
        seen["inquiry"] = store.inquire(ear.receipts[-1][1][0].key)
        seen["new"] = store.inquire(sale(100_004).key)
        seen["admitted"] = store.admit([sale(100_004), sale(999)])
        seen["interim"] = store.interim("T0000001", 1).totals[0].count

    ear.on_applied = look
    store.write(Write(2, 1, 1, None, (entries[1],)))
    store.apply(entries[1:])
    ear.until(lambda e: e.index == 2)
    store.close()
    assert seen["committed"] == 0
    assert seen["new"] is not None
    assert seen["inquiry"] is not None
    assert seen["admitted"][0].replayed
    assert seen["admitted"][1] is None
    assert seen["interim"] == 4


def test_replies_are_the_ledgers(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(3))
    first = ear.receipts[0][1][0]
    found = store.inquire(first.key)
    assert found is not None
    assert found.receipt == first
    assert first.outcome == Outcome.APPROVED
    assert store.inquire("T0000001.20261123.999999.0200") is None
    assert store.interim("T0000001", 0).totals[0].captured_minor == 6 * 1200
    store.close()


def test_a_cut_and_its_replacement_are_one_step(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(6)
    settle(store, ear, entries[:3])
    store.write(Write(4, 1, 1, None, tuple(entries[3:])))
    ear.until(lambda e: e.number == 4)
    others = log(2, epoch=9, after=entries[3])
    commits = store.fsyncs
    store.write(Write(5, 9, 1, 4, tuple(others)))
    ear.until(lambda e: e.number == 5)
    assert store.fsyncs == commits + 1
    assert store.read_log(4, 10**6) == (entries[3], *others)
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.entries == (*entries[:4], *others)


def test_cuts_and_appends_merge_within_one_commit(tmp_path: Path) -> None:
    store, _ = Store.open(tmp_path, node="a1")
    ear = Ear()
    entries = log(4)
    newer = log(1, epoch=2, after=entries[1])
    newest = log(3, epoch=3, after=entries[0])
    store.write(Write(1, 1, 1, None, tuple(entries)))
    store.write(Write(2, 2, 1, 2, tuple(newer)))
    store.write(Write(3, 3, 1, 1, tuple(newest)))
    store.write(Write(4, 3, 1, 3))
    store.start(ear)
    ear.until(lambda e: e.number == 4)
    assert store.fsyncs == 1
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.entries == (entries[0], *newest[:2])
    assert recovered.promised == 3


def test_a_write_that_changes_nothing_needs_no_commit(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(1))
    commits = store.fsyncs
    store.write(Write(2, 1, 1))
    ear.until(lambda e: e.number == 2)
    assert store.fsyncs == commits
    store.close()


def test_applying_needs_no_commit_of_its_own(tmp_path: Path) -> None:
    """The log has it all: the ledger's rows may follow later."""
    store, ear, _ = opened(tmp_path)
    entries = log(4)
    store.write(Write(1, 1, 1, None, tuple(entries)))
    ear.until(lambda e: e.number == 1)
    commits = store.fsyncs
    store.apply(entries)
    ear.until(lambda e: e.index == 4)
    assert store.fsyncs == commits
    assert store.inquire(ear.receipts[3][1][0].key) is not None
    store.close()


@pytest.mark.parametrize("on_disk", [0, 5, 9])
def test_a_ledger_behind_its_log_is_made_good_after_a_crash(tmp_path: Path, on_disk: int) -> None:
    """Applied again from where the disk stands, with the same receipts and the same rows."""
    store, ear, _ = opened(tmp_path / "live")
    entries = log(9)
    settle(store, ear, entries[:on_disk])
    store.audit(0, False).result(20)  # brings the ledger's rows to the disk
    settle(store, ear, entries[on_disk:], first_number=on_disk + 1)
    image = crash_image(tmp_path / "live", tmp_path / "image")
    whole = store.audit(0, False).result(20)
    store.close()

    store, again, recovered = opened(image)
    assert recovered.entries == tuple(entries)
    assert recovered.applied_index == on_disk
    store.apply(entries[on_disk:])
    assert store.audit(9, False).result(20) == whole
    assert again.receipts == ear.receipts[on_disk:]
    store.close()


def test_many_changed_rows_reach_the_disk_by_themselves(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path / "live", flush_rows=7)
    settle(store, ear, log(30))
    image = crash_image(tmp_path / "live", tmp_path / "image")
    store.close()
    store, recovered = Store.open(image, node="a1")
    store.close()
    assert recovered.applied_index > 10


def test_the_tail_handed_over_holds_all_that_is_not_applied(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(10)
    settle(store, ear, entries[:4])
    store.write(Write(5, 1, 1, None, tuple(entries[4:])))
    ear.until(lambda e: e.number == 5)
    store.close()
    for in_memory, base in ((2, 4), (8, 2), (100, 0)):
        store, recovered = Store.open(tmp_path, node="a1", entries_in_memory=in_memory)
        store.close()
        assert recovered.entries == tuple(entries[base:])
        assert recovered.base_index == base
        assert recovered.base_hash == (entries[base - 1].hash if base else GENESIS_HASH)
        assert recovered.base_epoch == (1 if base else 0)


def test_an_epoch_start_settles_nothing(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    chain = chain_hash(GENESIS_HASH, 1, 5, EPOCH_START)
    settle(store, ear, [Entry(1, 5, EPOCH_START, chain)])
    assert ear.receipts == [(1, ())]
    store.close()


def test_the_log_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(6)
    settle(store, ear, entries)
    size = len(entries[0].payload)
    assert store.read_log(2, 2 * size) == tuple(entries[1:3])
    assert store.read_log(2, 1) == (entries[1],)
    assert store.read_log(7, size) == ()
    store.close()


@pytest.mark.parametrize("started", [False, True])
def test_a_disk_belongs_to_one_cluster_for_good(tmp_path: Path, started: bool) -> None:
    store, _ = Store.open(tmp_path, node="a1")
    if started:
        store.start(Ear())
    store.bind_cluster("tokyo")
    store.bind_cluster("tokyo")
    with pytest.raises(StoreRefused, match="belongs to cluster tokyo, not to osaka"):
        store.bind_cluster("osaka")
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    assert recovered.cluster_id == "tokyo"
    with pytest.raises(StoreRefused, match="belongs to cluster tokyo"):
        store.bind_cluster("osaka")
    store.close()


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (Write(9, 0, 1), "promise 0 is below 1"),
        (Write(9, 1, 1, 2), "dropping what follows 2, but 3 is applied"),
        (Write(9, 1, 1, None, (log(9)[8],)), "entry 9 does not follow 3"),
    ],
)
def test_what_the_protocol_forbids_stops_the_store(
    tmp_path: Path, write: Write, reason: str
) -> None:
    """M2: a settled entry is never dropped, whoever asks."""
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(3))
    store.write(write)
    assert reason in ear.until_failed()
    assert ear.number == 3
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert len(recovered.entries) == 3


def test_only_entries_in_the_log_are_applied_and_in_order(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(3)
    settle(store, ear, entries[:1])
    store.apply(entries[1:2])
    assert "entry 2 is beyond 1, the end of the log" in ear.until_failed()
    store.close()


def test_closing_finishes_what_was_asked_and_then_answers_no_more(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(50)
    for number, entry in enumerate(entries, 1):
        store.write(Write(number, 1, 1, None, (entry,)))
    store.close()
    store.close()
    assert ear.number == 50
    with pytest.raises(StoreClosed):
        store.read_log(1, 100)


def test_a_large_backlog_is_checkpointed_and_stays_whole(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(40, commands=200)
    for number, entry in enumerate(entries, 1):
        store.write(Write(number, 1, 1, None, (entry,)))
        store.apply([entry])
    ear.until(lambda e: e.number == 40 and e.index == 40)
    report = store.audit(0, True).result(20)
    assert (report.index, report.records, report.problem) == (40, 8000, "")
    store.close()
    assert not (tmp_path / "disk" / "settlement.db-wal").exists()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.applied_index == 40


def test_totals_are_those_of_exactly_the_index_and_time_they_name(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(400, commands=3)
    store.write(Write(1, 1, 1, None, tuple(entries)))
    seen: list[Totals] = []
    for entry in entries:
        store.apply([entry])
        seen.append(store.interim("T0000001", 1))
    ear.until(lambda e: e.index == 400)
    seen.append(store.interim("T0000001", 1))
    store.close()
    for read in seen:
        assert read.totals[0].count == 3 * read.index
        assert read.as_of_ms == (1_700_000_000_000 + read.index if read.index else 0)
    assert seen[-1].index == 400
    store, _ = Store.open(tmp_path, node="a1")
    assert store.interim("T0000001", 1) == seen[-1]
    store.close()
