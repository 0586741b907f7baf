"""The people on duty: when they wait, when they act, and what of it is an operator's step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from coordinator.settings import Mode, Switching
from deploy.control import NodeStatus
from deploy.lab.processes import Cluster
from deploy.topology import Operators, Topology, find
from loadtest.drill import duty
from loadtest.drill.duty import OPERATOR, SEEN, Duty, Way, way_back
from loadtest.drill.hands import Command, CommandRefused, Hands, NewDisk, Takeover, Vouching
from loadtest.drill.lookout import Lookout
from loadtest.drill.steps import OnDuty
from loadtest.faults import AnyFault, Kill, Lossy, SwitchDown
from tests.loadtest.test_drill_look import leader

LEGACY = find("legacy-2node")
RENEWED = find("renewed-3node")
NETWORK: Sequence[AnyFault] = (SwitchDown("switch:a/1"),)
NODES: Sequence[AnyFault] = (Kill("a1"), Kill("a2"))


def by_hand(topology: Topology, **changes: object) -> Topology:
    """People decide at once, and a person is needed."""
    operators = Operators(decide_s=0.0, network_failures=False)
    switching = Switching(mode=Mode.MANUAL)
    return msgspec.structs.replace(
        topology, operators=operators, switching=switching, coordinators=(), **changes
    )


class FakeCluster:
    """As much of a cluster as people on duty look at; `running` has the names of its programs."""

    def __init__(self, topology: Topology, running: frozenset[str] = frozenset()) -> None:
        self.topology = topology
        self._running = running

    def pid(self, name: str) -> int | None:
        return 7 if name in self._running else None


class FakeLookout:
    """Shows one status after another, the last one for ever; None: nobody leads."""

    def __init__(self, *seen: NodeStatus | None) -> None:
        self._seen = list(seen)

    def leader(self) -> NodeStatus | None:
        return self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]

    def statuses(self) -> dict[str, NodeStatus | None]:
        now = self._seen[0]
        return {"a1": now if now else None, "b1": None}


class FakeHands:
    """Remembers what is typed; `problem` is what every command comes to."""

    def __init__(self, problem: str = "") -> None:
        self.typed: list[Command] = []
        self._problem = problem

    def takeover(self, to: str) -> Takeover:
        return Takeover(to, loss=True)

    def type(self, command: Command) -> str:
        self.typed.append(command)
        if self._problem:
            raise CommandRefused(self._problem)
        return "done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "_LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(duty, "_COUNTED_S", 0.02)


def act(
    topology: Topology,
    lookout: FakeLookout,
    done: Sequence[AnyFault],
    hands: FakeHands,
    within_s: float = 0.01,
) -> list[tuple[str, str]]:
    """What the people put on record, having watched for so long at most."""
    notes: list[tuple[str, str]] = []

    def note(what: str, detail: str) -> None:
        notes.append((what, detail))

    people = Duty(
        cast("Cluster", FakeCluster(topology)),
        cast("Lookout", lookout),
        note,
        Path("nowhere"),
        cast("Hands", hands),
    )
    people.act(OnDuty(within_s), done)
    return notes


def settling(*counts: int) -> FakeLookout:
    """One leader, with so many settlements at each look."""
    return FakeLookout(*(replace(leader(), settled=count) for count in counts))


@pytest.mark.parametrize(
    ("topology", "done", "way"),
    [
        (RENEWED, NODES, Way.BY_ITSELF),
        (RENEWED, NETWORK, Way.BY_ITSELF),
        (LEGACY, NETWORK, Way.REPAIR),
        (LEGACY, (Lossy("switch:a/1", 0.3),), Way.REPAIR),
        (LEGACY, NODES, Way.PEOPLE),
        (LEGACY, (*NETWORK, *NODES), Way.PEOPLE),
        (LEGACY, (), Way.PEOPLE),
        (by_hand(RENEWED), NODES, Way.PEOPLE),
        (find("one-site-3node"), NODES, Way.ONE_SITE),
    ],
)
def test_what_can_be_waited_for(topology: Topology, done: Sequence[AnyFault], way: Way) -> None:
    assert way_back(topology, done) is way


def test_where_settling_goes_on_nobody_does_anything() -> None:
    hands = FakeHands()
    assert act(by_hand(LEGACY), settling(10, 20, 30), NODES, hands, 30.0) == []
    assert hands.typed == []


@pytest.mark.parametrize("counts", [(10,), (10, 20, 20), (20, 10, 30, 30)])
def test_what_was_left_over_is_not_settling(counts: tuple[int, ...]) -> None:
    hands = FakeHands()
    act(by_hand(LEGACY), settling(*counts), NODES, hands)
    assert hands.typed == [Takeover("b", loss=True)]


def test_a_person_lets_the_standby_take_over_with_one_command() -> None:
    hands = FakeHands()
    notes = act(by_hand(LEGACY), FakeLookout(None), NODES, hands)
    assert hands.typed == [Takeover("b", loss=True)]
    steps = [detail for what, detail in notes if what == OPERATOR]
    assert steps == ["kessai site switch --to b --allow-data-loss"]
    assert notes[-1] == (SEEN, "done")


def test_a_command_that_is_refused_was_typed_all_the_same() -> None:
    notes = act(by_hand(LEGACY), FakeLookout(None), NODES, FakeHands("etcd does not answer"))
    assert [what for what, _ in notes] == [SEEN, OPERATOR, SEEN]
    assert notes[-1][1] == "the standby cannot take over: etcd does not answer"


def test_for_equipment_of_the_network_people_wait_for_the_repair() -> None:
    hands = FakeHands()
    (note,) = act(by_hand(LEGACY), FakeLookout(None), NETWORK, hands)
    assert note == (SEEN, f"settling has stopped; {Way.REPAIR}")
    assert hands.typed == []


def test_what_comes_back_before_the_decision_needs_no_person() -> None:
    hands = FakeHands()
    topology = by_hand(LEGACY)
    patient = msgspec.structs.replace(topology, operators=Operators(decide_s=5.0))
    away = [None] * 40
    back = [replace(leader(), settled=count) for count in (1, 2, 3, 4)]
    notes = act(patient, FakeLookout(*away, *back), NODES, hands)
    assert hands.typed == []
    assert notes[-1] == (SEEN, "settling came back before anybody had decided")


def test_a_node_that_was_given_up_gets_a_new_disk() -> None:
    hands = FakeHands()
    returned = [
        replace(leader(), settled=count, given_up=("a1/d",), in_sync=()) for count in (1, 2, 3)
    ]
    notes = act(by_hand(LEGACY), FakeLookout(*returned), NODES, hands, 30.0)
    assert hands.typed == [NewDisk("a1")]
    assert (OPERATOR, "kessai new-disk a1") in notes
    assert notes[-1][1].startswith("a1 does not count yet after")


@pytest.mark.parametrize(
    ("running", "vouched"), [((), True), (("e1",), True), (("a2",), False), (("b1",), True)]
)
def test_a_person_vouches_for_what_can_be_seen(running: tuple[str, ...], vouched: bool) -> None:
    cluster = FakeCluster(LEGACY, frozenset(running))
    assert Vouching(cast("Cluster", cluster)).vouches_off("a") is vouched
