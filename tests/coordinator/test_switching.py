"""E5 and X4: which switches are refused and why, and the one transaction that makes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from coordinator.configuration import Configuration, ReplicaId
from coordinator.keyvalue import Get, OutcomeUnknown, Put, Unavailable
from coordinator.recording import events
from coordinator.registry import Registry
from coordinator.stamp import stamp
from coordinator.switching import (
    Switched,
    SwitchRefused,
    plan,
    plan_with_loss,
    promote_with_loss,
    return_key,
    switch,
    take_key,
)
from tests.coordinator.conftest import World
from tests.coordinator.relay import Relay
from tests.etcd_cluster import free_ports


def replicas(*names: str) -> frozenset[ReplicaId]:
    """Replicas of these nodes, each on its first disk."""
    return frozenset(ReplicaId(name, f"disk-{name}") for name in names)


BOTH = Configuration(
    "cluster-id",
    "a",
    {"a": replicas("a1", "a2", "a3"), "b": replicas("b1", "b2", "b3")},
    2,
)


async def put(world: World, configuration: Configuration) -> int:
    """Write the configuration, and a leader; the configuration's revision."""
    await world.registry.put(world.keys.leader, b"{}")
    return await world.registry.put(world.keys.configuration, configuration.to_json())


async def stored(world: World) -> tuple[Configuration, int, bool]:
    """The configuration, its revision, and whether there is a leader."""
    keys = world.keys
    found = (await world.registry.transact((), (Get(keys.configuration), Get(keys.leader)))).found
    pair = found[keys.configuration]
    return Configuration.from_json(pair.value), pair.mod_revision, keys.leader in found


# --- What may be switched ---------------------------------------------------------------------


def test_e5_a_switch_changes_nothing_but_the_active_site() -> None:
    planned = plan(BOTH, "b")
    assert planned == replace(BOTH, active_site="b")
    assert plan(planned, "a") == BOTH


@pytest.mark.parametrize(
    ("configuration", "to", "words"),
    [
        (BOTH, "a", "site a is the active one already"),
        (BOTH, "c", "no site c; there are a and b"),
        (
            Configuration("id", "a", {"a": replicas("a1")}, 1),
            "b",
            "no site b; there is a",
        ),
        (
            BOTH.with_set("b", replicas("b1")),
            "b",
            "site b is not in sync: 1 replica counts there, a switch needs 2 (copies_min 2); "
            "the leader in a takes replicas back as they catch up",
        ),
        (
            BOTH.with_set("b", ()),
            "b",
            "site b is not in sync: no replica counts there, a switch needs 2 (copies_min 2)",
        ),
        (
            replace(BOTH, copies_min=3),
            "b",
            "3 replicas count there, a switch needs 4 (copies_min 3)",
        ),
    ],
)
def test_e5_a_refusal_says_why(configuration: Configuration, to: str, words: str) -> None:
    with pytest.raises(SwitchRefused) as refused:
        plan(configuration, to)
    assert words in refused.value.reason


@pytest.mark.parametrize(
    ("count", "copies_min", "may"),
    [(0, 1, False), (1, 1, True), (1, 2, False), (2, 2, True), (3, 2, True), (3, 3, False)],
)
def test_e5_the_targets_majority_alone_must_make_the_copies(
    count: int, copies_min: int, may: bool
) -> None:
    names = [f"b{number}" for number in range(count)]
    configuration = replace(BOTH.with_set("b", replicas(*names)), copies_min=copies_min)
    if may:
        assert plan(configuration, "b").active_site == "b"
        return
    with pytest.raises(SwitchRefused, match=f"a switch needs {max(1, 2 * copies_min - 2)} "):
        plan(configuration, "b")


def test_x4_a_promotion_gives_up_every_disk_of_the_old_site() -> None:
    degraded = BOTH.with_set("b", ())
    survivors = replicas("b1", "b2")
    planned = plan_with_loss(degraded, "b", survivors)
    assert planned.active_site == "b"
    assert planned.in_sync == {"a": frozenset(), "b": survivors}
    assert planned.given_up == replicas("a1", "a2", "a3")


def test_x4_a_disk_of_the_old_site_that_did_not_count_is_given_up_too() -> None:
    planned = plan_with_loss(BOTH.with_set("b", ()), "b", replicas("b1"), replicas("evicted", "b1"))
    assert planned.active_set == replicas("b1")
    assert planned.given_up == replicas("a1", "a2", "a3", "evicted")


def test_x4_what_was_given_up_before_stays_given_up() -> None:
    degraded = replace(BOTH.with_set("b", ()), given_up=replicas("old"))
    assert plan_with_loss(degraded, "b", replicas("b1", "b2")).given_up == replicas(
        "old", "a1", "a2", "a3"
    )


@pytest.mark.parametrize(
    ("configuration", "to", "survivors", "words"),
    [
        (BOTH, "a", replicas("a1"), "site a is the active one already"),
        (BOTH, "c", replicas("c1"), "no site c"),
        (BOTH, "b", replicas("b1", "b2"), "site b is in sync: switch without loss"),
        (BOTH.with_set("b", ()), "b", replicas(), "no replica answers in site b"),
        (
            BOTH.with_set("b", ()),
            "b",
            replicas("a1", "b1", "b2"),
            "not disks that site b can begin with: a1/disk-a1",
        ),
        (
            replace(BOTH.with_set("b", ()), given_up=replicas("b2")),
            "b",
            replicas("b1", "b2"),
            "not disks that site b can begin with: b2/disk-b2",
        ),
    ],
)
def test_x4_a_refusal_says_why(
    configuration: Configuration, to: str, survivors: frozenset[ReplicaId], words: str
) -> None:
    with pytest.raises(SwitchRefused) as refused:
        plan_with_loss(configuration, to, survivors)
    assert words in refused.value.reason


# --- The transaction --------------------------------------------------------------------------


async def test_e5_one_transaction_switches_and_deletes_the_leader_and_says_so(
    world: World,
) -> None:
    await put(world, BOTH)
    done = await switch(
        world.registry, world.cluster, "b", by="taro", why="a is on fire", stamp=stamp()
    )
    assert done.configuration == plan(BOTH, "b")
    assert await stored(world) == (done.configuration, done.revision, False)
    (event,) = await events(world.registry, world.cluster)
    assert (event.kind, event.source, event.site) == ("site-switch", "taro", "b")
    assert event.why == "site b is active instead of a: a is on fire"


async def test_e5_a_refused_switch_touches_nothing(world: World) -> None:
    revision = await put(world, BOTH.with_set("b", ()))
    with pytest.raises(SwitchRefused, match="not in sync"):
        await switch(world.registry, world.cluster, "b", by="taro", why="", stamp=stamp())
    assert await stored(world) == (BOTH.with_set("b", ()), revision, True)
    assert await events(world.registry, world.cluster) == []


async def test_e5_twice_at_once_exactly_one_wins_and_the_others_are_told(world: World) -> None:
    await put(world, BOTH)
    outcomes = await asyncio.gather(
        *(
            switch(world.registry, world.cluster, "b", by=f"by{number}", why="", stamp=stamp())
            for number in range(4)
        ),
        return_exceptions=True,
    )
    made = [outcome for outcome in outcomes if isinstance(outcome, Switched)]
    told = [str(outcome) for outcome in outcomes if isinstance(outcome, SwitchRefused)]
    assert len(made) == 1
    assert len(told) == 3
    assert all("site b the active one" in words or "active one already" in words for words in told)
    assert (await stored(world))[1] == made[0].revision
    assert len(await events(world.registry, world.cluster)) == 1


async def test_e5_a_decision_on_an_older_configuration_is_not_carried_out(world: World) -> None:
    older = await put(world, BOTH)
    newer = await put(world, BOTH.with_set("a", replicas("a1", "a2")))
    with pytest.raises(SwitchRefused, match=f"at revision {newer}, not {older}; look again"):
        await switch(
            world.registry, world.cluster, "b", by="cb", why="", stamp=stamp(), revision=older
        )
    assert (await stored(world))[2]


class Interfering(Registry):
    """Before the first transaction that writes, somebody else writes `value` to `key`."""

    key = ""
    value = b""

    async def transact(self, guards, then, otherwise=()):  # type: ignore[no-untyped-def]
        """As `Registry.transact`."""
        if guards and self.key:
            key, self.key = self.key, ""
            await self.put(key, self.value)
        return await super().transact(guards, then, otherwise)


async def test_e5_a_set_change_on_its_way_fails_the_guard(world: World) -> None:
    await put(world, BOTH)
    registry = Interfering(world.etcd.endpoints, 800)
    changed = BOTH.with_set("a", replicas("a1", "a2"))
    registry.key, registry.value = world.keys.configuration, changed.to_json()
    with pytest.raises(SwitchRefused, match=r"a set change got in between: .* look again"):
        await switch(registry, world.cluster, "b", by="taro", why="", stamp=stamp())
    await registry.close()
    found, _, led = await stored(world)
    assert (found, led) == (changed, True)
    assert await events(world.registry, world.cluster) == []


async def test_e5_another_switch_on_its_way_is_named(world: World) -> None:
    await put(world, BOTH)
    registry = Interfering(world.etcd.endpoints, 800)
    registry.key, registry.value = world.keys.configuration, plan(BOTH, "b").to_json()
    with pytest.raises(SwitchRefused, match="somebody else made site b the active one"):
        await switch(registry, world.cluster, "b", by="taro", why="", stamp=stamp())
    await registry.close()


async def test_e5_without_a_configuration_there_is_nothing_to_switch(world: World) -> None:
    with pytest.raises(SwitchRefused, match="never initialised"):
        await switch(world.registry, world.cluster, "b", by="taro", why="", stamp=stamp())
    await world.registry.transact((), (Put(world.keys.configuration, b"{"),))
    with pytest.raises(SwitchRefused, match="not a configuration record"):
        await switch(world.registry, world.cluster, "b", by="taro", why="", stamp=stamp())


async def test_e5_a_switch_whose_answer_is_lost_is_found_by_its_own_event(world: World) -> None:
    revision = await put(world, BOTH)
    async with Relay(world.etcd.endpoints[0]) as relay:
        registry = Registry([relay.endpoint, world.etcd.endpoints[1]], 300)
        await registry.transact((), (Get(world.keys.configuration),))  # connected and checked
        planned = plan(BOTH, "b")

        async def losing(guards, then, otherwise=()):  # type: ignore[no-untyped-def]
            if guards:
                relay.swallow_answers()
            return await Registry.transact(registry, guards, then, otherwise)

        registry.transact = losing  # type: ignore[method-assign]
        done = await switch(registry, world.cluster, "b", by="taro", why="", stamp=stamp())
        await registry.close()
    assert done.configuration == planned
    assert done.revision > revision
    assert await stored(world) == (planned, done.revision, False)
    assert len(await events(world.registry, world.cluster)) == 1


async def test_e5_where_nobody_knows_it_says_so(world: World) -> None:
    await put(world, BOTH)
    async with Relay(world.etcd.endpoints[0]) as relay:
        registry = Registry([relay.endpoint], 200)
        await registry.transact((), (Get(world.keys.configuration),))
        told = asyncio.ensure_future(
            promote_with_loss(
                registry,
                world.cluster,
                1,
                plan(BOTH, "b"),
                epoch=1,
                by="taro",
                why="",
                stamp=stamp(),
            )
        )
        relay.swallow_answers()
        with pytest.raises(OutcomeUnknown, match="it may still happen: look at the configuration"):
            await told
        await registry.close()


async def test_e5_with_etcd_away_nothing_was_sent(world: World) -> None:
    registry = Registry([f"127.0.0.1:{free_ports(1)[0]}"], 200)
    with pytest.raises(Unavailable):
        await switch(registry, world.cluster, "b", by="taro", why="", stamp=stamp())
    await registry.close()


async def test_x4_one_transaction_promotes_with_loss(world: World) -> None:
    degraded = BOTH.with_set("b", ())
    revision = await put(world, degraded)
    planned = plan_with_loss(degraded, "b", replicas("b1", "b2"))
    epoch = await take_key(world.registry, world.cluster, "b", by="taro", stamp=stamp())
    done = await promote_with_loss(
        world.registry,
        world.cluster,
        revision,
        planned,
        epoch=epoch,
        by="taro",
        why="a burnt down",
        stamp=stamp(),
    )
    assert await stored(world) == (planned, done.revision, False)
    (event,) = await events(world.registry, world.cluster)
    assert (event.kind, event.source, event.why) == ("promotion-with-loss", "taro", "a burnt down")


async def test_x4_a_change_in_between_refuses_the_promotion(world: World) -> None:
    revision = await put(world, BOTH.with_set("b", ()))
    planned = plan_with_loss(BOTH.with_set("b", ()), "b", replicas("b1", "b2"))
    epoch = await take_key(world.registry, world.cluster, "b", by="taro", stamp=stamp())
    await put(world, BOTH)
    with pytest.raises(SwitchRefused, match="a set change got in between"):
        await promote_with_loss(
            world.registry,
            world.cluster,
            revision,
            planned,
            epoch=epoch,
            by="taro",
            why="",
            stamp=stamp(),
        )
    assert (await stored(world))[0] == BOTH


async def test_x4_a_leader_elected_in_between_refuses_the_promotion(world: World) -> None:
    """Also one whose key is gone again: what it settled would be in no list."""
    degraded = BOTH.with_set("b", ())
    revision = await put(world, degraded)
    planned = plan_with_loss(degraded, "b", replicas("b1", "b2"))
    epoch = await take_key(world.registry, world.cluster, "b", by="taro", stamp=stamp())
    later = await take_key(world.registry, world.cluster, "a", by="a1", stamp=stamp())
    for _ in range(2):
        with pytest.raises(SwitchRefused, match="another leader was elected in between"):
            await promote_with_loss(
                world.registry,
                world.cluster,
                revision,
                planned,
                epoch=epoch,
                by="taro",
                why="",
                stamp=stamp(),
            )
        await return_key(world.registry, world.cluster, later)
    assert (await stored(world))[0] == degraded


async def test_x4_a_key_that_is_anothers_is_not_given_back(world: World) -> None:
    await put(world, BOTH)
    epoch = await take_key(world.registry, world.cluster, "b", by="taro", stamp=stamp())
    later = await take_key(world.registry, world.cluster, "a", by="a1", stamp=stamp())
    await return_key(world.registry, world.cluster, epoch)
    assert (await stored(world))[2]
    await return_key(world.registry, world.cluster, later)
    assert not (await stored(world))[2]
