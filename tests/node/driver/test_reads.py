"""Interim totals on a replica that does not lead (R2): from its own ledger, as of its own index."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from node.driver.archive import Archive
from node.driver.driver import Driver
from node.driver.engine import QuorumLog
from node.driver.intake import Intake
from node.driver.picture import Picture
from node.engine import Interim, StorageDown
from node.ledger.commands import ServiceTotal
from node.store import Store
from tests.node.store.parts import log, opened, settle


@pytest.fixture
def readers() -> Iterator[ThreadPoolExecutor]:
    """Where reads are done."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def follower(store: Store, readers: ThreadPoolExecutor) -> QuorumLog:
    """The engine of a node that follows a1 and is asked for nothing but reads."""
    driver = SimpleNamespace(replica=SimpleNamespace(leader="a1"))
    return QuorumLog(
        cast(Driver, driver),
        cast(Intake, None),
        store,
        readers,
        terminals={"a1": "127.0.0.1:7101"},
        picture=cast(Picture, None),
        archive=cast(Archive, None),
    )


async def test_a_follower_answers_from_its_own_ledger(
    tmp_path: Path, readers: ThreadPoolExecutor
) -> None:
    store, ear, _ = opened(tmp_path)
    try:
        engine = follower(store, readers)
        entries = log(5)
        settle(store, ear, entries[:3])
        expected = Interim((ServiceTotal(1, 6, 7200, 0, 0),), 3, 1_700_000_000_003)
        assert await engine.interim("T0000001", 1) == expected
        settle(store, ear, entries[3:], first_number=4)
        assert (await engine.interim("T0000001", 0)).commit_index == 5
    finally:
        store.close()


async def test_a_ledger_that_cannot_be_read_sends_to_the_leader(
    tmp_path: Path, readers: ThreadPoolExecutor
) -> None:
    store, _, _ = opened(tmp_path)
    store.close()
    with pytest.raises(StorageDown) as down:
        await follower(store, readers).interim("T0000001", 1)
    assert down.value.leader_endpoint == "127.0.0.1:7101"
