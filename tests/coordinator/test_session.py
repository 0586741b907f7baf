"""Sessions of several nodes on a real etcd: who leads, what is changed, what faults do to that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from coordinator.configuration import ReplicaId
from coordinator.events import (
    CampaignLost,
    ConfigurationSeen,
    CoordinatorEvent,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    LeaderSeen,
    Won,
)
from coordinator.keyvalue import Get, KeyValue, UnsupportedVersion
from coordinator.records import LeaderRecord, NodeRecord
from coordinator.registry import Registry
from coordinator.session import Session
from tests.coordinator.conftest import PATIENCE_S, SITE, Replica, World, eventually
from tests.coordinator.relay import Relay
from tests.coordinator.test_registry import a_member_that_says
from tests.etcd_cluster import EtcdCluster, free_ports


async def pair_at(world: World, key: str) -> KeyValue | None:
    """What etcd has under `key`."""
    return (await world.registry.transact((), (Get(key),))).found.get(key)


async def leader(
    world: World, *, lease_ms: int = 5000, deadline_ms: int = 800
) -> tuple[Replica, Won]:
    """The replica of node a, which has just won."""
    _, revision = await world.configure("a", "b", "c")
    replica = await world.replica("a", lease_ms=lease_ms, deadline_ms=deadline_ms)
    replica.session.campaign("t1", 0, revision)
    return replica, await replica.hears(Won)


async def a_lease(world: World, replica: Replica) -> KeyValue:
    """Make the replica publish; its record in etcd, with the lease it holds."""
    replica.session.publish(0, "ok")
    return await eventually(lambda: pair_at(world, world.keys.node(replica.me.node)))


@contextlib.asynccontextmanager
async def a_session(
    endpoints: list[str], cluster: str, on_event: Callable[[CoordinatorEvent], None]
) -> AsyncIterator[Session]:
    """A session that has not been started."""
    registry = Registry(endpoints, 300)
    me = ReplicaId("a", "d")
    try:
        yield Session(
            registry,
            cluster,
            me,
            SITE,
            "h:1",
            "h:2",
            5000,
            300,
            on_event,
            life="life",
            clock_ms=lambda: 0,
        )
    finally:
        await registry.close()


# --- Campaigns --------------------------------------------------------------------------------


async def test_the_winner_holds_the_key_and_everybody_sees_it(world: World) -> None:
    configuration, revision = await world.configure("a", "b")
    a, b = await world.replica("a"), await world.replica("b")
    await a.hears(ConfigurationSeen)
    a.session.campaign("t1", 0, revision)
    won = await a.hears(Won)
    assert (won.configuration, won.revision) == (configuration, revision)
    pair = await pair_at(world, world.keys.leader)
    assert pair is not None
    assert pair.mod_revision == won.epoch
    assert pair.lease != 0
    await b.sees_epoch(won.epoch)
    assert b.all(LeaderSeen)[-1] == LeaderSeen(won.epoch, "a", "disk-a", won.epoch)
    record = b.session.leader
    assert record is not None
    assert (record.node, record.disk, record.site) == ("a", "disk-a", SITE)
    assert (record.endpoint, record.epoch) == ("a:7101", won.epoch)


async def test_races_have_one_winner_an_epoch(world: World) -> None:
    _, revision = await world.configure("a", "b", "c")
    replicas = [await world.replica(node) for node in "abc"]
    epochs = [0]
    for number in range(12):
        outcomes = await asyncio.gather(
            *(replica.campaigns(f"t{number}", epochs[-1], revision) for replica in replicas)
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, Won)]
        assert len(winners) == 1
        assert winners[0].epoch > epochs[-1]
        epochs.append(winners[0].epoch)
    won = [one.epoch for replica in replicas for one in replica.all(Won)]
    assert sorted(won) == epochs[1:]


async def test_a_takeover_needs_the_suspected_epoch(world: World) -> None:
    a, won = await leader(world)
    b = await world.replica("b")
    await b.hears(LeaderSeen)
    lost = await b.campaigns("t1", won.epoch - 1, won.revision)
    assert lost == CampaignLost("t1", f"a leads, epoch {won.epoch}")
    taken = await b.campaigns("t2", won.epoch, won.revision)
    assert isinstance(taken, Won)
    assert taken.epoch > won.epoch
    await a.sees_epoch(taken.epoch)


async def test_a_campaign_under_an_old_configuration_is_lost(world: World) -> None:
    _, revision = await world.configure("a")
    a = await world.replica("a")
    a.session.campaign("t1", 0, revision - 1)
    assert "the configuration is at" in (await a.hears(CampaignLost)).reason


async def test_resigning_frees_the_key(world: World) -> None:
    a, won = await leader(world)
    a.session.resign(won.epoch)
    await a.sees_epoch(0)
    assert a.session.leader is None


async def test_a_stopping_session_takes_its_key_and_record_along(world: World) -> None:
    a, _ = await leader(world)
    await a_lease(world, a)
    b = await world.replica("b")
    await b.hears(LeaderSeen)
    await a.session.stop()
    await b.sees_epoch(0)
    assert (await world.registry.list(world.keys.nodes)).pairs == ()


async def test_a_former_lifes_key_is_deleted_at_start(world: World) -> None:
    await world.configure("a", "b")
    former = LeaderRecord("a", "disk-a", SITE, "a:7101", "formerlife.t9")
    epoch = await world.registry.put(world.keys.leader, former.to_json())
    a = await world.replica("a")
    assert await a.hears(LeaderSeen) == LeaderSeen(epoch, "a", "disk-a", epoch)
    await a.sees_epoch(0)
    assert a.all(Won) == []


# --- Faults of etcd in a campaign -------------------------------------------------------------


async def test_a_win_whose_answer_was_lost_is_read_back(world: World, etcd: EtcdCluster) -> None:
    _, revision = await world.configure("a")
    async with Relay(etcd.endpoints[1]) as relay:
        # Node "a" begins with the second endpoint: 97 % 3 == 1.
        endpoints = [etcd.endpoints[0], relay.endpoint, etcd.endpoints[2]]
        a = await world.replica("a", endpoints=endpoints)
        await a.hears(LeaderSeen)
        assert a.session.etcd_endpoint == relay.endpoint
        await a_lease(world, a)
        relay.swallow_answers()
        a.session.campaign("t1", 0, revision)
        won = await a.hears(Won)
    pair = await pair_at(world, world.keys.leader)
    assert pair is not None
    assert pair.mod_revision == won.epoch
    assert a.all(CampaignLost) == []


async def test_a_transaction_that_arrives_late_is_a_late_win(
    world: World, etcd: EtcdCluster
) -> None:
    _, revision = await world.configure("a")
    async with Relay(etcd.endpoints[0]) as relay:
        a = await world.replica("a", endpoints=[relay.endpoint], deadline_ms=600)
        await a.hears(LeaderSeen)
        await a_lease(world, a)
        relay.keep_requests(within_s=0.3)
        a.session.campaign("t1", 0, revision)
        lost = await a.hears(CampaignLost)
        assert lost.reason.startswith("no outcome in time")
        assert await pair_at(world, world.keys.leader) is None
        await relay.deliver_kept()
        await eventually(lambda: pair_at(world, world.keys.leader))
        relay.hang_up()
        won = await a.hears(Won)
        assert won.attempt == "t1"
        # The owner has moved on, and says so.
        a.session.resign(won.epoch)
        await a.sees_epoch(0)


async def test_a_paused_member_does_not_keep_a_campaign_from_winning(
    world: World, etcd: EtcdCluster
) -> None:
    _, revision = await world.configure("a")
    a = await world.replica("a")
    await a.hears(LeaderSeen)
    await a_lease(world, a)
    etcd.pause(etcd.endpoints.index(a.session.etcd_endpoint))
    outcome = await a.campaigns("t1", 0, revision)
    assert isinstance(outcome, Won)


async def test_without_a_majority_a_campaign_is_lost_and_won_when_it_is_back(
    world: World, etcd: EtcdCluster
) -> None:
    _, revision = await world.configure("a")
    a = await world.replica("a", deadline_ms=300)
    await a.hears(LeaderSeen)
    etcd.kill(0)
    etcd.kill(1)
    a.session.campaign("t1", 0, revision)
    lost = await a.hears(CampaignLost)
    assert lost.reason.startswith("no outcome in time: ")
    await asyncio.to_thread(etcd.heal)
    if not a.all(Won):  # t1 may have won late
        a.session.campaign("t2", 0, revision)
    won = await a.hears(Won)
    pair = await pair_at(world, world.keys.leader)
    assert pair is not None
    assert pair.mod_revision == won.epoch


async def test_a_session_may_start_before_etcd(world: World, etcd: EtcdCluster) -> None:
    for index in range(3):
        etcd.kill(index)
    a = await world.replica("a", deadline_ms=300)
    lost = await a.campaigns("t1", 0, 1)
    assert lost == CampaignLost("t1", "no outcome in time: there is no lease")
    await asyncio.to_thread(etcd.heal)
    await a.hears(LeaderSeen)


async def test_the_leader_keeps_its_key_while_etcds_leader_dies(
    world: World, etcd: EtcdCluster
) -> None:
    a, won = await leader(world, lease_ms=2000)
    etcd.kill(etcd.leader())
    await asyncio.sleep(3)
    pair = await pair_at(world, world.keys.leader)
    assert pair is not None
    assert pair.mod_revision == won.epoch
    assert a.all(LeaderSeen)[-1].epoch == won.epoch


async def test_a_lost_lease_is_replaced_and_the_node_publishes_again(world: World) -> None:
    a, won = await leader(world)
    before = await a_lease(world, a)
    await world.registry.revoke(before.lease)
    await a.sees_epoch(0)
    again = await a.campaigns("t2", 0, won.revision)
    assert isinstance(again, Won)
    assert again.epoch > won.epoch
    after = await eventually(lambda: pair_at(world, world.keys.node("a")))
    assert after.lease != before.lease


# --- Changes of the configuration -------------------------------------------------------------


async def test_the_leader_changes_the_configuration_and_others_see_it(world: World) -> None:
    a, won = await leader(world)
    b = await world.replica("b")
    await b.hears(ConfigurationSeen)
    smaller = won.configuration.with_set(SITE, [a.me])
    place = len(b.told)
    a.session.change_configuration(1, won.epoch, won.revision, smaller)
    passed = await a.hears(GuardPassed)
    assert await b.hears(ConfigurationSeen, place) == ConfigurationSeen(smaller, passed.revision)


@pytest.mark.parametrize(("epoch", "revision"), [(-1, 0), (0, -1)], ids=["epoch", "revision"])
async def test_a_change_whose_guard_does_not_hold_fails(
    world: World, epoch: int, revision: int
) -> None:
    a, won = await leader(world)
    smaller = won.configuration.with_set(SITE, [a.me])
    a.session.change_configuration(1, won.epoch + epoch, won.revision + revision, smaller)
    await a.hears(GuardFailed)
    pair = await pair_at(world, world.keys.configuration)
    assert pair is not None
    assert pair.mod_revision == won.revision


async def test_a_change_whose_answer_was_lost_is_found_passed(
    world: World, etcd: EtcdCluster
) -> None:
    _, revision = await world.configure("a", "b")
    async with Relay(etcd.endpoints[1]) as relay:
        endpoints = [etcd.endpoints[0], relay.endpoint, etcd.endpoints[2]]
        a = await world.replica("a", endpoints=endpoints)
        await a.hears(LeaderSeen)
        a.session.campaign("t1", 0, revision)
        won = await a.hears(Won)
        smaller = won.configuration.with_set(SITE, [a.me])
        relay.swallow_answers()
        a.session.change_configuration(1, won.epoch, revision, smaller)
        passed = await a.hears(GuardPassed)
    pair = await pair_at(world, world.keys.configuration)
    assert pair is not None
    assert (pair.value, pair.mod_revision) == (smaller.to_json(), passed.revision)


async def test_a_change_without_etcd_is_unknown_and_passes_when_sent_again(
    world: World, etcd: EtcdCluster
) -> None:
    a, won = await leader(world, deadline_ms=300)
    smaller = won.configuration.with_set(SITE, [a.me])
    etcd.kill(0)
    etcd.kill(1)
    a.session.change_configuration(1, won.epoch, won.revision, smaller)
    await a.hears(GuardUnknown)
    await asyncio.to_thread(etcd.heal)
    outcome: GuardPassed | GuardFailed | GuardUnknown = GuardUnknown(1)
    while isinstance(outcome, GuardUnknown):  # S4: the same again, until it is known
        outcome = await a.changes(1, won.epoch, won.revision, smaller)
    pair = await pair_at(world, world.keys.configuration)
    assert pair is not None
    assert outcome == GuardPassed(1, pair.mod_revision)
    assert pair.value == smaller.to_json()


# --- Records, versions, ends ------------------------------------------------------------------


async def test_what_a_node_publishes_is_seen_by_the_others(world: World) -> None:
    a, b = await world.replica("a"), await world.replica("b")
    a.session.publish(0, "starting")
    a.session.publish(7, "ok")

    async def healthy() -> NodeRecord | None:
        record = b.session.nodes.get("a")
        return record if record is not None and record.health == "ok" else None

    record = await eventually(healthy)
    assert record == NodeRecord("a", "disk-a", SITE, "a:7101", "a:7201", 7, "ok")


async def test_a_node_that_has_said_nothing_publishes_nothing(world: World) -> None:
    await leader(world)
    assert (await world.registry.list(world.keys.nodes)).pairs == ()


async def test_an_old_etcd_stops_the_start() -> None:
    async with (
        a_member_that_says("3.4.23") as endpoint,
        a_session([endpoint], "x", lambda event: None) as session,
    ):
        with pytest.raises(UnsupportedVersion, match=rf"{endpoint} is version 3\.4\.23"):
            await session.start()


async def test_an_owner_that_fails_ends_the_session_and_is_heard(world: World) -> None:
    class OwnerFailedError(Exception):
        pass

    def fail(event: object) -> None:
        raise OwnerFailedError

    async with a_session(world.etcd.endpoints, world.cluster, fail) as session:
        await session.start()
        with pytest.raises(OwnerFailedError):
            async with asyncio.timeout(PATIENCE_S):
                await session.wait()
        await session.stop()


async def test_stopping_without_etcd_ends_in_bounded_time() -> None:
    endpoints = [f"127.0.0.1:{port}" for port in free_ports(2)]
    async with a_session(endpoints, "x", lambda event: None) as session:
        await session.start()
        async with asyncio.timeout(PATIENCE_S):
            await session.stop()
            await session.wait()
