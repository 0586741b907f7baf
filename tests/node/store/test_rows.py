"""The ledger's tables over SQLite behave as the ones in memory do, and are tallied right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.ledger.memory import MemoryStorage
from node.ledger.storage import Table
from node.store.rows import ReadRows, WriteRows, scan
from node.store.schema import Tally, connect, create

KEYS = st.text("ab\0é決\U0001f4b4\"'\\", max_size=3)
PUTS = st.dictionaries(KEYS, st.binary(max_size=4), max_size=5)
STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(Table), PUTS),
    st.tuples(st.just("get"), st.sampled_from(Table), st.lists(KEYS, max_size=5)),
    st.tuples(st.just("scan"), st.sampled_from(Table), st.none()),
    st.tuples(st.just("commit"), st.none(), st.none()),
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    create(tmp_path / "rows.db", "d1")
    opened = connect(tmp_path / "rows.db", None, 1024)
    yield opened
    opened.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=15))
def test_rows_on_disk_are_rows_in_memory(
    connection: apsw.Connection, steps: list[tuple[str, Table, object]]
) -> None:
    connection.execute("DELETE FROM ledger").fetchall()
    rows, memory = WriteRows(connection, {}), MemoryStorage()
    for name, table, argument in steps:
        match name, argument:
            case "put", dict():
                rows.put(table, list(argument.items()))
                memory.put(table, list(argument.items()))
            case "get", list():
                expected = memory.get(table, argument)
                assert rows.get(table, argument) == expected
                assert ReadRows(connection, rows.changes).get(table, argument) == expected
            case "scan", _:
                assert list(rows.scan(table)) == list(memory.scan(table))
            case _:
                rows.flush()
                rows.clear()
    rows.flush()
    for table in Table:
        found = list(scan(connection, table))
        assert [(key, value) for key, value, _ in found] == list(memory.scan(table))
        tally = Tally(len(found), sum(crc for _, _, crc in found) % 2**64)
        assert rows.tallies.get(table, Tally()) == tally


@pytest.mark.parametrize("count", [1, 8, 9, 128, 129, 300])
def test_any_number_of_rows_is_written(connection: apsw.Connection, count: int) -> None:
    rows = WriteRows(connection, {})
    put = [(f"k{n:04d}", bytes([n % 256])) for n in range(count)]
    rows.put(Table.RECORD, put)
    assert rows.flush() == count
    assert list(ReadRows(connection).scan(Table.RECORD)) == put
    assert rows.tallies[Table.RECORD].rows == count


def test_readers_change_nothing(connection: apsw.Connection) -> None:
    with pytest.raises(TypeError):
        ReadRows(connection).put(Table.RECORD, [("k", b"v")])
