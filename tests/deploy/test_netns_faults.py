"""deploy/lab/netns: equipment that fails on a real network, and what still gets through."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.deploy.netns_inside import Inside

COUNT = Path(__file__).with_name("netns_count.py")
PATIENCE_S, SILENCE_S = 20.0, 0.6
MANY = 600

# Pairs within a site, between the sites, and from the other places into site a.
PAIRS = [("a1", "a2"), ("a1", "b1"), ("b1", "a1"), ("cw", "a3"), ("terminals", "a1")]


@pytest.fixture(scope="module")
def built() -> Iterator[Inside]:
    with Inside() as made:
        yield made


@pytest.fixture
def net(built: Inside) -> Iterator[Inside]:
    yield built
    built.call("heal")
    assert built.call("faults") == []
    assert reach(built) == ["ok"] * len(PAIRS)


def reach(net: Inside, patience_s: float = PATIENCE_S) -> list[str]:
    """What comes of trying each of `PAIRS`, with datagrams."""
    return net.probe([(here, "udp", there, patience_s) for here, there in PAIRS])


def counted(
    net: Inside, here: str, there: str, count: int = MANY, switch: int = 0
) -> tuple[int, float]:
    """How many of so many datagrams are answered, and the median of the milliseconds."""
    address = net.call("address", there, switch)
    output = net.run(here, sys.executable, "-ISE", str(COUNT), address, str(count))[1]
    found = json.loads(output)
    return found["answered"], found["median_ms"]


@pytest.mark.parametrize("number", [1, 2])
def test_one_switch_down_and_everything_goes_on_at_once(net: Inside, number: int) -> None:
    net.call("switch_down", "a", number)
    assert counted(net, "a1", "a2", 200)[0] == 200
    assert counted(net, "terminals", "a1", 200)[0] == 200
    assert reach(net) == ["ok"] * len(PAIRS)
    net.call("switch_up", "a", number)
    assert counted(net, "a1", "a2", 200)[0] == 200


def test_connections_move_with_the_switch(net: Inside) -> None:
    assert net.probe([("a1", "hold", "a2", PATIENCE_S)]) == ["ok"]
    for method in ("switch_down", "switch_up"):
        net.call(method, "a", 1)
        assert net.probe([("a1", "talk", "a2", SILENCE_S)]) == ["ok"]


def test_both_switches_down_and_a_site_is_silent_but_for_the_room(net: Inside) -> None:
    net.call("switch_down", "a", 1)
    net.call("switch_down", "a", 2)
    assert net.call("faults") == ["sa1 down", "sa2 down"]
    assert reach(net) == ["unreachable"] * len(PAIRS)
    assert net.probe([("room", "tcp", "a1", PATIENCE_S), ("b1", "tcp", "b2", PATIENCE_S)]) == [
        "ok",
        "ok",
    ]
    net.call("switch_up", "a", 2)
    assert reach(net) == ["ok"] * len(PAIRS)


def test_a_port_down_and_the_host_is_reached_by_the_other_one(net: Inside) -> None:
    net.call("port_down", "a1", 1)
    assert counted(net, "a2", "a1", 200)[0] == 200
    net.call("port_down", "a2", 2)  # no switch has both of them any more
    assert counted(net, "a1", "a2", 200)[0] == 200
    assert reach(net) == ["ok"] * len(PAIRS)
    net.call("port_down", "a1", 2)
    assert reach(net) == ["unreachable", "unreachable", "unreachable", "ok", "unreachable"]
    net.call("port_up", "a1", 2)
    assert reach(net) == ["ok"] * len(PAIRS)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_lossy_switch_loses_its_share_and_nothing_moves(net: Inside, share: float) -> None:
    net.call("lossy", "a", 1, share)
    expected = MANY * (1 - share) ** 2  # there and back
    assert counted(net, "a1", "a2")[0] == pytest.approx(expected, abs=MANY * 0.1)
    assert counted(net, "b1", "b2", 200)[0] == 200
    net.call("switch_down", "a", 1)  # the second one is well
    assert counted(net, "a1", "a2", 200)[0] == 200
    net.call("switch_up", "a", 1)
    net.call("lossless", "a", 1)
    assert counted(net, "a1", "a2", 200)[0] == 200


@pytest.mark.parametrize(("here", "there"), [("a1", "a2"), ("a1", "b1"), ("b1", "a1")])
def test_an_address_for_each_switch_shows_which_one_is_well(
    net: Inside, here: str, there: str
) -> None:
    assert [counted(net, here, there, 100, number)[0] for number in (1, 2)] == [100, 100]
    net.call("lossy", "a", 1, 0.4)
    assert counted(net, here, there, 200, 1)[0] < 150
    assert counted(net, here, there, 200, 2)[0] == 200
    net.call("switch_down", "a", 2)
    assert counted(net, here, there, 20, 2)[0] == 0


def test_a_switch_that_loses_everything_holds_its_links(net: Inside) -> None:
    net.call("lossy", "a", 1, 1.0)
    assert reach(net, SILENCE_S) == ["silent"] * len(PAIRS)


def test_a_lossy_link_between_the_sites(net: Inside) -> None:
    net.call("lossy_link", "ra-rb", 0.3)
    assert counted(net, "a1", "b1")[0] == pytest.approx(MANY * 0.49, abs=MANY * 0.1)
    assert counted(net, "a1", "a2", 200)[0] == 200
    net.call("lossless_link", "ra-rb")
    assert counted(net, "a1", "b1", 200)[0] == 200


@pytest.mark.parametrize(("link", "hears"), [("ra-rb", 0), ("rb-ra", 50)])
def test_one_direction_only(net: Inside, link: str, hears: int) -> None:
    # b1 counts what comes to it from a1, whether or not its answers get back.
    before = datagrams(net, "b1")
    net.call("one_way", link)
    assert net.call("cuts") == {}
    assert counted(net, "a1", "b1", 50)[0] == 0
    assert datagrams(net, "b1") - before == hears
    net.call("both_ways", link)
    assert counted(net, "a1", "b1", 50)[0] == 50


def datagrams(net: Inside, host: str) -> int:
    """How many UDP datagrams have come to a host."""
    text = net.run(host, "cat", "/proc/net/snmp")[1]
    names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
    return int(values[names.index("InDatagrams")])


def test_a_slow_link(net: Inside) -> None:
    assert net.call("delay", "ra-rb", 30) in ("netem", "NFQUEUE")
    answered, median_ms = counted(net, "a1", "b1", 200)
    assert answered == 200
    assert 60 <= median_ms < 120
    assert counted(net, "a1", "a2", 50)[1] < 30
    net.call("delay", "ra-rb", 10)
    net.call("delay", "ra-rw", 20)
    assert 20 <= counted(net, "a1", "b1", 200)[1] < 60
    assert 40 <= counted(net, "cw", "a1", 200)[1] < 100
    net.call("no_delay", "ra-rb")
    assert counted(net, "a1", "b1", 50)[1] < 20
    net.call("heal")
    waiting = [
        each
        for each in psutil.Process(net.process.pid).children(recursive=True)
        if "deploy.lab.netns.waiting" in each.cmdline()
    ]
    assert waiting == []


def test_a_slow_link_that_loses_packets_too(net: Inside) -> None:
    net.call("lossy_link", "ra-rb", 0.3)
    net.call("delay", "ra-rb", 20)
    answered, median_ms = counted(net, "a1", "b1")
    assert answered == pytest.approx(MANY * 0.49, abs=MANY * 0.1)
    assert 40 <= median_ms < 100


def test_two_faults_over_one_link_end_each_for_itself(net: Inside) -> None:
    net.call("lossy_link", "ra-rb", 1.0)
    net.call("one_way", "ra-rb")
    net.call("one_way", "rb-ra")
    net.call("cut", "ra-rb")
    for opposite, link in [("restore", "ra-rb"), ("both_ways", "rb-ra"), ("both_ways", "ra-rb")]:
        net.call(opposite, link)
        assert reach(net, SILENCE_S) == ["ok", "silent", "silent", "ok", "ok"]
    assert net.call("faults") == ["ra-rb loses packets"]
    net.call("lossless_link", "ra-rb")
    assert reach(net) == ["ok"] * len(PAIRS)


def test_two_faults_of_one_switch_end_each_for_itself(net: Inside) -> None:
    net.call("lossy", "a", 1, 1.0)
    net.call("switch_down", "a", 1)
    assert reach(net) == ["ok"] * len(PAIRS)
    net.call("switch_up", "a", 1)
    assert reach(net, SILENCE_S) == ["silent"] * len(PAIRS)


# All addresses of a host: its own, and one for each switch.
ADDRESSES = (0, 1, 2)


def test_a_host_apart_from_some_is_silent_to_them_and_to_nobody_else(net: Inside) -> None:
    net.call("keep_apart", "a1", ["a2", "b1"])
    assert net.call("faults") == ["a1 and a2, b1 apart"]
    for here, there in [("a1", "a2"), ("a2", "a1"), ("b1", "a1")]:
        assert [counted(net, here, there, 20, each)[0] for each in ADDRESSES] == [0, 0, 0]
    assert [counted(net, "a1", "a3", 20, each)[0] for each in ADDRESSES] == [20, 20, 20]
    others = [("a1", "room"), ("room", "a1"), ("a2", "b1"), ("terminals", "a1"), ("a1", "e1")]
    assert net.probe([(here, "tcp", there, PATIENCE_S) for here, there in others]) == ["ok"] * 5
    assert net.probe([("a1", "ping", "b1", SILENCE_S)]) == ["silent"]
    net.call("keep_apart", "a1", ["terminals"])
    net.call("reunite", "a1", ["a2", "b1"])
    assert reach(net, SILENCE_S) == ["ok", "ok", "ok", "ok", "silent"]
    net.call("reunite", "a1", ["terminals"])
    assert [counted(net, "a1", "a2", 20, each)[0] for each in ADDRESSES] == [20, 20, 20]


@pytest.mark.parametrize(("way", "a2_hears", "a1_hears"), [("to", 0, 30), ("from", 30, 0)])
@pytest.mark.parametrize("switch", ADDRESSES)
def test_a_host_is_mute_or_deaf(
    net: Inside, way: str, a2_hears: int, a1_hears: int, switch: int
) -> None:
    net.call("keep_apart", "a1", ["a2"], way)
    for here, there, hears in [("a1", "a2", a2_hears), ("a2", "a1", a1_hears)]:
        before = datagrams(net, there)
        assert counted(net, here, there, 30, switch)[0] == 0  # no answer, either way
        assert datagrams(net, there) - before == hears
    net.call("reunite", "a1", ["a2"], way)
    assert counted(net, "a1", "a2", 30, switch)[0] == 30


def test_a_connection_outlives_a_time_apart(net: Inside) -> None:
    assert net.probe([("a1", "hold", "a2", PATIENCE_S)]) == ["ok"]
    net.call("keep_apart", "a1", ["a2"], "from")
    assert net.probe([("a1", "talk", "a2", SILENCE_S)]) == ["silent"]
    net.call("reunite", "a1", ["a2"], "from")
    assert net.probe([("a1", "talk", "a2", PATIENCE_S)]) == ["ok"]


@pytest.mark.parametrize(
    ("other", "words"),
    [("room", "room is neither"), ("sa1", "sa1 is neither"), ("a9", "no host 'a9'")],
)
def test_only_hosts_of_the_cluster_and_the_terminals_are_kept_apart(
    net: Inside, other: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        net.call("keep_apart", "a1", [other])


def test_a_failed_fault_leaves_the_others_as_they_were(net: Inside) -> None:
    net.call("switch_down", "a", 1)
    net.run("a1", "true")
    with pytest.raises(
        AssertionError, match="expected a share of more than 0 and at most 1, not 2"
    ):
        net.call("lossy", "a", 2, 2)
    with pytest.raises(AssertionError, match="expected more than 0 milliseconds, not 0"):
        net.call("delay", "ra-rb", 0)
    assert net.call("faults") == ["sa1 down"]
