"""The registry, its watch and its lease against a real etcd whose members die, sleep and return."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from coordinator.keyvalue import (
    Changed,
    Compacted,
    Get,
    LeaseGone,
    Listing,
    OutcomeUnknown,
    Put,
    RegistryError,
    Unavailable,
    Unchanged,
    UnsupportedVersion,
)
from coordinator.leasing import LeaseKeeper
from coordinator.registry import Registry
from coordinator.watching import Watcher
from tests.coordinator.conftest import PATIENCE_S, World
from tests.coordinator.relay import Relay
from tests.etcd_cluster import EtcdCluster, free_ports

DEADLINE_MS = 800


class Follower:
    """A watcher, and everything it delivered."""

    def __init__(self, registry: Registry, prefix: str) -> None:
        self.listings: list[Listing] = []
        self.changes: list[Changed] = []
        self._news = asyncio.Event()
        self._watcher = Watcher(registry, prefix, self._deliver, DEADLINE_MS)
        self.task = asyncio.ensure_future(self._watcher.run())

    def _deliver(self, news: Listing | tuple[Changed, ...]) -> None:
        if isinstance(news, Listing):
            self.listings.append(news)
        else:
            self.changes += news
        self._news.set()

    async def until_seen(self, revision: int) -> None:
        """Wait until what happened at `revision` has been delivered."""
        async with asyncio.timeout(PATIENCE_S):
            while revision not in [change.mod_revision for change in self.changes]:
                self._news.clear()
                await self._news.wait()

    async def until_listed(self, times: int) -> None:
        """Wait for the listing number `times`."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.listings) < times:
                self._news.clear()
                await self._news.wait()


# --- Requests ---------------------------------------------------------------------------------


async def test_a_transaction_takes_the_branch_its_guards_say(world: World) -> None:
    key = world.keys.events + "x"
    first = await world.registry.transact((Unchanged(key, 0),), (Put(key, b"1"), Get(key)))
    assert first.succeeded
    assert first.found[key].value == b"1"
    assert first.found[key].mod_revision == first.revision
    again = await world.registry.transact((Unchanged(key, 0),), (Put(key, b"2"),), (Get(key),))
    assert not again.succeeded
    assert again.found[key].value == b"1"


async def test_a_put_under_a_lease_that_is_gone_is_definitely_refused(world: World) -> None:
    lease, _ = await world.registry.grant(5)
    await world.registry.revoke(lease)
    with pytest.raises(LeaseGone):
        await world.registry.put(world.keys.events + "x", b"1", lease)


async def test_a_dead_member_is_left_for_the_next_one(etcd: EtcdCluster) -> None:
    registry = Registry([f"127.0.0.1:{free_ports(1)[0]}", *etcd.endpoints], DEADLINE_MS)
    await registry.put("/kessai/dead/x", b"1")
    assert registry.endpoint in etcd.endpoints
    await registry.close()


async def test_what_nobody_was_asked_is_definitely_not_done() -> None:
    registry = Registry([f"127.0.0.1:{port}" for port in free_ports(3)], DEADLINE_MS)
    with pytest.raises(Unavailable):
        await registry.put("/kessai/nobody/x", b"1")
    await registry.close()


async def test_a_paused_member_leaves_the_outcome_unknown_and_is_not_asked_again(
    world: World, etcd: EtcdCluster
) -> None:
    asleep = etcd.a_follower()
    registry = Registry(etcd.endpoints, DEADLINE_MS, first=asleep)
    key = world.keys.events + "x"
    await registry.put(key, b"1")
    etcd.pause(asleep)
    with pytest.raises(OutcomeUnknown):
        await registry.put(key, b"2")
    await registry.put(key, b"3")
    assert registry.endpoint != etcd.endpoints[asleep]
    await registry.close()


async def test_a_read_goes_round_a_paused_member(world: World, etcd: EtcdCluster) -> None:
    asleep = etcd.a_follower()
    registry = Registry(etcd.endpoints, DEADLINE_MS, first=asleep)
    await registry.put(world.keys.events + "x", b"1")
    etcd.pause(asleep)
    listing = await registry.list(world.keys.prefix)
    assert [pair.value for pair in listing.pairs] == [b"1"]
    await registry.close()


async def test_a_lost_answer_leaves_the_outcome_unknown_though_it_was_done(
    world: World, etcd: EtcdCluster
) -> None:
    key = world.keys.events + "x"
    async with Relay(etcd.endpoints[0]) as relay:
        registry = Registry([relay.endpoint, *etcd.endpoints[1:]], DEADLINE_MS)
        await registry.put(key, b"1")
        relay.swallow_answers()
        with pytest.raises(OutcomeUnknown):
            await registry.transact((), (Put(key, b"2"),))
        outcome = await registry.transact((), (Get(key),))
        assert outcome.found[key].value == b"2"
        await registry.close()


async def test_without_a_majority_a_write_is_refused_or_unknown_in_bounded_time(
    world: World, etcd: EtcdCluster
) -> None:
    await world.registry.put(world.keys.events + "x", b"1")
    etcd.kill(0)
    etcd.kill(1)
    for _ in range(3):
        with pytest.raises(RegistryError):
            async with asyncio.timeout(PATIENCE_S):
                await world.registry.put(world.keys.events + "x", b"2")
    etcd.heal()
    async with asyncio.timeout(PATIENCE_S):
        await world.registry.list(world.keys.prefix)


# --- Versions ---------------------------------------------------------------------------------


@asynccontextmanager
async def a_member_that_says(version: str) -> AsyncIterator[str]:
    """A server that knows one thing: its version. Yields its endpoint."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    # StatusResponse.version is field 2, a string.
    answer = b"\x12" + bytes([len(version)]) + version.encode()

    async def status(request: bytes, context: object) -> bytes:
        return answer

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Status": grpc.unary_unary_rpc_method_handler(status)
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("etcdserverpb.Maintenance", handlers),)
    )
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize("version", ["3.4.23", "3.5.1", "3.5.15", "3.5.16-rc.0", "unknown"])
async def test_an_old_etcd_is_refused_by_endpoint_and_version(version: str) -> None:
    async with a_member_that_says(version) as endpoint:
        registry = Registry([endpoint], DEADLINE_MS)
        with pytest.raises(UnsupportedVersion) as refused:
            await registry.check_versions()
        assert endpoint in str(refused.value)
        assert version in str(refused.value)
        await registry.close()


@pytest.mark.parametrize("version", ["3.5.16", "3.5.30", "3.6.0", "4.0.0"])
async def test_a_newer_etcd_is_accepted(version: str) -> None:
    async with a_member_that_says(version) as endpoint:
        registry = Registry([endpoint], DEADLINE_MS)
        await registry.check_versions()
        await registry.close()


async def test_an_old_member_that_was_away_at_first_is_left_out(etcd: EtcdCluster) -> None:
    async with a_member_that_says("3.4.23") as endpoint:
        registry = Registry([endpoint, etcd.endpoints[0]], DEADLINE_MS)
        await registry.list("/kessai/none/")
        assert registry.endpoint == etcd.endpoints[0]
        await registry.close()


# --- The watch --------------------------------------------------------------------------------


async def test_no_event_is_lost_or_doubled_while_members_die_and_sleep(
    world: World, etcd: EtcdCluster
) -> None:
    registries = [Registry(etcd.endpoints, DEADLINE_MS, first=n) for n in range(3)]
    followers = [Follower(registry, world.keys.events) for registry in registries]
    for follower in followers:
        await follower.until_listed(1)
    writing = asyncio.Event()

    async def write() -> None:
        number = 0
        while not writing.is_set():
            number += 1
            try:
                await world.registry.put(f"{world.keys.events}{number}", b"x")
            except RegistryError:
                continue  # perhaps written, perhaps not: etcd says at the end
            await asyncio.sleep(0.01)

    writer = asyncio.ensure_future(write())
    await asyncio.sleep(0.3)
    etcd.kill(0)
    await asyncio.sleep(0.5)
    etcd.start(0)
    await asyncio.to_thread(etcd.wait_until_healthy)
    etcd.pause(1)
    await asyncio.sleep(3)
    etcd.resume(1)
    await asyncio.sleep(0.3)
    writing.set()
    await writer
    last = await world.registry.put(f"{world.keys.events}last", b"x")
    written = (await world.registry.list(world.keys.events)).pairs
    assert len(written) > 100
    for follower in followers:
        await follower.until_seen(last)
        follower.task.cancel()
        delivered = [(change.key, change.mod_revision) for change in follower.changes]
        assert delivered == sorted(
            ((pair.key, pair.mod_revision) for pair in written), key=lambda one: one[1]
        )
        assert len(follower.listings) == 1, "it should have resumed, not begun again"
    for registry in registries:
        await registry.close()


async def test_compacted_history_is_listed_again(world: World, etcd: EtcdCluster) -> None:
    async with Relay(etcd.endpoints[0]) as relay:
        registry = Registry([relay.endpoint], DEADLINE_MS)
        follower = Follower(registry, world.keys.events)
        await follower.until_listed(1)
        first = await world.registry.put(world.keys.events + "1", b"x")
        await follower.until_seen(first)
        relay.swallow_answers()
        await world.registry.put(world.keys.events + "2", b"x")
        last = await world.registry.put(world.keys.events + "3", b"x")
        etcd.compact(last)
        relay.hang_up()
        await follower.until_listed(2)
        assert {pair.key for pair in follower.listings[1].pairs} == {
            world.keys.events + name for name in "123"
        }
        after = await world.registry.put(world.keys.events + "4", b"x")
        await follower.until_seen(after)
        assert [change.mod_revision for change in follower.changes] == [first, after]
        follower.task.cancel()
        await registry.close()


async def test_a_watch_from_compacted_history_says_so(world: World, etcd: EtcdCluster) -> None:
    for _ in range(3):
        last = await world.registry.put(world.keys.events + "x", b"x")
    etcd.compact(last)
    stream = await world.registry.watch(world.keys.events, 1)
    assert await stream.read(PATIENCE_S) == ()  # the watch is made, and then ended
    with pytest.raises(Compacted):
        await stream.read(PATIENCE_S)
    stream.close()


async def test_deletions_are_delivered_without_a_value(world: World) -> None:
    follower = Follower(world.registry, world.keys.events)
    await follower.until_listed(1)
    lease, _ = await world.registry.grant(60)
    await world.registry.put(world.keys.events + "x", b"1", lease)
    await world.registry.revoke(lease)
    last = await world.registry.put(world.keys.events + "y", b"2")
    await follower.until_seen(last)
    assert [change.value for change in follower.changes] == [b"1", None, b"2"]
    follower.task.cancel()


# --- The lease --------------------------------------------------------------------------------


class Holder:
    """A lease keeper, and what it said."""

    def __init__(self, registry: Registry, ttl_s: int) -> None:
        self.granted: list[int] = []
        self.gone: list[int] = []
        self.news = asyncio.Event()
        self.keeper = LeaseKeeper(registry, ttl_s, self._granted, self._gone, time.monotonic)
        self.task = asyncio.ensure_future(self.keeper.run())

    def _granted(self, lease: int) -> None:
        self.granted.append(lease)
        self.news.set()

    def _gone(self, lease: int) -> None:
        self.gone.append(lease)
        self.news.set()

    async def until_granted(self, times: int) -> None:
        """Wait for grant number `times`."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.granted) < times:
                self.news.clear()
                await self.news.wait()


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_lease_outlives_the_member_it_was_renewed_at(etcd: EtcdCluster, fault: str) -> None:
    first = etcd.a_follower()
    registry = Registry(etcd.endpoints, DEADLINE_MS, first=first)
    holder = Holder(registry, 2)
    await holder.until_granted(1)
    getattr(etcd, fault)(first)
    await asyncio.sleep(3)
    assert holder.granted == [holder.keeper.lease]
    assert holder.keeper.valid
    assert registry.endpoint != etcd.endpoints[first]
    holder.task.cancel()
    await registry.close()


async def test_a_lease_that_is_gone_is_replaced(world: World) -> None:
    holder = Holder(world.registry, 2)
    await holder.until_granted(1)
    await world.registry.revoke(holder.keeper.lease)
    await holder.until_granted(2)
    assert holder.gone == [holder.granted[0]]
    assert holder.granted[1] != holder.granted[0]
    holder.task.cancel()


async def test_a_lease_denied_elsewhere_is_replaced_without_waiting(world: World) -> None:
    holder = Holder(world.registry, 600)  # a renewal would be 200 s away
    await holder.until_granted(1)
    holder.keeper.deny(holder.keeper.lease)
    await holder.until_granted(2)
    assert holder.gone == holder.granted[:1]
    holder.task.cancel()


async def test_a_lease_is_valid_from_the_sending_of_its_renewal_not_from_the_answer(
    world: World,
) -> None:
    now = [100.0]

    def clock() -> float:
        return now[0]

    granted = asyncio.Event()
    keeper = LeaseKeeper(
        world.registry, 600, lambda lease: granted.set(), lambda lease: None, clock
    )
    assert not keeper.valid
    task = asyncio.ensure_future(keeper.run())
    await asyncio.sleep(0)
    now[0] = 150.0  # the request is on its way since 100
    async with asyncio.timeout(PATIENCE_S):
        await granted.wait()
    now[0] = 699.0
    assert keeper.valid
    now[0] = 700.0
    assert not keeper.valid
    task.cancel()
