"""Coordinators and operators of a simulated day: what they see, decide and give up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from coordinator.records import Reach
from coordinator.settings import Mode, Switching
from coordinator.sites.probe import PROBE_KEY
from coordinator.sites.sight import Answer
from loadtest.sim.calls import Unanswered, call
from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.life import Life
from loadtest.sim.people.places import SimLine
from loadtest.sim.setup import EtcdManners, Setup
from loadtest.sim.world import World
from node.core import Timings

A, B = ("a1", "a2", "a3"), ("b1", "b2", "b3")
PATIENT = Switching(mode=Mode.MANUAL)


@dataclass
class Day:
    """A world of two sites in which nothing goes wrong by itself, and what was told of it."""

    switching: Switching = field(default_factory=Switching)
    told: list[Happened] = field(default_factory=list)

    def __post_init__(self) -> None:
        setup = Setup(
            {"a": A, "b": B},
            2,
            Timings(),
            switching=self.switching,
            etcd=EtcdManners(answer_lost=0.0, late=0.0),
        )
        self.world = World(7, setup, (self._hear,))
        self.world.begin()
        self.go(2_000)

    def _hear(self, told: Told) -> None:
        if isinstance(told, Happened):
            self.told.append(told)

    def go(self, ms: float) -> None:
        """Let time pass."""
        self.world.run(self.world.timeline.now + ms)

    def said(self, kind: Kind, who: str = "") -> list[str]:
        """What was told of that kind."""
        return [each.detail for each in self.told if each.kind is kind and who in ("", each.who)]

    def lose(self, nodes: Iterable[str]) -> None:
        """These nodes are killed."""
        for node in nodes:
            self.world.nodes[node].crash()

    def degrade(self) -> None:
        """The sites no longer hear each other, and site a goes on alone (S5)."""
        network = self.world.network
        network.swallow(network.between(A, B) | network.between(B, A), "sites cut")
        self.go(6_000)
        assert not self.active()[1]["b"]

    def active(self) -> tuple[str, dict[str, set[str]]]:
        """The active site, and the nodes that count in each."""
        configuration, _ = self.world.configuration()
        assert configuration is not None
        in_sync = configuration.in_sync
        return configuration.active_site, {
            site: {replica.node for replica in replicas} for site, replicas in in_sync.items()
        }

    def ask(self, node: str) -> Answer:
        """How a node answers an inquiry of a coordinator."""
        answers: list[Answer] = []

        async def inquire() -> None:
            answers.append(await SimLine(self.world.ground, "watch-w", node).inquire(PROBE_KEY, 1))

        loop = self.world.watches["w"].loop
        assert loop is not None
        tasks: list[asyncio.Task[None]] = []
        loop.enter(lambda: tasks.append(loop.create_task(inquire())))
        self.go(1_500)
        (answer,) = answers
        return answer

    def close(self) -> None:
        """Nothing of it runs any more."""
        for host in self.world.network.hosts.values():
            if host.loop is not None:
                host.loop.kill()


@pytest.fixture
def day() -> Iterator[Day]:
    """A day with coordinators that switch by themselves."""
    made = Day()
    yield made
    made.close()


@pytest.fixture
def patient() -> Iterator[Day]:
    """A day on which only operators switch."""
    made = Day(PATIENT)
    yield made
    made.close()


# --- Lines ------------------------------------------------------------------------------------


def test_a_leader_serves_others_answer_and_the_dead_are_silent(day: Day) -> None:
    leader = day.world.leader()
    (other, third) = (node for node in A if node != leader)
    day.world.nodes[third].crash()
    assert day.ask(leader) == Answer(Reach.SERVES)
    assert day.ask(other) == Answer(Reach.ANSWERS, "NOT_LEADER")
    assert day.ask(third) == Answer(Reach.SILENT, "no connection")


def test_a_call_says_why_it_got_no_answer(day: Day) -> None:
    ground, failed = day.world.ground, list[str]()

    async def endless(_: Life) -> None:
        await asyncio.sleep(3600)

    async def ask(node: str) -> None:
        try:
            await call(ground, "desk", node, "nothing", endless, 0.5)
        except Unanswered as problem:
            failed.append(str(problem))

    loop = day.world.desk.loop
    assert loop is not None
    day.lose(["a3"])
    tasks: list[asyncio.Task[None]] = []
    for node in ("a3", "b1"):
        loop.enter(lambda node=node: tasks.append(loop.create_task(ask(node))))  # type: ignore[misc]
    day.go(1_000)
    assert failed == ["a3: connection refused", "b1: no answer in time"]


# --- Coordinators -----------------------------------------------------------------------------


def test_the_loss_of_a_site_and_of_its_place_switches_exactly_once(day: Day) -> None:
    day.lose(A)
    day.world.watches["a"].crash()
    day.go(7_000)
    (switched,) = day.said(Kind.SITE_SWITCHED)
    assert switched.startswith("site b instead of a")
    assert day.world.leader() in B
    assert any(line.startswith("site-switch: ") for line in day.said(Kind.SAID))
    assert "served: terminals of site b are served here again" in day.said(Kind.SAID, "watch-w")


def test_one_place_alone_switches_nothing(day: Day) -> None:
    day.lose(A)
    day.world.watches["a"].crash()
    day.world.watches["b"].pause()
    day.go(5_000)
    assert day.said(Kind.SITE_SWITCHED) == []
    day.world.watches["b"].wake()
    day.go(5_000)
    assert len(day.said(Kind.SITE_SWITCHED)) == 1


def test_a_coordinator_that_begins_again_knows_nothing_of_before(day: Day) -> None:
    watch = day.world.watches["w"]
    watch.crash()
    day.go(500)
    watch.start()
    assert (watch.up, watch.life) == (True, 2)
    day.go(2_000)
    assert day.said(Kind.SITE_SWITCHED) == []
    assert [each.kind for each in day.told if each.who == "watch-w"] == [
        Kind.RESTART,
        Kind.CRASH,
        Kind.RESTART,
    ]


def test_a_leader_that_only_terminals_do_not_reach_is_asked_to_hand_over(day: Day) -> None:
    day.go(10_000)  # a young leader is not moved
    leader, network = day.world.leader(), day.world.network
    network.swallow({(watch.name, leader) for watch in day.world.watches.values()}, "front")
    day.go(4_000)
    assert day.world.leader() in set(A) - {leader}
    assert day.said(Kind.SITE_SWITCHED) == []
    assert any("it was asked and hands over to" in line for line in day.said(Kind.SAID))


# --- Operators without loss -------------------------------------------------------------------


def test_a_handover_goes_to_whom_the_operator_names(patient: Day) -> None:
    target = next(node for node in A if node != patient.world.leader())
    patient.world.desk.handover(target)
    patient.go(1_000)
    assert patient.world.leader() == target
    patient.world.desk.handover("b1")
    patient.go(1_000)
    assert patient.world.leader() == target
    (refused,) = patient.said(Kind.REFUSED)
    assert refused.startswith(f"handover to b1: {target} does not hand over: ")


def test_a_switch_goes_through_the_leader(patient: Day) -> None:
    patient.world.desk.switch("b")
    patient.go(2_000)
    assert patient.active()[0] == "b"
    patient.world.desk.switch("b")
    patient.go(1_000)
    assert "site b is the active one already" in patient.said(Kind.REFUSED)[0]


def test_a_switch_past_a_leader_that_is_gone_goes_to_etcd(patient: Day) -> None:
    patient.lose(A)
    patient.world.desk.switch("b")
    patient.go(8_000)
    assert patient.active()[0] == "b"
    assert patient.world.leader() in B


# --- Operators who give something up ----------------------------------------------------------


def test_a_site_in_sync_is_not_promoted_with_loss(patient: Day) -> None:
    patient.world.desk.promote("b")
    patient.go(2_000)
    assert "nothing would be lost" in patient.said(Kind.REFUSED)[0]
    assert patient.active()[0] == "a"


def test_a_promotion_fences_and_lists_what_it_gives_up(patient: Day) -> None:
    patient.degrade()
    patient.world.desk.promote("b")
    patient.go(5_000)
    (forfeit,) = patient.world.desk.given_up
    configuration, _ = patient.world.configuration()
    assert configuration == forfeit.planned
    assert (patient.active()[0], forfeit.to) == ("b", "b")
    assert {replica.node for replica in forfeit.planned.given_up} == set(A)
    assert forfeit.whole
    assert forfeit.listed is not None
    assert forfeit.settled
    assert forfeit.settled <= forfeit.listed
    assert {entry.hash for entry in forfeit.gone}.isdisjoint(each.hash for each in forfeit.kept)
    assert len(patient.said(Kind.PROMOTED)) == 1


def test_a_silent_site_is_promoted_past_only_when_it_is_off(patient: Day) -> None:
    patient.degrade()
    for node in A:
        patient.world.nodes[node].pause()
    patient.world.desk.promote("b")
    patient.go(6_000)
    assert "nobody can confirm that site a is off" in patient.said(Kind.REFUSED)[0]
    assert patient.active()[0] == "a"
    patient.lose(A)
    patient.world.desk.promote("b")
    patient.go(6_000)
    assert patient.active()[0] == "b"
    (forfeit,) = patient.world.desk.given_up
    assert forfeit.listed is None
    assert forfeit.settled


def test_operators_do_one_thing_at_a_time(patient: Day) -> None:
    patient.degrade()
    patient.world.desk.promote("b")
    patient.world.desk.promote("b")
    patient.go(6_000)
    assert len(patient.world.desk.given_up) == 1
    (refused,) = patient.said(Kind.REFUSED)
    assert refused == "promotion of site b: site b is the active one already"


def test_the_same_seed_makes_the_same_day() -> None:
    def trace() -> str:
        made = Day()
        made.lose(A)
        made.go(6_000)
        made.close()
        return made.world.timeline.trace

    assert trace() == trace()
