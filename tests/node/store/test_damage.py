"""What must be found at start, named, and refused; and that refusing changes nothing (D5, D6)."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from node.core.outputs import Write
from node.ledger.audit import digest
from node.store import Recovered, Store, StoreRefused
from node.store.faults import DiskFaults
from node.store.highwater import HighWater
from node.store.schema import Meta, pack_meta, read_meta
from node.store.snapshot import take
from tests.node.store.conftest import ENTRIES
from tests.node.store.parts import log, opened, sale, settle

DATABASE = "disk/settlement.db"
WAL = "disk/settlement.db-wal"
HIGH_WATER = "disk/high-water"


def reopened(folder: Path) -> Recovered:
    store, recovered = Store.open(folder, node="a1")
    store.close()
    return recovered


def refused(folder: Path) -> StoreRefused:
    """Opens the folder, expecting a refusal that leaves every file as it was."""
    names = (DATABASE, WAL, HIGH_WATER)
    before = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    with pytest.raises(StoreRefused) as caught:
        Store.open(folder, node="a1")
    after = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    assert {name: after[name] for name in before} == before
    return caught.value


def content_of(folder: Path) -> tuple[Recovered, bytes]:
    """All that a disk says of its log, and the digest of its ledger."""
    recovered = reopened(folder)
    snapshot = take(folder / DATABASE, None)
    try:
        return recovered, digest(snapshot.rows)
    finally:
        snapshot.close()


def flip(file: Path, offset: int, mask: int = 1) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= mask
    file.write_bytes(content)


def change(folder: Path, sql: str, *bindings: apsw.SQLiteValue) -> None:
    """Alters the database in a way SQLite itself finds in good order."""
    connection = apsw.Connection(str(folder / DATABASE))
    connection.execute(sql, bindings).fetchall()
    assert connection.changes() == 1
    connection.close()


def test_nothing_is_wrong_with_the_images(crashed: Path, stopped: Path) -> None:
    assert (crashed / WAL).stat().st_size > 10_000
    for folder in (crashed, stopped):
        recovered = reopened(folder)
        assert len(recovered.entries) == ENTRIES
        assert recovered.notes == ()


@pytest.mark.parametrize("place", [0.02, 0.2, 0.4, 0.6])
def test_a_flipped_bit_in_the_write_ahead_log(crashed: Path, place: float) -> None:
    """SQLite alone opens such a file with half of its commits gone, and calls it whole."""
    flip(crashed / WAL, int((crashed / WAL).stat().st_size * place))
    problem = refused(crashed)
    assert problem.file == crashed / DATABASE
    assert f"was vouched for up to {ENTRIES}" in problem.problem


def test_a_flipped_bit_in_the_header_of_the_write_ahead_log(crashed: Path) -> None:
    flip(crashed / WAL, 17)
    assert "the log ends at 0" in refused(crashed).problem


def test_a_write_ahead_log_cut_short(crashed: Path) -> None:
    content = (crashed / WAL).read_bytes()
    (crashed / WAL).write_bytes(content[: len(content) // 2])
    assert f"was vouched for up to {ENTRIES}" in refused(crashed).problem


def test_a_write_ahead_log_that_is_gone(crashed: Path) -> None:
    (crashed / WAL).unlink()
    assert "the log ends at 0, but was vouched for up to 12" in refused(crashed).problem


def test_no_flipped_bit_in_the_write_ahead_log_loses_an_entry_unseen(
    crashed_once: Path, tmp_path: Path
) -> None:
    """Past the last write there may be frames that only apply: they can be made again."""
    whole = reopened(Path(shutil.copytree(crashed_once, tmp_path / "whole"))).entries
    draw = random.Random(5)
    size = (crashed_once / WAL).stat().st_size
    for number in range(25):
        folder = Path(shutil.copytree(crashed_once, tmp_path / str(number)))
        flip(folder / WAL, draw.randrange(size), 1 << draw.randrange(8))
        try:
            recovered = reopened(folder)
        except StoreRefused:
            continue
        assert recovered.entries == whole
        assert recovered.promised == 1


def test_an_older_copy_put_back(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path / "live")
    entries = log(9)
    settle(store, ear, entries[:6])
    store.close()
    older = (tmp_path / "live" / DATABASE).read_bytes()
    store, ear, _ = opened(tmp_path / "live")
    settle(store, ear, entries[6:], first_number=7)
    store.close()
    (tmp_path / "live" / DATABASE).write_bytes(older)
    problem = refused(tmp_path / "live")
    assert problem.problem.startswith("the log ends at 6, but was vouched for up to 9")


def test_an_older_copy_with_an_older_promise_put_back(tmp_path: Path) -> None:
    """D5: the vow alone counts, too, where no entry followed it."""
    store, ear, _ = opened(tmp_path)
    store.close()
    older = (tmp_path / DATABASE).read_bytes()
    store, ear, _ = opened(tmp_path)
    store.write(Write(1, 4, 1))
    ear.until(lambda e: e.number == 1)
    store.close()
    (tmp_path / DATABASE).write_bytes(older)
    assert "promises epoch 0, but 4 was promised" in refused(tmp_path).problem


def test_a_crash_between_a_cut_and_its_commit_is_no_loss(tmp_path: Path) -> None:
    """D5: the record is lowered first; found so, the longer log is whole."""
    store, ear, _ = opened(tmp_path / "live")
    entries = log(6)
    settle(store, ear, entries[:3])
    store.write(Write(4, 1, 1, None, tuple(entries[3:])))
    ear.until(lambda e: e.number == 4)
    before = shutil.copytree(tmp_path / "live", tmp_path / "before")
    store.write(Write(5, 2, 1, 3, tuple(log(1, epoch=2, after=entries[2]))))
    ear.until(lambda e: e.number == 5)
    # Of the two slots, one holds the record lowered before the commit, the other the one after.
    slots = (tmp_path / "live" / HIGH_WATER).read_bytes()
    store.close()
    older_slots = (before / HIGH_WATER).read_bytes()
    lowered = next(
        slots[at : at + 4096]
        for at in (0, 4096)
        if int.from_bytes(slots[at + 12 : at + 20], "big")
        == 1 + max(int.from_bytes(older_slots[a + 12 : a + 20], "big") for a in (0, 4096))
    )
    (before / HIGH_WATER).write_bytes(lowered + lowered)
    assert reopened(Path(before)).entries == tuple(entries)


def test_what_a_restart_finds_is_covered_before_it_can_be_vouched_for(stopped: Path) -> None:
    """After a crash between commit and record: an Ack of it may need no further write."""
    entries = log(ENTRIES)
    record = HighWater(stopped / HIGH_WATER, DiskFaults(None))
    record.cover(1, 3, entries[2].hash)
    record.close()
    assert len(reopened(stopped).entries) == ENTRIES
    record = HighWater(stopped / HIGH_WATER, DiskFaults(None))
    record.close()
    assert (record.mark.index, record.mark.hash) == (ENTRIES, entries[-1].hash)


@pytest.mark.parametrize(
    ("needle", "copies", "what"),
    [
        (log(ENTRIES)[4].payload[40:], 1, "entry 5 does not have the chain hash"),
        (log(ENTRIES)[4].hash, 1, "entry 5 does not have the chain hash"),
        (b"\xac000000005001", 1, "ledger record: the checksum of row"),
        (sale(100_011).key.encode(), 4, ""),  # log, ledger's row, its value, index
    ],
    ids=["payload", "hash", "reference in a ledger row", "key"],
)
def test_a_flipped_bit_in_a_row(
    stopped_once: Path, tmp_path: Path, needle: bytes, copies: int, what: str
) -> None:
    """Wherever the bytes stand in the file; a page may also hold what is left of a moved row."""
    whole = content_of(Path(shutil.copytree(stopped_once, tmp_path / "whole")))
    content = (stopped_once / DATABASE).read_bytes()
    found = []
    for place in [at for at in range(len(content)) if content.startswith(needle, at)]:
        folder = Path(shutil.copytree(stopped_once, tmp_path / str(place)))
        flip(folder / DATABASE, place + 8)
        try:
            assert content_of(folder) == whole
        except StoreRefused as problem:
            found.append(str(problem))
    assert len(found) == copies
    assert all(DATABASE in problem and what in problem for problem in found)


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (0, "page 1: this is not the header of a SQLite database"),
        (17, "SQLite cannot"),
        (71, "application id"),
        (63, "format version"),
        (4096, "SQLite"),
        (4096 + 4, "integrity check"),
    ],
    ids=["magic", "page size", "application", "version", "page type", "cell count"],
)
def test_a_flipped_bit_in_a_header(stopped: Path, offset: int, what: str) -> None:
    flip(stopped / DATABASE, offset)
    assert what in refused(stopped).problem


def test_no_flipped_bit_in_the_database_changes_anything_unseen(
    stopped_once: Path, tmp_path: Path
) -> None:
    """Refused, or in a place that holds nothing: then all content is as before."""
    whole = content_of(Path(shutil.copytree(stopped_once, tmp_path / "whole")))
    draw = random.Random(3)
    size = (stopped_once / DATABASE).stat().st_size
    found = 0
    for number in range(60):
        folder = Path(shutil.copytree(stopped_once, tmp_path / str(number)))
        flip(folder / DATABASE, draw.randrange(size), 1 << draw.randrange(8))
        try:
            assert content_of(folder) == whole
        except StoreRefused:
            found += 1
    assert found > 5


def lose_a_row(folder: Path) -> None:
    change(folder, "DELETE FROM ledger WHERE key = ?", sale(100_011).key)


def put_an_older_row_back(folder: Path) -> None:
    """As a write that the disk lost would: the row is in good order, but not the last one."""
    store, ear, _ = opened(folder.parent / "other")
    settle(store, ear, log(3))
    store.close()
    other = apsw.Connection(str(folder.parent / "other" / DATABASE))
    select = "SELECT value, crc FROM ledger WHERE tab = 3"
    (row,) = other.execute(select).fetchall()
    other.close()
    change(folder, "UPDATE ledger SET value = ?, crc = ? WHERE tab = 3", *row)


def promise_less(folder: Path) -> None:
    connection = apsw.Connection(str(folder / DATABASE))
    meta = read_meta(connection)
    connection.close()
    state, crc = pack_meta(Meta(meta.disk_id, tallies=meta.tallies, applied_index=ENTRIES))
    change(folder, "UPDATE meta SET state = ?, crc = ?", state, crc)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lose_a_row, "ledger record: 23 rows"),
        (put_an_older_row_back, "a row is lost, or an old one"),
        (promise_less, "promises epoch 0, but 1 was promised"),
        (lambda f: change(f, "DELETE FROM meta"), "table meta has no row"),
        (lambda f: change(f, "UPDATE meta SET crc = crc + 1"), "meta: the checksum"),
        (lambda f: change(f, "DELETE FROM log WHERE idx = 5"), "entry 5 is missing"),
        (lambda f: change(f, "DELETE FROM log WHERE idx = 12"), "log: ends at 11"),
        (lambda f: change(f, "UPDATE log SET epoch = 0 WHERE idx = 7"), "entry 7 does not have"),
    ],
)
def test_files_in_good_order_with_the_wrong_content(
    stopped: Path, damage: Callable[[Path], None], what: str
) -> None:
    damage(stopped)
    assert what in refused(stopped).problem


def test_the_high_water_record_is_missing(stopped: Path) -> None:
    (stopped / HIGH_WATER).unlink()
    problem = refused(stopped)
    assert problem.file == stopped / HIGH_WATER
    assert "the high-water record is missing" in problem.problem


def test_the_database_is_missing(stopped: Path) -> None:
    (stopped / DATABASE).unlink()
    problem = refused(stopped)
    assert problem.file == stopped / DATABASE
    assert "the database is missing" in problem.problem
    assert not (stopped / DATABASE).exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, bytes(range(256)) * 32])
def test_the_high_water_record_is_garbage(stopped: Path, content: bytes) -> None:
    (stopped / HIGH_WATER).write_bytes(content)
    problem = refused(stopped)
    assert problem.file == stopped / HIGH_WATER
    assert "neither slot" in problem.problem


@pytest.mark.parametrize("slot", [0, 1])
def test_one_torn_slot_is_what_a_crash_may_leave(stopped: Path, slot: int) -> None:
    flip(stopped / HIGH_WATER, slot * 4096 + 30)
    recovered = reopened(stopped)
    assert len(recovered.entries) == ENTRIES
    assert f"slot {slot} of the high-water record is unreadable" in recovered.notes[0]


def test_a_torn_slot_still_finds_a_loss(crashed: Path) -> None:
    flip(crashed / HIGH_WATER, 30)
    (crashed / WAL).unlink()
    assert "the log ends at 0" in refused(crashed).problem


def test_files_of_two_disks_do_not_mix(stopped: Path, tmp_path: Path) -> None:
    store, _, _ = opened(tmp_path / "other")
    store.close()
    shutil.copy(tmp_path / "other" / HIGH_WATER, stopped / HIGH_WATER)
    assert "but settlement.db beside it is of disk" in refused(stopped).problem


def test_another_history_of_the_same_length_put_in_place(stopped: Path, tmp_path: Path) -> None:
    """Same disk id, same length, other entries: only the vouched hash tells."""
    other = Path(shutil.copytree(stopped, tmp_path / "other"))
    connection = apsw.Connection(str(other / DATABASE))
    meta = read_meta(connection)
    connection.execute("DELETE FROM log").fetchall()
    for entry in log(ENTRIES, epoch=1, commands=3):
        connection.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?)",
            (entry.index, entry.epoch, entry.payload, entry.hash),
        ).fetchall()
    connection.close()
    assert meta.disk_id
    assert f"entry {ENTRIES} is not the one that was vouched for" in refused(other).problem
