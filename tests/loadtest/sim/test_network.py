"""What links do to what they carry."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.network import Manners, Network
from loadtest.sim.timeline import Dice, Timeline


@dataclass
class Somebody:
    """A host."""

    name: str
    loop: VirtualLoop | None
    site: str = "a"


@dataclass
class Town:
    """Two hosts and the wires between them."""

    manners: Manners = field(default_factory=Manners)
    told: list[Told] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timeline = Timeline()
        self.network = Network(self.timeline, Dice(1), self.told.append, self.manners)
        for number, name in enumerate(("one", "other")):
            loop = VirtualLoop(name, self.timeline, random.Random(number))
            self.network.attach(Somebody(name, loop))

    def send(self, what: str, *, back: bool = False, stream: bool = False) -> None:
        source, target = ("other", "one") if back else ("one", "other")
        self.network.send(
            source,
            target,
            lambda: self.heard.append(what),
            what,
            stream=stream,
            refused=lambda: self.heard.append(f"{what} refused"),
        )

    def down(self, name: str) -> None:
        host = self.network.hosts[name]
        assert isinstance(host, Somebody)
        host.loop = None

    def kinds(self) -> set[Kind]:
        return {told.kind for told in self.told if isinstance(told, Happened)}


def test_what_is_sent_arrives_later() -> None:
    town = Town()
    town.send("a")
    assert town.heard == []
    town.timeline.run(100.0)
    assert town.heard == ["a"]


def test_messages_may_overtake_each_other() -> None:
    town = Town(Manners(late=0.3))
    for number in range(50):
        town.send(str(number))
    town.timeline.run(1_000.0)
    assert sorted(town.heard, key=int) == [str(number) for number in range(50)]
    assert town.heard != sorted(town.heard, key=int)


def test_some_are_lost_and_that_is_told() -> None:
    town = Town(Manners(loss=0.5))
    for number in range(100):
        town.send(str(number))
    town.timeline.run(1_000.0)
    assert 20 < len(town.heard) < 80
    assert len(town.told) == 100 - len(town.heard)
    assert town.kinds() == {Kind.LOST}


def test_some_come_twice_but_never_on_a_connection_of_their_own() -> None:
    town = Town(Manners(repeat=1.0))
    town.send("message")
    town.send("call", stream=True)
    town.timeline.run(1_000.0)
    assert sorted(town.heard) == ["call", "message", "message"]


def test_a_link_is_cut_in_one_direction_and_swallows_what_is_under_way() -> None:
    town = Town()
    town.send("under way")
    town.network.swallow({("one", "other")}, "test")
    town.send("after")
    town.send("back", back=True)
    town.timeline.run(100.0)
    assert town.heard == ["back"]
    town.network.mend()
    town.send("mended")
    town.timeline.run(200.0)
    assert "under way" not in town.heard
    assert {"back", "mended"} <= set(town.heard)


def test_some_of_what_was_sent_over_a_cut_link_comes_when_it_is_mended() -> None:
    town = Town()
    town.network.swallow({("one", "other")}, "test")
    for number in range(40):
        town.send(str(number))
    town.send("call", stream=True)
    town.timeline.run(5_000.0)
    assert town.heard == []
    town.network.mend()
    town.timeline.run(6_000.0)
    assert 0 < len(town.heard) < 20
    assert "call" not in town.heard


def test_a_host_without_a_process_refuses_and_one_behind_a_cut_says_nothing() -> None:
    town = Town()
    town.down("other")
    town.send("a")
    town.timeline.run(100.0)
    assert town.heard == ["a refused"]
    town.network.swallow({("other", "one")}, "the way back")
    town.send("b")
    town.timeline.run(200.0)
    assert town.heard == ["a refused"]


def test_a_cut_changes_nothing_of_what_comes_after_it() -> None:
    times = []
    for cut in (False, True):
        town = Town()
        if cut:
            town.network.swallow({("one", "other")}, "test")
        town.send("first")
        town.timeline.run(100.0)
        town.network.mend()
        town.send("second")
        while "second" not in town.heard:
            town.timeline.run(town.timeline.now + 0.01)
        times.append(round(town.timeline.now, 1))
    assert times[0] == times[1]
