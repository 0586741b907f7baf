"""Pictures at exactly one index: digests, sums, and lines that others can add up again."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from node.core.outputs import Write
from node.ledger.audit import digest
from node.ledger.book import apply
from node.ledger.commands import Type, encode_batch
from node.ledger.memory import MemoryStorage
from node.store import IndexPassed, Store, StoreClosed
from node.store.schema import connect
from tests.node.store.parts import (
    DATABASE,
    fetched,
    log,
    opened,
    pruned_to,
    sale,
    settle,
    settled_and_flushed,
)


def test_an_audit_at_a_later_index_sees_exactly_that(tmp_path: Path) -> None:
    """Also when the entries around it come in one piece."""
    store, ear, _ = opened(tmp_path)
    entries = log(10)
    asked = {index: store.audit(index, True) for index in (7, 3, 10)}
    twice = store.audit(7, False)
    store.write(Write(1, 1, 1, None, tuple(entries)))
    store.apply(entries)
    ear.until(lambda e: e.index == 10)
    memory = MemoryStorage()
    for entry in entries:
        apply(memory, entry.index, entry.payload)
        if entry.index in asked:
            report = asked[entry.index].result(20)
            assert (report.index, report.chain_hash) == (entry.index, entry.hash)
            assert report.ledger_digest == digest(memory)
            assert (report.records, report.problem) == (2 * entry.index, "")
            assert report.rederived
    assert twice.result(20).index == 7
    assert not twice.result().rederived
    store.close()


def test_an_audit_now_and_one_too_late(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(4))
    now, same = store.audit(0, True).result(20), store.audit(4, False).result(20)
    assert now.index == same.index == 4
    assert now.ledger_digest == same.ledger_digest
    assert json.loads(now.totals_json)["CREDIT"]["captured_minor"] == 8 * 1200
    with pytest.raises(IndexPassed, match="index 2 has passed: the ledger stands at 4") as caught:
        store.audit(2, False).result(20)
    assert caught.value.current == 4
    store.close()


def test_two_replicas_agree(tmp_path: Path) -> None:
    """One commits entry by entry, the other all at once."""
    reports = []
    for name in ("a1", "a2"):
        store, ear, _ = opened(tmp_path / name)
        entries = log(6)
        if name == "a1":
            settle(store, ear, entries)
        else:
            store.write(Write(1, 1, 1, None, tuple(entries)))
            store.apply(entries)
        reports.append(store.audit(6, True))
        wait(reports)
        store.close()
    assert reports[0].result() == reports[1].result()


def test_what_is_not_waited_for_any_more_is_dropped(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    report = store.audit(2, True)
    assert report.cancel()
    settle(store, ear, log(3))
    never = store.audit(99, True)
    store.close()
    with pytest.raises(StoreClosed):
        never.result(20)


def test_a_ledger_that_its_log_does_not_make_is_a_problem(tmp_path: Path) -> None:
    """As when an entry was applied by a version with other rules."""
    store, ear, _ = opened(
        tmp_path,
        apply_entry=lambda rows, index, payload: apply(
            rows, index, encode_batch(0, (sale(1, amount_minor=99),)) if index == 2 else payload
        ),
    )
    settle(store, ear, log(3))
    assert (
        "T0000001.20261123.000001.0200: not in the log" in store.audit(0, True).result(20).problem
    )
    assert store.audit(0, False).result(20).problem == ""
    store.close()


def test_a_snapshot_does_not_move_while_the_writer_goes_on(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    entries = log(30, commands=40)
    settle(store, ear, entries[:10])
    lines = store.export(10)
    first = json.loads(next(lines))
    settle(store, ear, entries[10:], first_number=11)
    rest = [json.loads(line) for line in lines]
    assert first["index"] == 10
    kinds = Counter(line["kind"] for line in rest)
    assert (kinds["entry"], kinds["record"]) == (10, 400)
    assert rest[-1] == {"kind": "end", "lines": len(rest)}
    store.close()


def test_an_export_can_be_added_up_by_others(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    store.bind_cluster("tokyo")
    entries = log(3)
    settle(store, ear, entries)
    lines = [json.loads(line) for line in store.export(0)]
    store.close()
    meta = lines[0]
    assert (meta["kind"], meta["format"], meta["node"]) == ("meta", 1, "a1")
    assert (meta["cluster_id"], meta["index"], meta["epoch"]) == ("tokyo", 3, 1)
    assert meta["chain_hash"] == entries[2].hash.hex()
    logged = [line for line in lines if line["kind"] == "entry"]
    assert [line["hash"] for line in logged] == [entry.hash.hex() for entry in entries]
    records = {line["key"]: line for line in lines if line["kind"] == "record"}
    assert [key for line in logged for key in line["keys"]] == sorted(records)
    assert [command["key"] for line in logged for command in line["commands"]] == sorted(records)
    (total,) = [line for line in lines if line["kind"] == "total"]
    assert sum(line["captured_minor"] for line in records.values()) == total["captured_minor"]
    assert (total["terminal"], total["service"], total["count"]) == ("T0000001", 1, 6)
    assert {line["type"] for line in records.values()} == {Type.SALE}
    assert {line["closing"] for line in records.values()} == {"T0000001.1.00000001"}


def test_an_export_that_is_left_early_lets_go(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    settle(store, ear, log(3))
    lines = store.export(0)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    store.close()
    assert not (tmp_path / "disk" / "settlement.db-wal").exists()
    store, _ = Store.open(tmp_path, node="a1")
    store.close()


def test_what_was_not_pruned_is_added_again(tmp_path: Path) -> None:
    store, ear, entries = settled_and_flushed(tmp_path, 10)
    whole = store.audit(0, True).result(20)
    for index in (4, 9, 10):
        store.prune(index)
        pruned_to(store, index)
        report = store.audit(0, True).result(20)
        assert report == replace(whole, prune_index=index)
    settle(store, ear, log(2, after=entries[-1]), first_number=11)
    report = store.audit(0, True).result(20)
    assert (report.index, report.rederived, report.problem) == (12, True, "")
    store.close()


def test_two_replicas_agree_though_one_is_pruned_and_one_filled_by_snapshot(
    tmp_path: Path,
) -> None:
    first, _, entries = settled_and_flushed(tmp_path / "a1", 8)
    second, ear, _ = settled_and_flushed(tmp_path / "a2", 2)
    second.install(*fetched(second, first.make_snapshot().result(20), number=3))
    ear.until(lambda e: e.number == 3)
    more = log(2, after=entries[-1])
    settle(second, ear, more, first_number=4)
    first.prune(5)
    pruned_to(first, 5)
    for number, entry in enumerate(more, 9):
        first.write(Write(number, 1, 1, None, (entry,)))
    first.apply(more)
    reports = [store.audit(10, True).result(20) for store in (first, second)]
    assert [report.prune_index for report in reports] == [5, 8]
    assert reports[0] == replace(reports[1], prune_index=5)
    assert all(report.rederived and report.problem == "" for report in reports)
    first.close()
    second.close()


def test_a_ledger_that_the_rest_of_its_log_does_not_make_is_a_problem(tmp_path: Path) -> None:
    """As when an entry after the prune point was applied by a version with other rules."""
    store, ear, _ = opened(
        tmp_path,
        apply_entry=lambda rows, index, payload: apply(
            rows, index, encode_batch(0, (sale(1, amount_minor=99),)) if index == 5 else payload
        ),
    )
    settle(store, ear, log(6))
    store.audit(0, False).result(20)
    store.prune(4)
    pruned_to(store, 4)
    problem = store.audit(0, True).result(20).problem
    assert "record T0000001.20261123.000001.0200: of entry 5, not in it" in problem
    assert "total T0000001: not what the log makes of it" in problem
    assert store.audit(0, False).result(20).problem == ""
    store.prune(5)
    pruned_to(store, 5)
    # No log is left to speak against it; the books still add up.
    assert store.audit(0, True).result(20).problem == ""
    store.close()


def test_the_chain_of_the_rest_is_followed_from_the_prune_point(tmp_path: Path) -> None:
    store, _, _ = settled_and_flushed(tmp_path, 8)
    store.prune(3)
    pruned_to(store, 3)
    other = connect(tmp_path / DATABASE, None, 1024)
    other.execute("UPDATE log SET epoch = 7 WHERE idx = 4").fetchall()
    other.close()
    problem = store.audit(0, True).result(20).problem
    assert problem == "log: entry 4 does not have the hash its content gives"
    store.close()
