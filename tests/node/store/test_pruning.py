"""The log loses its beginning in pieces; what is left is whole, and so is the replica."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from node.core.messages import EPOCH_START, Entry, chain_hash
from node.core.outputs import Write
from node.store import Store, StoreRefused
from node.store.pruning import ROWS, Pruning
from node.store.schema import Meta, pack_meta, read_meta
from tests.node.store.parts import (
    DATABASE,
    STAMP_MS,
    Ear,
    crash_image,
    fetched,
    log,
    opened,
    pruned_to,
    settle,
    settled_and_flushed,
)


def test_pruned_entries_are_gone_and_the_rest_is_there_after_a_restart(tmp_path: Path) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 10)
    assert store.prune_index == 0
    store.prune(6)
    pruned_to(store, 6)
    assert store.read_log(6, 10**6) == ()
    assert store.read_log(1, 10**6) == ()
    assert store.read_log(7, 10**6) == tuple(entries[6:])
    store.close()
    store, recovered = Store.open(tmp_path, node="a1", entries_in_memory=100)
    assert store.prune_index == recovered.prune_index == recovered.base_index == 6
    assert (recovered.base_epoch, recovered.base_hash) == (1, entries[5].hash)
    assert store.prune_stamp_ms == recovered.prune_stamp_ms == STAMP_MS + 6
    assert recovered.entries == tuple(entries[6:])
    store.start(Ear())
    assert store.audit(0, False).result(20).chain_hash == entries[-1].hash
    meta, *rest = map(json.loads, store.export(0))
    assert (meta["prune_index"], meta["prune_hash"]) == (6, entries[5].hash.hex())
    assert [line["index"] for line in rest if line["kind"] == "entry"] == [7, 8, 9, 10]
    store.close()
    assert ear.failures == []


def test_the_log_goes_on_after_all_of_it_was_pruned(tmp_path: Path) -> None:
    """Also cut back to the prune point, and in another epoch."""
    store, ear, entries = settled_and_flushed(tmp_path, 5)
    store.prune(5)
    pruned_to(store, 5)
    store.write(Write(6, 1, 1, None, tuple(log(3, after=entries[-1]))))
    newer = log(2, epoch=4, after=entries[-1])
    store.write(Write(7, 4, 1, 5, tuple(newer)))
    store.write(Write(8, 4, 1, 5))
    ear.until(lambda e: e.number == 8)
    assert store.read_log(6, 10**6) == ()
    store.write(Write(9, 4, 1, None, tuple(newer)))
    store.apply(newer)
    ear.until(lambda e: e.number == 9 and e.index == 7)
    image = crash_image(tmp_path, tmp_path.parent / (tmp_path.name + "-image"))
    store.close()
    for folder in (image, tmp_path):
        store, recovered = Store.open(folder, node="a1")
        store.close()
        assert recovered.entries == tuple(newer)
        assert (recovered.base_index, recovered.base_hash) == (5, entries[-1].hash)


def test_nothing_above_the_applied_index_on_disk_is_pruned(tmp_path: Path) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 4)
    store.write(Write(5, 1, 1, None, tuple(log(3, after=entries[-1]))))
    store.apply(log(2, after=entries[-1]))
    store.prune(10**6)
    ear.until(lambda e: e.number == 5 and e.index == 6)
    pruned_to(store, 4)
    store.write(Write(6, 1, 1))
    ear.until(lambda e: e.number == 6)
    assert store.prune_index == 4
    store.audit(0, False).result(20)  # brings the ledger's rows to the disk: now it may go on
    pruned_to(store, 6)
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert [entry.index for entry in recovered.entries] == [7]


def test_the_last_time_stamp_outlives_entries_without_one(tmp_path: Path) -> None:
    """C3: of two empty entries and a stamped one before them, all pruned, the stamp is kept."""
    store, ear, entries = settled_and_flushed(tmp_path, 3)
    chain, starts = entries[-1].hash, []
    for index in (4, 5):
        chain = chain_hash(chain, index, index, EPOCH_START)
        starts.append(Entry(index, index, EPOCH_START, chain))
    settle(store, ear, starts, first_number=4)
    store.audit(0, False).result(20)
    for index in (2, 4, 5):
        store.prune(index)
        pruned_to(store, index)
    assert store.prune_stamp_ms == STAMP_MS + 3
    other, ear, _ = settled_and_flushed(tmp_path.parent / (tmp_path.name + "-other"), 1)
    other.install(*fetched(other, store.make_snapshot().result(20), number=2))
    ear.until(lambda e: e.number == 2)
    assert (other.prune_index, other.prune_stamp_ms) == (5, STAMP_MS + 3)
    other.close()
    store.close()


def test_pruning_an_earlier_index_again_does_nothing(tmp_path: Path) -> None:
    store, ear, _ = settled_and_flushed(tmp_path, 6)
    store.prune(4)
    pruned_to(store, 4)
    commits = store.fsyncs
    store.prune(2)
    store.prune(0)
    store.write(Write(7, 1, 1))
    ear.until(lambda e: e.number == 7)
    assert (store.prune_index, store.fsyncs) == (4, commits)
    store.close()


def test_much_is_pruned_piece_by_piece_while_settling_goes_on(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(6 * ROWS, commands=1)
    store.write(Write(1, 1, 1, None, tuple(entries)))
    store.apply(entries)
    ear.until(lambda e: e.index == 6 * ROWS)
    store.audit(0, False).result(20)
    seen = set()
    store.prune(5 * ROWS + 7)
    more = log(40, after=entries[-1])
    for number, entry in enumerate(more, 2):
        store.write(Write(number, 1, 1, None, (entry,)))
        ear.until(lambda e, n=number: e.number == n)  # type: ignore[misc]
        seen.add(store.prune_index)
    pruned_to(store, 5 * ROWS + 7)
    assert seen <= {*range(0, 5 * ROWS + 1, ROWS), 5 * ROWS + 7}
    assert len(store.read_log(5 * ROWS + 8, 10**9)) == ROWS - 7 + 40
    store.close()


def test_one_piece_is_bounded_and_follows_what_was_asked() -> None:
    pruning = Pruning()
    assert pruning.waiting(Meta("d", applied_index=9)) == 0
    pruning.ask(7)
    pruning.ask(3)
    assert pruning.waiting(Meta("d", applied_index=9)) == 7
    assert pruning.waiting(Meta("d", applied_index=5, prune_index=2)) == 3
    assert pruning.waiting(Meta("d", applied_index=9, prune_index=8)) == 0


def test_a_crash_between_two_pieces_leaves_a_whole_replica(tmp_path: Path) -> None:
    """Images of a disk while it is pruned: each is one piece further, none is in between."""
    live = tmp_path / "live"
    store, ear, _ = opened(live)
    entries = log(4 * ROWS, commands=1)
    store.write(Write(1, 1, 1, None, tuple(entries)))
    store.apply(entries)
    ear.until(lambda e: e.index == 4 * ROWS)
    store.audit(0, False).result(20)
    for piece in (1, 2, 3):
        store.prune(piece * ROWS)
        pruned_to(store, piece * ROWS)
        image = crash_image(live, tmp_path / f"image-{piece}")
        again, recovered = Store.open(image, node="a1", entries_in_memory=10**6)
        again.close()
        assert recovered.entries == tuple(entries[piece * ROWS :])
        assert recovered.base_hash == entries[piece * ROWS - 1].hash
    store.close()


def _change_meta(folder: Path, **fields: object) -> None:
    connection = apsw.Connection(str(folder / DATABASE))
    meta = read_meta(connection)
    changed = Meta(**{**{name: getattr(meta, name) for name in meta.__struct_fields__}, **fields})
    connection.execute("UPDATE meta SET state = ?, crc = ?", pack_meta(changed)).fetchall()
    connection.close()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"prune_index": 3}, "entry 5 does not have the chain hash|entry 4 is missing"),
        ({"prune_index": 6}, "entry 5 is there, but it was pruned up to 6"),
        ({"prune_hash": "00" * 32}, "entry 5 does not have the chain hash"),
        ({"prune_epoch": 9}, "entry 5 does not have the chain hash"),
        ({"applied_index": 3}, "pruned up to 4, but the ledger stands at 3"),
    ],
)
def test_a_prune_point_that_is_not_where_the_log_begins_is_refused(
    tmp_path: Path, fields: dict[str, object], what: str
) -> None:
    store, _, _ = settled_and_flushed(tmp_path, 9)
    store.prune(4)
    pruned_to(store, 4)
    store.close()
    _change_meta(tmp_path, **fields)
    with pytest.raises(StoreRefused, match=what):
        Store.open(tmp_path, node="a1")


def test_a_store_that_failed_or_closed_prunes_no_more(tmp_path: Path) -> None:
    store, ear, _ = settled_and_flushed(tmp_path, 3)
    store.write(Write(9, 0, 1))
    ear.until_failed()
    store.prune(2)
    assert store.prune_index == 0
    store.close()
    store, recovered = Store.open(tmp_path, node="a1")
    store.close()
    assert recovered.prune_index == 0
