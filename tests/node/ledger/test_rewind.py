"""The end of a log makes the end of its ledger again, from what the records say of before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger import book
from node.ledger.commands import encode_batch
from node.ledger.memory import MemoryStorage
from node.ledger.records import decode_record, encode
from node.ledger.rewind import rederive_after, rewind, touched_by
from node.ledger.storage import Table
from tests.node.ledger.days import Batches, day, days

Log = list[tuple[int, bytes]]


def log_of(batches: Batches) -> Log:
    return [
        (index, encode_batch(stamp, tuple(batch)))
        for index, (stamp, batch) in enumerate(batches, 1)
    ]


def made_by(entries: Log) -> MemoryStorage:
    storage = MemoryStorage()
    for index, payload in entries:
        book.apply(storage, index, payload)
    return storage


def compare(entries: Log, cut: int) -> None:
    """The rows touched by what follows `cut` are put back to what they were; it ends the same."""
    rest = entries[cut:]
    now, then = made_by(entries), made_by(entries[:cut])
    touched = touched_by(rest)
    past = rewind(now, cut, touched)
    for table, keys in (
        (Table.RECORD, touched.keys),
        (Table.BALANCE, touched.accounts),
        (Table.TOTAL, touched.terminals),
    ):
        assert dict(past.scan(table)) == then.get(table, keys)
    assert rederive_after(now, cut, lambda: rest) == []


@given(days(), st.data())
@settings(max_examples=150, deadline=None)
def test_wherever_the_log_is_cut(batches: Batches, data: st.DataObject) -> None:
    entries = log_of(batches)
    compare(entries, data.draw(st.integers(0, len(entries))))


def test_every_rule_and_every_cut() -> None:
    """These days reach all of them: see `test_drawn_days_reach_every_rule`."""
    for seed in range(12):
        entries = log_of(day(seed, 100))
        for cut in range(0, len(entries) + 1, max(1, len(entries) // 8)):
            compare(entries, cut)


@pytest.fixture(scope="module")
def busy() -> tuple[Log, int]:
    """A day with something of everything after its cut."""
    entries = log_of(day(3, 100))
    return entries, len(entries) // 2


@pytest.mark.parametrize("table", list(Table))
def test_a_row_the_log_touched_that_was_changed_or_lost_is_found(
    busy: tuple[Log, int], table: Table
) -> None:
    entries, cut = busy
    rest = entries[cut:]
    now, then = made_by(entries), made_by(entries[:cut])
    before = dict(then.scan(table))
    changed = {key: row for key, row in now.scan(table) if before.get(key) != row}
    assert changed
    for key, row in changed.items():
        spoilt = MemoryStorage(now)
        if table is Table.RECORD:
            record = decode_record(row)
            row = encode(msgspec.structs.replace(record, merchant=record.merchant + "?"))
        else:
            fields = msgspec.msgpack.decode(row, strict=False)
            if table is Table.TOTAL:
                next(iter(fields.values()))[2] += 1
            else:
                fields[0 if table is Table.BALANCE else -1] += 1
            row = msgspec.msgpack.encode(fields)
        spoilt.put(table, [(key, row)])
        assert any(key in what for what in _told(spoilt, cut, rest)), key
        lost = MemoryStorage()
        for each in Table:
            lost.put(each, [kept for kept in now.scan(each) if (each, kept[0]) != (table, key)])
        assert _told(lost, cut, rest), key


def _told(storage: MemoryStorage, cut: int, rest: Log) -> list[str]:
    return rederive_after(storage, cut, lambda: rest)


def test_an_entry_less_or_more_than_was_applied_is_found(busy: tuple[Log, int]) -> None:
    entries, cut = busy
    now = made_by(entries)
    assert _told(now, cut, entries[cut:-1])
    assert _told(made_by(entries[:-1]), cut, entries[cut:])
    (first, *_) = _told(now, cut, [])
    assert "not in it" in first


def test_nothing_after_the_cut_touches_nothing(busy: tuple[Log, int]) -> None:
    entries, _ = busy
    assert _told(made_by(entries), len(entries), []) == []
