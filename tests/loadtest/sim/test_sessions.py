"""Real sessions on the simulated etcd: who wins, what is lost, what is heard late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import pytest

from coordinator.configuration import ReplicaId
from coordinator.events import (
    CampaignLost,
    ConfigurationSeen,
    CoordinatorEvent,
    GuardPassed,
    GuardUnknown,
    LeaderSeen,
    Won,
)
from coordinator.session import Session
from loadtest.sim.happening import Kind
from loadtest.sim.network import Manners
from loadtest.sim.setup import EtcdManners
from tests.loadtest.sim.etcd_scene import DEADLINE_MS, HONEST, Computer, Scene, configured

T = TypeVar("T")

LEASE_MS: Final = 3_000


@dataclass
class Replica:
    """A session and all it was told."""

    host: Computer
    session: Session
    told: list[CoordinatorEvent]

    def all(self, kind: type[T]) -> list[T]:
        """Every event of `kind` so far."""
        return [event for event in self.told if isinstance(event, kind)]

    def campaigns(self, attempt: str, suspected: int, revision: int) -> None:
        """Ask for the leader key."""
        assert self.host.loop is not None
        self.host.loop.enter(lambda: self.session.campaign(attempt, suspected, revision))


def replica(scene: Scene, name: str = "a1", life: int = 1) -> Replica:
    """A started session of node `name`."""
    host = scene.host(name)
    told: list[CoordinatorEvent] = []
    made: list[Session] = []

    def make() -> None:
        session = Session(
            scene.registry(host),
            "sim",
            ReplicaId(name, f"disk-{name}"),
            "a",
            name,
            f"{name}:peers",
            LEASE_MS,
            DEADLINE_MS,
            told.append,
            life=f"{name}.{life}",
            clock_ms=lambda: int(scene.timeline.now),
        )
        made.append(session)

    assert host.loop is not None
    host.loop.enter(make)
    scene.begin(host, made[0].start())
    return Replica(host, made[0], told)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """An honest etcd, and nobody there yet."""
    scene = Scene()
    yield scene
    scene.over()


def test_a_session_wins_is_seen_by_the_others_and_hears_of_the_configuration(scene: Scene) -> None:
    configuration, revision = configured(scene, "a1", "a2")
    one, two = replica(scene, "a1"), replica(scene, "a2")
    scene.run(300)
    assert one.all(ConfigurationSeen) == [ConfigurationSeen(configuration, revision)]
    assert one.session.lease_valid
    one.campaigns("t1", 0, revision)
    scene.run(300)
    (won,) = one.all(Won)
    assert (won.attempt, won.configuration, won.revision) == ("t1", configuration, revision)
    assert two.all(LeaderSeen)[-1] == LeaderSeen(won.epoch, "a1", "disk-a1", won.epoch)
    record, epoch = scene.etcd.leader()
    assert record is not None
    assert (record.node, epoch) == ("a1", won.epoch)
    two.campaigns("t1", 0, revision)
    scene.run(300)
    assert len(two.all(CampaignLost)) == 1


def test_a_leader_that_dies_loses_its_key_and_another_takes_it(scene: Scene) -> None:
    _, revision = configured(scene, "a1", "a2")
    one, two = replica(scene, "a1"), replica(scene, "a2")
    scene.run(300)
    one.campaigns("t1", 0, revision)
    scene.run(300)
    assert one.host.loop is not None
    one.host.loop.kill()
    one.host.loop = None
    scene.run(LEASE_MS + HONEST.slack_ms + 500)
    assert two.all(LeaderSeen)[-1].epoch == 0
    two.campaigns("t1", 0, revision)
    scene.run(300)
    assert two.all(Won)[0].epoch > one.all(Won)[0].epoch


def test_a_session_that_etcd_cannot_hear_loses_its_lease_and_gets_another(scene: Scene) -> None:
    _, revision = configured(scene, "a1")
    one = replica(scene, "a1")
    scene.run(300)
    one.campaigns("t1", 0, revision)
    scene.run(300)
    both_ways = {("a1", "etcd"), ("etcd", "a1")}
    scene.network.swallow(both_ways, "test")
    scene.run(LEASE_MS + HONEST.slack_ms + 100)
    assert Kind.LEASE_EXPIRED in scene.kinds()
    assert not one.session.lease_valid
    scene.network.mend(both_ways)
    scene.run(5_000)
    assert one.session.lease_valid
    assert [seen.epoch for seen in one.all(LeaderSeen)] == [0, one.all(Won)[0].epoch, 0]
    one.campaigns("t2", 0, revision)
    scene.run(300)
    assert [won.attempt for won in one.all(Won)] == ["t1", "t2"]


def test_a_leader_keeps_its_key_while_etcd_is_away(scene: Scene) -> None:
    _, revision = configured(scene, "a1")
    one = replica(scene, "a1")
    scene.run(300)
    one.campaigns("t1", 0, revision)
    scene.run(300)
    scene.etcd.away()
    scene.run(8_000)
    assert not one.session.lease_valid
    one.campaigns("t2", 0, revision)
    scene.run(3 * DEADLINE_MS + 100)
    assert [lost.attempt for lost in one.all(CampaignLost)] == ["t2"]
    scene.etcd.back()
    scene.run(4_000)
    assert one.session.lease_valid
    assert Kind.LEASE_EXPIRED not in scene.kinds()
    assert scene.etcd.leader()[1] == one.all(Won)[0].epoch


def test_a_win_that_comes_late_is_recognised(scene: Scene) -> None:
    _, revision = configured(scene, "a1")
    one = replica(scene, "a1")
    scene.run(300)
    # The transaction arrives, and does nothing until the campaign was long given up.
    scene.etcd.manners = replace(HONEST, late=1.0, late_ms=20_000.0)
    one.campaigns("t1", 0, revision)
    scene.run(100)
    scene.etcd.manners = HONEST
    scene.network.cut.add(("a1", "etcd"))  # nor is it sent again
    scene.run(3 * DEADLINE_MS)
    scene.network.mend()
    assert [lost.attempt for lost in one.all(CampaignLost)] == ["t1"]
    assert not one.all(Won)
    scene.run(20_000)
    assert Kind.LATE in scene.kinds()
    assert [won.attempt for won in one.all(Won)] == ["t1"]
    assert scene.etcd.leader()[1] == one.all(Won)[0].epoch


def test_a_guarded_change_whose_answer_is_lost_is_asked_for_again(scene: Scene) -> None:
    configuration, revision = configured(scene, "a1", "a2")
    one = replica(scene, "a1")
    scene.run(300)
    one.campaigns("t1", 0, revision)
    scene.run(300)
    (won,) = one.all(Won)
    smaller = configuration.with_set("a", [ReplicaId("a1", "disk-a1")])
    loop = one.host.loop
    assert loop is not None

    def change() -> None:
        one.session.change_configuration(7, won.epoch, revision, smaller)

    scene.etcd.manners = replace(HONEST, answer_lost=1.0)
    loop.enter(change)
    scene.run(100)
    scene.etcd.manners = HONEST
    scene.run(3_000)
    if one.all(GuardUnknown):
        loop.enter(change)
        scene.run(1_000)
    assert one.all(GuardPassed) == [GuardPassed(7, scene.etcd.configuration()[1])]
    assert scene.etcd.configuration()[0] == smaller


def test_a_session_that_stops_gives_its_lease_back(scene: Scene) -> None:
    _, revision = configured(scene, "a1")
    one = replica(scene, "a1")
    scene.run(300)
    one.campaigns("t1", 0, revision)
    scene.run(300)
    scene.do(one.host, one.session.stop())
    assert scene.etcd.leader() == (None, 0)
    assert Kind.LEASE_EXPIRED not in scene.kinds()


@pytest.mark.parametrize("seed", range(8))
def test_the_same_seed_makes_the_same_day(seed: int) -> None:
    def day() -> str:
        scene = Scene(EtcdManners(answer_lost=0.2, late=0.1), seed)
        scene.network.manners = Manners(loss=0.05, late=0.2)
        _, revision = configured(scene, "a1", "a2")
        one, two = replica(scene, "a1"), replica(scene, "a2")
        for number in range(6):
            for who in (one, two):
                who.campaigns(f"t{number}", scene.etcd.leader()[1], revision)
                scene.run(700)
        scene.etcd.away()
        scene.run(3_000)
        scene.etcd.back()
        scene.run(4_000)
        epochs = [won.epoch for who in (one, two) for won in who.all(Won)]
        assert epochs
        assert len(set(epochs)) == len(epochs)
        scene.over()
        return scene.timeline.trace

    assert day() == day()
