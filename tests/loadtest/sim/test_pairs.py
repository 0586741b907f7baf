"""What struck in the middle of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from loadtest.sim.happening import Kind
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.pairs import Fault, Manoeuvre, Pair
from node.core.inputs import HandoverAsked, SwitchAsked
from node.core.messages import Append, Fence
from node.core.takeover import Takeover
from tests.loadtest.sim.watched import Watched

PAIRS = {"a": ["a1", "a2"], "b": ["b1", "b2"]}


def struck(
    world: Watched, coverage: Coverage, kind: Kind, who: str, detail: str = ""
) -> Counter[Pair]:
    """What a fault strikes in the middle of."""
    before = Counter(coverage.pairs)
    world.tell(kind, who, detail)
    return coverage.pairs - before


def serving() -> tuple[Watched, Coverage]:
    """a1 serves two sites."""
    coverage = Coverage()
    world = Watched(PAIRS, coverage)
    world.elect("a1")
    world.work(2)
    return world, coverage


def campaigning(world: Watched) -> str:
    """a2 has asked for the key of a1, and has no answer."""
    world.crash("a1", refuse=True)
    while not world.requests:
        world.tick(ms=10)
    return "a2"


def fencing(world: Watched) -> str:
    """a2 has won and has no promise of others yet."""
    world.crash("a1", refuse=True)
    for _ in range(200):
        world.tick(ms=10)
        for request in list(world.requests):
            world.execute(request)
            world.answer(request)
        if isinstance(world.replica("a2").role, Takeover):
            return "a2"
    raise AssertionError("a2 does not win")


def starting(world: Watched) -> str:
    """a2 leads, and nobody has its EpochStart."""
    fencing(world)
    world.persist("a2")
    assert world.leading("a2")
    return "a2"


def draining(world: Watched) -> str:
    """a1 is asked to switch while something is on its way."""
    world.propose("a1")
    world.step("a1", SwitchAsked("b"))
    return "a1"


def switching(world: Watched) -> str:
    """a1 has asked etcd for the switch."""
    world.step("a1", SwitchAsked("b"))
    return "a1"


def handing_over(world: Watched) -> str:
    """a1 hands over to a2."""
    world.step("a1", HandoverAsked(""))
    return "a1"


def sending(world: Watched) -> str:
    """a1 has asked etcd to evict b2."""
    world.etcd_away = True
    world.crash("b2")
    world.run(600)
    assert world.leading("a1").change is not None
    return "a1"


def without_b2(world: Watched) -> None:
    """b2 was evicted, and all it needs is pruned."""
    world.crash("b2")
    world.run(1_000)
    world.work(20)
    world.slow_fetches.add("b2")
    world.restart("b2")


def making(world: Watched) -> str:
    """a1 is to make a snapshot for b2."""
    without_b2(world)
    for _ in range(100):
        world.tick(ms=10)
        for name in world.live():
            world.watch(name)
            world.persist(name)
            world.load(name)
        if world.nodes["a1"].making:
            return "a1"
        for packet in list(world.packets):
            world.deliver(packet)
    raise AssertionError("no snapshot is wanted")


def getting(world: Watched) -> str:
    """b2 fetches a snapshot."""
    without_b2(world)
    world.run_until(lambda: world.nodes["b2"].fetch is not None)
    return "b2"


def installing(world: Watched) -> str:
    """b2 has a snapshot, and is making it its own."""
    getting(world)
    world.fetch("b2")
    return "b2"


def fenced(world: Watched) -> str:
    """a2 has vowed to a promotion."""
    world.begin_promotion("b", ["a2"])
    world.persist("a2")
    return "a2"


AMID: dict[Manoeuvre, Callable[[Watched], str]] = {
    Manoeuvre.SERVING: lambda world: "a1",
    Manoeuvre.CAMPAIGN: campaigning,
    Manoeuvre.FENCING: fencing,
    Manoeuvre.STARTING: starting,
    Manoeuvre.SENT: sending,
    Manoeuvre.HANDOVER: handing_over,
    Manoeuvre.DRAINING: draining,
    Manoeuvre.SWITCHING: switching,
    Manoeuvre.MAKING: making,
    Manoeuvre.GETTING: getting,
    Manoeuvre.INSTALLING: installing,
    Manoeuvre.PROMOTION: fenced,
}


@pytest.mark.parametrize("manoeuvre", AMID)
def test_a_fault_strikes_what_its_victim_is_in_the_middle_of(manoeuvre: Manoeuvre) -> None:
    world, coverage = serving()
    who = AMID[manoeuvre](world)
    other = next(name for name in world.live() if name not in (who, "a1"))
    assert struck(world, coverage, Kind.CLOCK, who)[manoeuvre, Fault.CLOCK] == 1
    assert not struck(world, coverage, Kind.CLOCK, other)[manoeuvre, Fault.CLOCK]
    assert struck(world, coverage, Kind.ETCD_AWAY, "etcd")[manoeuvre, Fault.ETCD] == 1
    assert struck(world, coverage, Kind.CRASH, other)[manoeuvre, Fault.OTHER] == 1
    assert struck(world, coverage, Kind.CRASH, who)[manoeuvre, Fault.CRASH] == 1
    assert not struck(world, coverage, Kind.CUT, "all")[manoeuvre, Fault.CUT]


def test_what_is_over_is_struck_no_more() -> None:
    world, coverage = serving()
    installing(world)
    world.run(500)
    assert not struck(world, coverage, Kind.PAUSE, "b2")
    assert set(struck(world, coverage, Kind.PAUSE, "a1")) == {(Manoeuvre.SERVING, Fault.PAUSE)}


def test_a_file_of_an_epoch_that_is_over_is_fetched_in_vain() -> None:
    world, coverage = serving()
    who = getting(world)
    world.begin_promotion("b", [who])
    world.persist(who)
    caught = struck(world, coverage, Kind.PAUSE, who)
    assert set(caught) == {(Manoeuvre.PROMOTION, Fault.PAUSE)}


def test_a_disk_is_lost_in_the_middle_of_what_its_process_left_undone() -> None:
    world, coverage = serving()
    who = fencing(world)
    world.crash(who)
    assert struck(world, coverage, Kind.DISK_LOST, who)[Manoeuvre.FENCING, Fault.DISK_LOST] == 1
    world.restart(who)
    assert not struck(world, coverage, Kind.DISK_LOST, who)


def test_a_fenced_replica_is_free_once_it_obeys_again() -> None:
    world, coverage = serving()
    fenced(world)
    world.drop(kind=Append)
    world.expire("promotion")
    world.run_until(lambda: bool(world.serving()), 5_000)
    world.run(500)
    assert not world.select(kind=Fence)
    assert not struck(world, coverage, Kind.CUT, "all")[Manoeuvre.PROMOTION, Fault.CUT]


def test_only_answers_that_decide_something_count() -> None:
    world, coverage = serving()
    who = sending(world)
    lost = struck(world, coverage, Kind.ANSWER_LOST, who, "write of events")
    assert not lost
    lost = struck(world, coverage, Kind.ANSWER_LOST, who, "write of configuration")
    assert lost == {(Manoeuvre.SENT, Fault.ANSWER): 1}


def test_an_answer_that_no_node_waited_for_concerns_a_promotion_only() -> None:
    world, coverage = serving()
    decision = "write of configuration and leader"
    assert not struck(world, coverage, Kind.ANSWER_LOST, "desk", decision)
    fenced(world)
    lost = struck(world, coverage, Kind.ANSWER_LOST, "desk", decision)
    assert lost == {(Manoeuvre.PROMOTION, Fault.ANSWER): 1}
