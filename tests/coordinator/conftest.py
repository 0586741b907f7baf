"""One etcd for all tests of this folder; each test has a cluster's name of its own."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
import pytest_asyncio

from coordinator.configuration import Configuration, ReplicaId
from coordinator.events import (
    CampaignLost,
    CoordinatorEvent,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    LeaderSeen,
    Won,
)
from coordinator.keyvalue import Put
from coordinator.records import Keys
from coordinator.registry import Registry
from coordinator.session import Session
from tests.etcd_cluster import EtcdCluster

Wanted = TypeVar("Wanted")

SITE = "east"
PATIENCE_S = 15.0
"""Long enough for anything that happens at all; nothing is measured with it."""

_names = itertools.count(1)


async def eventually(look: Callable[[], Awaitable[Wanted | None]]) -> Wanted:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.01)


def wall_ms() -> int:
    """The wall clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Replica:
    """A session and all it has been told."""

    def __init__(self, session: Session, me: ReplicaId, told: list[CoordinatorEvent]) -> None:
        self.session = session
        self.me = me
        self.told = told
        self.news = asyncio.Event()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until `happened`, looking whenever there is news."""
        async with asyncio.timeout(PATIENCE_S):
            while not happened():
                self.news.clear()
                await self.news.wait()

    async def hears(self, kind: type[Wanted], after: int = 0) -> Wanted:
        """The first event of `kind` from place `after` in what it was told; waits for it."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.told[after:]))
        return next(event for event in self.told[after:] if isinstance(event, kind))

    async def campaigns(self, attempt: str, suspected: int, revision: int) -> Won | CampaignLost:
        """Campaign, and hear the outcome."""
        place = len(self.told)

        def outcomes() -> list[Won | CampaignLost]:
            news = [e for e in self.told[place:] if isinstance(e, Won | CampaignLost)]
            return [event for event in news if event.attempt == attempt]

        self.session.campaign(attempt, suspected, revision)
        await self.until(lambda: bool(outcomes()))
        return outcomes()[0]

    async def changes(
        self, change: int, epoch: int, revision: int, configuration: Configuration
    ) -> GuardPassed | GuardFailed | GuardUnknown:
        """Make a guarded change, and hear what became of it."""
        place = len(self.told)

        def outcomes() -> list[GuardPassed | GuardFailed | GuardUnknown]:
            kinds = GuardPassed | GuardFailed | GuardUnknown
            return [event for event in self.told[place:] if isinstance(event, kinds)]

        self.session.change_configuration(change, epoch, revision, configuration)
        await self.until(lambda: bool(outcomes()))
        return outcomes()[0]

    async def sees_epoch(self, epoch: int) -> None:
        """Wait until the leader key was last seen at `epoch`; 0: gone."""
        await self.until(lambda: [seen.epoch for seen in self.all(LeaderSeen)][-1:] == [epoch])

    def all(self, kind: type[Wanted]) -> list[Wanted]:
        """Every event of `kind` so far."""
        return [event for event in self.told if isinstance(event, kind)]


class World:
    """Sessions of one cluster on the shared etcd, ended with the test."""

    def __init__(self, etcd: EtcdCluster) -> None:
        self.etcd = etcd
        self.cluster = f"test{next(_names)}"
        self.keys = Keys(self.cluster)
        self.registry = Registry(etcd.endpoints, 800)
        self._sessions: list[Session] = []
        self._registries = [self.registry]

    async def configure(self, *nodes: str) -> tuple[Configuration, int]:
        """Write a configuration with these nodes; its value and revision."""
        members = frozenset(ReplicaId(node, f"disk-{node}") for node in nodes)
        configuration = Configuration("cluster-id", SITE, {SITE: members}, 1)
        outcome = await self.registry.transact(
            (), (Put(self.keys.configuration, configuration.to_json()),)
        )
        return configuration, outcome.revision

    async def replica(
        self,
        node: str,
        *,
        endpoints: list[str] | None = None,
        lease_ms: int = 5000,
        deadline_ms: int = 800,
        disk: str = "",
    ) -> Replica:
        """A started session of `node`."""
        me = ReplicaId(node, disk or f"disk-{node}")
        told: list[CoordinatorEvent] = []

        def tell(event: CoordinatorEvent) -> None:
            told.append(event)
            replica.news.set()

        endpoints = endpoints or self.etcd.endpoints
        # As a node does: it begins at a member of its own.
        first = sum(node.encode()) % len(endpoints)
        registry = Registry(endpoints, deadline_ms, first=first)
        self._registries.append(registry)
        session = Session(
            registry,
            self.cluster,
            me,
            SITE,
            f"{node}:7101",
            f"{node}:7201",
            lease_ms,
            deadline_ms,
            tell,
            life=secrets.token_hex(8),
            clock_ms=wall_ms,
        )
        replica = Replica(session, me, told)
        await session.start()
        self._sessions.append(session)
        return replica

    async def close(self) -> None:
        """Stop all sessions."""
        await asyncio.gather(*(session.stop() for session in self._sessions))
        await asyncio.gather(*(registry.close() for registry in self._registries))


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """A three-member etcd."""
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def etcd(shared_etcd: EtcdCluster) -> Iterator[EtcdCluster]:
    """The same, whole again after the test."""
    yield shared_etcd
    shared_etcd.heal()


@pytest_asyncio.fixture
async def world(etcd: EtcdCluster) -> AsyncIterator[World]:
    """A cluster of its own for the test."""
    world = World(etcd)
    yield world
    await world.close()
