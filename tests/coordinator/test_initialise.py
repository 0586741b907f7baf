"""E1: the first configuration, made once, when all nodes are there and empty."""

from __future__ import annotations

import asyncio

import pytest

from coordinator.configuration import ReplicaId
from coordinator.initialise import InitialiseError, Plan, existing, initialise
from coordinator.records import NodeRecord
from tests.coordinator.conftest import SITE, World

PLAN = Plan({SITE: ["a", "b"]}, SITE, 2, "id-1")


async def publish(world: World, node: str, last_index: int = 0, site: str = SITE) -> None:
    """What a node's session would write."""
    record = NodeRecord(node, f"disk-{node}", site, "h:1", "h:2", last_index, "ok")
    await world.registry.put(world.keys.node(node), record.to_json())


async def test_e1_the_configuration_holds_every_node_with_its_disk(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b")
    made = await initialise(world.registry, world.cluster, PLAN, 0)
    assert made.created
    assert made.configuration.cluster_id == "id-1"
    assert made.configuration.active_set == {ReplicaId("a", "disk-a"), ReplicaId("b", "disk-b")}
    assert made.configuration.copies_min == 2
    found = await existing(world.registry, world.cluster)
    assert found is not None
    assert (found.configuration, found.revision) == (made.configuration, made.revision)


async def test_e1_it_waits_for_the_nodes(world: World) -> None:
    await publish(world, "a")
    making = asyncio.ensure_future(initialise(world.registry, world.cluster, PLAN, 10_000))
    await asyncio.sleep(0.3)
    assert await existing(world.registry, world.cluster) is None
    await publish(world, "b")
    assert (await making).created


async def test_e1_missing_nodes_are_named(world: World) -> None:
    await publish(world, "a")
    with pytest.raises(InitialiseError, match=r"not \(yet\) published .*: b;"):
        await initialise(world.registry, world.cluster, PLAN, 0)
    assert await existing(world.registry, world.cluster) is None


async def test_e1_nodes_that_hold_a_log_are_named(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b", last_index=12)
    with pytest.raises(InitialiseError, match=r"b \(last index 12\)"):
        await initialise(world.registry, world.cluster, PLAN, 0)
    assert await existing(world.registry, world.cluster) is None


async def test_e1_a_node_of_another_site_is_named(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b", site="west")
    with pytest.raises(InitialiseError, match="b says that it is in site 'west', not 'east'"):
        await initialise(world.registry, world.cluster, PLAN, 0)


async def test_e1_the_same_cluster_id_again_changes_nothing(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b")
    made = await initialise(world.registry, world.cluster, PLAN, 0)
    await publish(world, "a", last_index=99)
    again = await initialise(world.registry, world.cluster, PLAN, 0)
    assert not again.created
    assert again.revision == made.revision


async def test_e1_another_cluster_id_is_refused_by_name(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b")
    await initialise(world.registry, world.cluster, PLAN, 0)
    other = Plan(PLAN.sites, SITE, 2, "id-2")
    with pytest.raises(InitialiseError, match="with the cluster id id-1"):
        await initialise(world.registry, world.cluster, other, 0)


async def test_e1_two_at_once_make_one(world: World) -> None:
    await publish(world, "a")
    await publish(world, "b")
    plans = [Plan(PLAN.sites, SITE, 2, f"id-{number}") for number in range(4)]
    outcomes = await asyncio.gather(
        *(initialise(world.registry, world.cluster, plan, 0) for plan in plans),
        return_exceptions=True,
    )
    made = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(made) == 1
    assert all(isinstance(o, InitialiseError) for o in outcomes if o is not made[0])


async def test_e1_an_active_site_without_nodes_is_refused(world: World) -> None:
    with pytest.raises(InitialiseError, match="'west' has no nodes"):
        await initialise(world.registry, world.cluster, Plan(PLAN.sites, "west", 2, "id-1"), 0)
