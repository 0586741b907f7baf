"""Snapshots as files: a consistent copy made beside the writer, shared, kept one at a time."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import apsw
import pytest

from node.core.messages import Offer
from node.core.outputs import Write
from node.store import SnapshotDamaged, SnapshotFailed, SnapshotFile, StoreClosed, StoreFailed
from node.store.copying import Copier
from node.store.faults import CHECK_MS
from node.store.reader import Guard
from node.store.schema import pack_meta, read_meta
from node.store.snapshot import Snapshot
from node.store.snapshots import Snapshots
from tests.node.store.parts import DATABASE, log, opened, pruned_to, settle, settled_and_flushed


def offer_of(made: SnapshotFile) -> Offer:
    return Offer(9, made.index, made.epoch, made.hash)


def test_a_snapshot_is_the_ledger_at_its_index_and_nothing_else(tmp_path: Path) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 4)
    store.write(Write(5, 7, 3, None, tuple(log(2, after=entries[-1]))))
    store.apply(log(1, after=entries[-1]))
    ear.until(lambda e: e.index == 5)
    made = store.make_snapshot().result(20)
    assert (made.index, made.epoch) == (5, 1)
    assert made.hash == log(1, after=entries[-1])[0].hash
    assert made.path.parent == tmp_path / "disk" / "snapshots"
    content = made.path.read_bytes()
    assert (made.size, made.sha256) == (len(content), hashlib.sha256(content).digest())
    assert store.snapshot_file(5, made.hash) == made
    assert store.snapshot_file(5, bytes(32)) is None
    assert store.snapshot_file(4, made.hash) is None
    store.check_snapshot(made.path, offer_of(made))
    connection = apsw.Connection(str(made.path))
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    meta = read_meta(connection)
    connection.close()
    assert tables == ["ledger", "meta"]
    assert (meta.disk_id, meta.promised, meta.configuration_revision) == ("", 0, 0)
    assert meta.cluster_id == "tokyo"
    store.close()


def test_it_does_not_move_while_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.copying._ROWS", 70)  # piece by piece, the last one not full
    store, ear, _ = opened(tmp_path, flush_rows=20)
    store.bind_cluster("tokyo")
    entries = log(60, commands=20)
    settle(store, ear, entries[:30])
    making = store.make_snapshot()
    settle(store, ear, entries[30:], first_number=31)
    made = making.result(20)
    store.check_snapshot(made.path, offer_of(made))
    connection = apsw.Connection(str(made.path))
    ((records,),) = connection.execute("SELECT count(*) FROM ledger WHERE tab = 1").fetchall()
    connection.close()
    assert made.index >= 30
    assert records == 20 * made.index
    store.close()


def test_it_serves_until_the_log_after_it_is_pruned_and_then_makes_way(tmp_path: Path) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 6)
    first = store.make_snapshot().result(20)
    settle(store, ear, log(4, after=entries[-1]), first_number=7)
    store.audit(0, False).result(20)
    store.prune(6)
    pruned_to(store, 6)
    assert store.make_snapshot().result(20) == first
    store.prune(7)  # also if it is still there: nobody will be fed from it
    second = store.make_snapshot().result(20)
    assert second.index == 10
    assert not first.path.exists()
    assert store.snapshot_file(first.index, first.hash) is None
    assert [file.name for file in first.path.parent.iterdir()] == [second.path.name]
    store.close()


def test_all_who_ask_meanwhile_share_one(tmp_path: Path) -> None:
    store, _, _ = settled_and_flushed(tmp_path, 3)
    pictures: list[Future[Snapshot]] = []

    def freeze() -> Future[Snapshot]:
        pictures.append(Future())
        return pictures[-1]

    copier = Copier(Snapshots(tmp_path), freeze, Guard(tmp_path, lambda reason: None))
    asking = [copier.ask(0) for _ in range(3)]
    assert asking[1].cancel()
    assert len(pictures) == 1
    pictures[0].set_exception(StoreFailed("gone"))
    for each in (asking[0], asking[2]):
        with pytest.raises(StoreFailed, match="gone"):
            each.result(20)
    assert not copier.ask(0).done()
    assert len(pictures) == 2
    store.close()


def test_what_a_former_life_made_is_removed_at_start(tmp_path: Path) -> None:
    store, _, _ = settled_and_flushed(tmp_path, 3)
    made = store.make_snapshot().result(20)
    useful = store.snapshot_part(9, b"\2" * 32)
    useful.write_bytes(b"half")
    (made.path.parent / "making").write_bytes(b"half")
    passed = made.path.parent / f"3-{'0' * 64}.part"
    passed.write_bytes(b"half")
    store.close()
    store, _, _ = opened(tmp_path)
    assert list(made.path.parent.iterdir()) == [useful]
    assert store.snapshot_file(made.index, made.hash) is None
    store.close()


def test_a_part_belongs_to_one_offer(tmp_path: Path) -> None:
    store, _, _ = settled_and_flushed(tmp_path, 1)
    first = store.snapshot_part(9, b"\1" * 32)
    first.write_bytes(b"half")
    assert store.snapshot_part(9, b"\1" * 32) == first
    assert first.read_bytes() == b"half"
    second = store.snapshot_part(9, b"\2" * 32)
    assert second != first
    assert not first.exists()
    store.close()


def test_a_full_disk_makes_no_snapshot_and_the_store_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 3)
    with monkeypatch.context() as patched:
        patched.setattr("node.store.space.free_bytes", lambda folder: 1 << 20)
        with pytest.raises(SnapshotFailed, match=r"1 MiB left, a copy of the ledger wants 4 MiB"):
            store.make_snapshot().result(20)
    settle(store, ear, log(1, after=entries[-1]), first_number=4)
    assert store.make_snapshot().result(20).index == 4
    store.close()


def test_a_disk_that_fills_up_under_the_copy(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    store, ear, _ = opened(tmp_path / "data", fault_file=faults)
    store.bind_cluster("tokyo")
    settle(store, ear, log(3))
    store.audit(0, False).result(20)
    faults.write_text(json.dumps({"full": True}))
    time.sleep(CHECK_MS / 1000)
    with pytest.raises(SnapshotFailed, match="no snapshot is made: the disk is full"):
        store.make_snapshot().result(20)
    faults.unlink()
    time.sleep(CHECK_MS / 1000)
    assert list((tmp_path / "data" / "disk" / "snapshots").iterdir()) == []
    settle(store, ear, log(1, after=log(3)[-1]), first_number=4)
    assert ear.failures == []
    store.close()


def test_damage_met_while_copying_stops_the_store(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    store, ear, _ = opened(tmp_path / "data", fault_file=faults)
    settle(store, ear, log(30, commands=40))
    store.audit(0, False).result(20)
    faults.write_text(json.dumps({"read_error": True}))
    time.sleep(CHECK_MS / 1000)
    with pytest.raises((StoreFailed, apsw.Error), match="cannot be read"):
        store.make_snapshot().result(20)
    assert "cannot be read" in ear.until_failed()
    store.close()


def test_closing_ends_the_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(10))
    copying, go_on = threading.Event(), threading.Event()
    making = Snapshots.making

    def hold(self: Snapshots) -> Path:
        copying.set()
        go_on.wait(20)
        return making(self)

    monkeypatch.setattr(Snapshots, "making", hold)
    asked = store.make_snapshot()
    assert copying.wait(20)
    closing = threading.Thread(target=store.close)
    closing.start()
    while not store._copier._ended.is_set():
        time.sleep(0.001)
    go_on.set()
    closing.join(20)
    assert not closing.is_alive()
    with pytest.raises(StoreClosed):
        asked.result(20)
    assert not (tmp_path / "disk" / "settlement.db-wal").exists()
    assert list((tmp_path / "disk" / "snapshots").iterdir()) == []


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Offer]:
    """The bytes of a snapshot, and the offer of it."""
    store, _, _ = settled_and_flushed(tmp_path_factory.mktemp("made"), 12)
    made = store.make_snapshot().result(20)
    store.close()
    return made.path.read_bytes(), offer_of(made)


def _change(file: Path, sql: str, *bindings: apsw.SQLiteValue) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(sql, bindings).fetchall()
    connection.close()


def _older_row(file: Path) -> None:
    _change(file, "UPDATE ledger SET crc = crc + 1 WHERE rowid = 3")


def _other_cluster(file: Path) -> None:
    connection = apsw.Connection(str(file))
    meta = read_meta(connection)
    other = type(meta)("", "osaka", tallies=meta.tallies, applied_index=12, prune_index=12)
    connection.execute("UPDATE meta SET state = ?, crc = ?", pack_meta(other)).fetchall()
    connection.close()


DAMAGES = {
    "truncated": (lambda f: f.write_bytes(f.read_bytes()[:-4096]), r"bytes, but \d+ pages of 4096"),
    "cut in a page": (lambda f: f.write_bytes(f.read_bytes()[:-100]), "pages of 4096 were written"),
    "empty": (lambda f: f.write_bytes(b""), "not the header of a snapshot"),
    "missing": (lambda f: f.unlink(), "cannot be read: No such file"),
    "page": (lambda f: f.write_bytes(f.read_bytes()[:4100] + b"\xff" * 200 + f.read_bytes()[4300:]),
             "integrity check|checksum|SQLite|malformed"),
    "row": (_older_row, "ledger record: the checksum of row"),
    "row gone": (lambda f: _change(f, "DELETE FROM ledger WHERE rowid = 3"), "ledger record: 23"),
    "row of no table": (
        lambda f: _change(f, "UPDATE ledger SET tab = 9 WHERE rowid = 3"), "of no table"),
    "meta": (lambda f: _change(f, "UPDATE meta SET crc = crc + 1"), "meta: the checksum"),
    "kind": (lambda f: _change(f, "PRAGMA application_id = 7"), "application id 7: not a snapshot"),
    "version": (lambda f: _change(f, "PRAGMA user_version = 7"), "format version 7"),
    "cluster": (_other_cluster, "is of cluster 'osaka', not of 'tokyo'"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name_and_nothing_changes(
    tmp_path: Path, made_once: tuple[bytes, Offer], damage: str
) -> None:
    content, offer = made_once
    store, ear, entries = settled_and_flushed(tmp_path, 2)
    before = (tmp_path / DATABASE).read_bytes()
    part = store.snapshot_part(offer.index, offer.hash)
    part.write_bytes(content)
    store.check_snapshot(part, offer)
    spoil, what = DAMAGES[damage]
    spoil(part)  # type: ignore[no-untyped-call]
    with pytest.raises(SnapshotDamaged, match=what) as caught:
        store.check_snapshot(part, offer)
    assert str(part) in str(caught.value)
    assert (tmp_path / DATABASE).read_bytes() == before
    settle(store, ear, log(1, after=entries[-1]), first_number=3)
    store.close()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (lambda o: Offer(9, 11, o.entry_epoch, o.hash), "stands at index 12, but 11 was offered"),
        (lambda o: Offer(9, o.index, 2, o.hash), "entry 12 is of epoch 1, not 2"),
        (lambda o: Offer(9, o.index, o.entry_epoch, bytes(32)), "another history"),
    ],
)
def test_a_file_that_is_not_the_one_offered_is_refused(
    tmp_path: Path, made_once: tuple[bytes, Offer], changed: object, what: str
) -> None:
    content, offer = made_once
    store, _, _ = settled_and_flushed(tmp_path, 2)
    part = store.snapshot_part(offer.index, offer.hash)
    part.write_bytes(content)
    with pytest.raises(SnapshotDamaged, match=what):
        store.check_snapshot(part, changed(offer))  # type: ignore[operator]
    store.close()


def test_a_disk_of_no_cluster_takes_no_snapshot(
    tmp_path: Path, made_once: tuple[bytes, Offer]
) -> None:
    content, offer = made_once
    store, _, _ = opened(tmp_path)
    part = store.snapshot_part(offer.index, offer.hash)
    part.write_bytes(content)
    with pytest.raises(SnapshotDamaged, match="belongs to no cluster yet"):
        store.check_snapshot(part, offer)
    store.close()
