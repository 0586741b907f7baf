"""Exports at an index, and what was settled since one (X4)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from node.core.outputs import Write
from node.driver.archive import Archive
from node.engine import AuditUnavailable
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


async def test_an_export_of_a_later_index_is_waited_for_beside_the_loop(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    try:
        entries = log(4)
        settle(store, ear, entries[:2])

        async def export() -> list[str]:
            return [line async for some in Archive("a1", store).export(3) for line in some]

        exporting = asyncio.ensure_future(export())
        await asyncio.sleep(0.05)
        assert not exporting.done()
        await asyncio.to_thread(settle, store, ear, entries[2:], first_number=3)
        meta = json.loads((await exporting)[0])
        assert meta["index"] == 3
    finally:
        store.close()


async def test_an_export_of_the_past_is_refused_in_words(tmp_path: Path) -> None:
    store, ear, _ = opened(tmp_path)
    try:
        settle(store, ear, log(3))
        with pytest.raises(AuditUnavailable, match="index 2 has passed"):
            await anext(Archive("a1", store).export(2))
    finally:
        store.close()
