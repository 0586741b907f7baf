"""node/works: what a node's settings make of its replica, and what it says of the standby."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.configuration import Configuration, ReplicaId
from deploy import topology
from node.core import Replica
from node.core.messages import GENESIS_HASH
from node.driver.picture import mode
from node.store import Recovered
from node.works import make_replica

LEGACY = topology.load(topology.FOLDER / "legacy-2node.toml")
NOBODY = frozenset[ReplicaId]()
SOMEBODY = frozenset({ReplicaId("a1", "d")})


def made(name: str) -> Replica:
    """The replica of a node of the old system, on an empty disk."""
    empty = Recovered("d", "", 0, 0, 0, 0, GENESIS_HASH, (), 0)
    settings = LEGACY.settings(name, Path("nowhere"))
    return make_replica(settings, empty, 0.0, pruned=0, life="one", random=lambda: 0.5)


def test_a_leader_of_the_active_site_feeds_the_standby_in_batches_and_its_twin_in_real_time() -> (
    None
):
    identity = made("a1").state.identity
    assert (identity.batch_every_ms("b1"), identity.batch_every_ms("a2")) == (5000, 0)


def test_a_leader_of_the_standby_site_feeds_everybody_in_real_time() -> None:
    identity = made("b1").state.identity
    assert (identity.batch_every_ms("a1"), identity.batch_every_ms("a2")) == (0, 0)


@pytest.mark.parametrize("name", ["a1", "b1"])
def test_each_node_calls_the_mode_by_its_name(name: str) -> None:
    """The standby too: what it publishes for monitoring must not say degraded for ever."""
    batches = made(name).state.identity.batches
    by_design = Configuration("c", "a", {"a": SOMEBODY, "b": NOBODY}, 1)
    assert mode(by_design, batches) == "batches"
    promoted = Configuration("c", "b", {"b": SOMEBODY, "a": NOBODY}, 1)
    assert mode(promoted, batches) == "degraded"
    back = Configuration("c", "a", {"a": SOMEBODY, "b": frozenset({ReplicaId("b1", "d")})}, 1)
    assert mode(back, batches) == "in sync"
