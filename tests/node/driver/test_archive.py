"""What was settled since an index (X4), told by a replica that may not know how its log ended."""

from __future__ import annotations

import json
from pathlib import Path

from node.core.outputs import Write
from node.driver.archive import Archive
from tests.node.store.parts import log, opened, settle


async def test_the_end_of_the_log_that_is_not_applied_is_told_as_possible(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    try:
        entries = log(5)
        settle(store, ear, entries[:3])
        store.write(Write(99, 1, 1, None, tuple(entries[3:])))
        ear.until(lambda heard: heard.number == 99)
        lines = [json.loads(line) async for some in Archive("a1", store).since(2) for line in some]
        assert {line["index"] for line in lines if line["kind"] == "record"} == {3}
        possible = [line for line in lines if line["kind"] == "possible"]
        assert {line["index"] for line in possible} == {4, 5}
        assert all(line["key"] and line["amount_minor"] > 0 for line in possible)
        assert [line async for some in Archive("a1", store).since(5) for line in some] == []
    finally:
        store.close()
