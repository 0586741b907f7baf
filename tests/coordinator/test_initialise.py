"""E1: the first configuration, made once, when all nodes are there and empty."""

from __future__ import annotations

import asyncio

import pytest

from coordinator.configuration import ReplicaId
from coordinator.initialise import InitialiseError, Plan, existing, initialise
from coordinator.records import NodeRecord
from coordinator.switching import SwitchRefused, plan
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


# --- Two sites --------------------------------------------------------------------------------

TWO = Plan({"east": ["a1", "a2", "a3"], "west": ["b1", "b2", "b3"]}, "east", 2, "id-1")


async def publish_both(world: World, **elsewhere: str) -> None:
    """All nodes of both sites; `elsewhere` says which site some of them claim instead."""
    for site, nodes in TWO.sites.items():
        for node in nodes:
            await publish(world, node, site=elsewhere.get(node, site))


async def test_e1_with_two_sites_both_begin_in_sync(world: World) -> None:
    await publish_both(world)
    made = (await initialise(world.registry, world.cluster, TWO, 0)).configuration
    assert made.active_site == "east"
    assert made.standby_site == "west"
    assert made.in_sync == {
        site: frozenset(ReplicaId(node, f"disk-{node}") for node in nodes)
        for site, nodes in TWO.sites.items()
    }
    assert made.given_up == frozenset()
    assert made.copies() == 4
    assert plan(made, "west").active_site == "west"


async def test_e1_the_standby_is_waited_for_too(world: World) -> None:
    for node in ("a1", "a2", "a3", "b1"):
        await publish(world, node, site="east" if node[0] == "a" else "west")
    with pytest.raises(InitialiseError, match=r"not \(yet\) published .*: b2, b3;"):
        await initialise(world.registry, world.cluster, TWO, 0)
    assert await existing(world.registry, world.cluster) is None


async def test_e1_a_standby_that_holds_a_log_is_named(world: World) -> None:
    await publish_both(world)
    await publish(world, "b2", last_index=7, site="west")
    with pytest.raises(InitialiseError, match=r"these hold a log: b2 \(last index 7\)"):
        await initialise(world.registry, world.cluster, TWO, 0)


@pytest.mark.parametrize(
    ("node", "says", "words"),
    [
        ("b1", "east", "b1 says that it is in site 'east', not 'west'"),
        ("a2", "west", "a2 says that it is in site 'west', not 'east'"),
        ("b3", "north", "b3 says that it is in site 'north', not 'west'"),
    ],
)
async def test_e1_a_node_started_in_the_wrong_site_is_named_and_nothing_is_made(
    world: World, node: str, says: str, words: str
) -> None:
    await publish_both(world, **{node: says})
    with pytest.raises(InitialiseError, match=words):
        await initialise(world.registry, world.cluster, TWO, 0)
    assert await existing(world.registry, world.cluster) is None
    await publish_both(world)  # started again where it belongs
    assert (await initialise(world.registry, world.cluster, TWO, 0)).created


async def test_e1_an_empty_standby_site_begins_out_of_sync(world: World) -> None:
    await publish(world, "a1", site="east")
    await publish(world, "a2", site="east")
    one = Plan({"east": ["a1", "a2"], "west": []}, "east", 2, "id-1")
    made = (await initialise(world.registry, world.cluster, one, 0)).configuration
    assert made.in_sync["west"] == frozenset()
    with pytest.raises(SwitchRefused, match="site west is not in sync: no replica counts there"):
        plan(made, "west")


async def test_e1_a_site_that_is_fed_in_batches_begins_uncounted_and_is_waited_for(
    world: World,
) -> None:
    legacy = Plan(TWO.sites, "east", 1, "id-1", in_batches=frozenset({"west"}))
    await publish(world, "a1", site="east")
    with pytest.raises(InitialiseError, match=r"not \(yet\) published .*: a2, a3, b1, b2, b3;"):
        await initialise(world.registry, world.cluster, legacy, 0)
    await publish_both(world)
    made = (await initialise(world.registry, world.cluster, legacy, 0)).configuration
    assert {replica.node for replica in made.in_sync["east"]} == {"a1", "a2", "a3"}
    assert made.in_sync["west"] == frozenset()
