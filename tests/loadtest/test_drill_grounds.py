"""Where drills are played: what each ground offers, and what it does to the network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest

from deploy.lab.netns.enter import GroundRefused
from deploy.lab.netns.network import Network
from deploy.lab.netns.plan import PlanError
from deploy.topology import Topology
from loadtest.drill.catalogue import Drill, Kind, Limits, find
from loadtest.drill.grounds import (
    CannotBeDone,
    Loopback,
    Namespaces,
    go_to,
    ground_of,
    namespaces,
    terminals_command,
)
from loadtest.faults import (
    Cut,
    CutOff,
    Isolate,
    Lossy,
    NetworkFault,
    PortDown,
    Slow,
    SwitchDown,
    WrongClock,
)
from tests.deploy.small import topology, two_sites

PROJECT = Path(__file__).resolve().parents[2]

WORDS = [
    "ra-rb cut",
    "nothing from ra to rb",
    "nothing from rb to ra",
    "rb-rt cut",
    "nothing from rb to rt",
    "witness isolated",
    "a1 and a2, b1, b2 apart",
    "nothing from a1 to e1, e2, e3",
    "nothing from terminals to a1",
    "sa2 down",
    "port a1-sa2 down",
    "sa1 loses packets",
    "ra-rb loses packets",
    "ra-rb slow",
]
"""What the network calls each of the faults of ground_inside.py."""


def test_on_loopback_nothing_is_cut_and_everybody_is_here() -> None:
    small: Topology = topology()
    with ground_of(find("leader-crash"), small) as ground:
        assert ground == Loopback(small)
        assert terminals_command(ground.launcher, ["locust"]) == ["locust"]
        with pytest.raises(CannotBeDone, match="netns"):
            ground.harm(Cut("between-sites"))
        ground.mend(Cut("between-sites"))


def drill_of(*steps: NetworkFault | WrongClock, ground: Kind) -> Drill:
    return Drill("t", "t", "a", steps, Limits(), ground=ground, name="mine")


def test_a_drill_that_needs_what_a_ground_does_not_offer_is_refused_with_what_helps() -> None:
    drill = drill_of(Cut("between-sites"), ground=Kind.PROCESSES)
    words = 'mine needs network, which ground = "processes" does not offer; ground = "netns"'
    with pytest.raises(CannotBeDone, match=words), ground_of(drill, two_sites()):
        raise AssertionError("it cannot be played there")
    with pytest.raises(CannotBeDone, match=words):
        go_to(drill, print)


def test_a_drill_is_played_wherever_its_needs_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr("deploy.lab.etcd_binary.find", lambda say: gone.append("etcd is here"))
    monkeypatch.setattr("deploy.lab.faketime.find", lambda say: gone.append("faketime is here"))
    monkeypatch.setattr(namespaces, "enter", lambda: gone.append("inside"))
    drill = find("leader-crash")
    go_to(drill, print)
    assert gone == []
    go_to(msgspec.structs.replace(drill, ground=Kind.NETNS), print)
    # Inside the namespaces nothing can be fetched any more.
    assert gone == ["etcd is here", "inside"]
    gone.clear()
    go_to(drill_of(WrongClock("leader", 3600), ground=Kind.NETNS), print)
    assert gone == ["etcd is here", "faketime is here", "inside"]


def test_a_network_outside_of_a_private_ground_is_refused_with_the_reason() -> None:
    with (
        pytest.raises(CannotBeDone, match="private ground"),
        ground_of(find("intersite-cut"), topology()),
    ):
        raise AssertionError("there is no such ground here")


def test_a_drill_whose_ground_cannot_be_had_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise GroundRefused("nsenter is not on PATH: install util-linux")

    monkeypatch.setattr("deploy.lab.etcd_binary.find", lambda say: None)
    monkeypatch.setattr(namespaces, "enter", refuse)
    with pytest.raises(CannotBeDone, match="intersite-cut cannot be played here: nsenter"):
        go_to(find("intersite-cut"), print)


class FakeNetwork:
    """Writes down what is done to it; a place called moon is not in it."""

    def __init__(self) -> None:
        self.topology = two_sites()
        self.done: list[str] = []

    def between(self, place: str, other: str) -> str:
        return f"r{place}-r{other}"

    def delay(self, link: str, milliseconds: float) -> str:
        self.done.append(f"delay {link} {milliseconds}")
        return "netem"

    def isolate(self, site: str) -> None:
        if site == "moon":
            raise PlanError("no place 'moon' in this network; expected one of a, b")
        self.done.append(f"isolate {site}")

    def __getattr__(self, name: str) -> object:
        def act(*args: str | float | Sequence[str]) -> None:
            told = (" ".join(each) if isinstance(each, list) else str(each) for each in args)
            self.done.append(" ".join([name, *told]))

        return act


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
def ground(network: FakeNetwork) -> Namespaces:
    return Namespaces(cast("Network", network))


@pytest.mark.parametrize(
    ("fault", "harmed", "mended"),
    [
        (Cut("between-sites"), "cut ra-rb", "restore ra-rb"),
        (Cut("between-sites", "to"), "one_way ra-rb", "both_ways ra-rb"),
        (Cut("between-sites", "from"), "one_way rb-ra", "both_ways rb-ra"),
        (Cut("terminals-link:b"), "cut rb-rterminals", "restore rb-rterminals"),
        (
            Cut("terminals-link:b", "from"),
            "one_way rterminals-rb",
            "both_ways rterminals-rb",
        ),
        (Isolate("site:b"), "isolate b", "rejoin b"),
        (
            CutOff("a2", "peers"),
            "keep_apart a2 a1 b1 b2 both",
            "reunite a2 a1 b1 b2 both",
        ),
        (CutOff("a2", "etcd", "to"), "keep_apart a2 e1 e2 e3 to", "reunite a2 e1 e2 e3 to"),
        (
            CutOff("a2", "terminals", "from"),
            "keep_apart a2 terminals from",
            "reunite a2 terminals from",
        ),
        (SwitchDown("switch:a/2"), "switch_down a 2", "switch_up a 2"),
        (PortDown("a1", 2), "port_down a1 2", "port_up a1 2"),
        (Lossy("switch:b/1", 0.3), "lossy b 1 0.3", "lossless b 1"),
        (Lossy("between-sites", 0.2), "lossy_link ra-rb 0.2", "lossless_link ra-rb"),
        (Slow("between-sites", 100.0), "delay ra-rb 100.0", "no_delay ra-rb"),
    ],
)
def test_every_fault_of_the_network_is_done_and_undone(
    network: FakeNetwork, ground: Namespaces, fault: NetworkFault, harmed: str, mended: str
) -> None:
    means = ground.harm(fault)
    assert means == ("netem" if isinstance(fault, Slow) else "")
    assert network.done == [harmed]
    ground.mend(fault)
    assert network.done == [harmed, mended]


def test_what_was_not_done_is_not_mended(network: FakeNetwork, ground: Namespaces) -> None:
    ground.mend(SwitchDown("switch:a/1"))
    assert network.done == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SwitchDown("switch:a/1"), SwitchDown("switch:a/1")),
        (Lossy("switch:a/1", 0.1), Lossy("switch:a/1", 0.4)),
        (Slow("between-sites", 100.0), Slow("between-sites", 20.0)),
    ],
)
def test_one_and_the_same_harm_is_not_done_twice_and_outlives_the_attempt(
    network: FakeNetwork, ground: Namespaces, first: NetworkFault, second: NetworkFault
) -> None:
    ground.harm(first)
    before = list(network.done)
    with pytest.raises(CannotBeDone, match="already"):
        ground.harm(second)
    assert network.done == before
    ground.mend(first)
    assert len(network.done) == 2
    ground.harm(second)
    assert len(network.done) == 3


def test_other_harm_over_the_same_link_or_switch_is_done_beside_it(
    network: FakeNetwork, ground: Namespaces
) -> None:
    for fault in (
        Cut("between-sites", "to"),
        Cut("between-sites", "from"),
        Lossy("between-sites", 0.2),
        SwitchDown("switch:a/1"),
        Lossy("switch:a/1", 0.2),
    ):
        ground.harm(fault)
    ground.mend(Cut("between-sites", "to"))
    ground.mend(SwitchDown("switch:a/1"))
    assert network.done[5:] == ["both_ways ra-rb", "switch_up a 1"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Isolate("site:moon"), "no place 'moon'"),
        (Cut("switch:a/1"), "is no link"),
        (SwitchDown("between-sites"), "is no switch"),
        (SwitchDown("switch:a/all"), "is no switch"),
    ],
)
def test_what_cannot_be_done_is_told(ground: Namespaces, fault: NetworkFault, words: str) -> None:
    with pytest.raises(CannotBeDone, match=words):
        ground.harm(fault)


def test_on_a_real_network_every_fault_is_done_and_undone_for_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.loadtest.ground_inside"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["alone"] == [found for words in WORDS for found in ([words], [])]
    assert told["together"] == [WORDS[number:] for number in range(len(WORDS) + 1)]
