"""Turning from a member that cannot serve to one that does, against a real etcd."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.events import GuardPassed, GuardUnknown, Won
from coordinator.keyvalue import Unavailable
from coordinator.registry import Registry
from tests.coordinator.conftest import PATIENCE_S, SITE, World, eventually
from tests.etcd_cluster import EtcdCluster

DEADLINE_MS = 800


@contextlib.asynccontextmanager
async def tended(registry: Registry) -> AsyncIterator[Registry]:
    """The registry, looked after as a session does it, and closed in the end."""
    tending = asyncio.ensure_future(registry.tend())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield registry
    finally:
        tending.cancel()
        await registry.close()


async def leaves(registry: Registry, endpoint: str) -> None:
    """Wait until `registry` uses another member than the one at `endpoint`."""

    async def left() -> bool | None:
        return True if registry.endpoint != endpoint else None

    await eventually(left)


async def test_a_member_that_lost_its_leader_is_left_before_anything_is_asked_of_it(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    # Half of another etcd stands for a member on the wrong side of a cut: it is up and takes
    # connections, and has no leader.
    with EtcdCluster(tmp_path, size=2) as cut_off:
        lost = cut_off.endpoints[0]
        async with tended(Registry([lost, *etcd.endpoints], DEADLINE_MS)) as registry:
            await registry.put("/kessai/turning/x", b"1")
            assert registry.endpoint == lost
            cut_off.kill(1)
            await leaves(registry, lost)
            await registry.put("/kessai/turning/x", b"2")
            assert registry.endpoint in etcd.endpoints


async def test_a_member_without_a_leader_is_definitely_not_begun_with(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    with EtcdCluster(tmp_path, size=2) as cut_off:
        registry = Registry([cut_off.endpoints[0]], DEADLINE_MS)
        await registry.put("/kessai/turning/x", b"1")
        cut_off.kill(1)

        async def refused() -> bool | None:
            with contextlib.suppress(Unavailable):
                await registry.list("/kessai/turning/")
                return None
            return True

        await eventually(refused)
        with pytest.raises(Unavailable):
            await registry.put("/kessai/turning/x", b"2")
        await registry.close()


async def test_a_watch_moves_with_the_member_in_use(world: World, etcd: EtcdCluster) -> None:
    asleep = etcd.a_follower()
    async with tended(Registry(etcd.endpoints, DEADLINE_MS, first=asleep)) as registry:
        await registry.list(world.keys.events)
        stream = await registry.watch(world.keys.events, 0)
        assert await stream.read(PATIENCE_S) == ()
        etcd.pause(asleep)
        with pytest.raises(Unavailable, match="left for another member"):
            await stream.read(PATIENCE_S)
        stream.close()
        assert registry.endpoint != etcd.endpoints[asleep]


async def test_a_renewal_under_way_moves_with_the_member_in_use(etcd: EtcdCluster) -> None:
    asleep = etcd.a_follower()
    async with tended(Registry(etcd.endpoints, DEADLINE_MS, first=asleep)) as registry:
        lease, _ = await registry.grant(60)
        stream = await registry.renewals(lease)
        await stream.renew(PATIENCE_S)
        etcd.pause(asleep)
        with pytest.raises(Unavailable, match="left for another member"):
            await stream.renew(PATIENCE_S)
        stream.close()
        stream = await registry.renewals(lease)
        assert await stream.renew(PATIENCE_S) > 0
        stream.close()


async def test_several_addresses_of_a_silent_member_cost_one_search(etcd: EtcdCluster) -> None:
    asleep = etcd.a_follower()
    silent = [etcd.endpoints[asleep]] * 4
    others = [each for each in etcd.endpoints if each not in silent]
    registry = Registry([*silent, *others], DEADLINE_MS)
    await registry.put("/kessai/turning/x", b"1")
    etcd.pause(asleep)
    async with tended(registry):
        await leaves(registry, silent[0])
        assert registry.endpoint in others


async def test_a_leader_whose_member_falls_silent_makes_its_change_at_another(
    world: World, etcd: EtcdCluster
) -> None:
    _, revision = await world.configure("a", "b")
    a = await world.replica("a")
    won = await a.campaigns("t1", 0, revision)
    assert isinstance(won, Won)
    silent = a.session.etcd_endpoint
    etcd.pause(etcd.endpoints.index(silent))

    async def left() -> bool | None:
        return True if a.session.etcd_endpoint != silent else None

    await eventually(left)
    smaller = won.configuration.with_set(SITE, [a.me])
    outcome = await a.changes(1, won.epoch, revision, smaller)
    assert isinstance(outcome, GuardPassed)
    assert a.all(GuardUnknown) == []
    assert a.session.lease_valid
