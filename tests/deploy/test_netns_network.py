"""deploy/lab/netns: who reaches whom, over real TCP, UDP and ICMP, while links are cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.netns_inside import Inside, Probe

A = {"a1", "a2", "a3", "e1", "ca"}
B = {"b1", "b2", "b3", "e2", "cb"}
W = {"e3", "cw"}
TERMINALS = {"terminals"}
ROOM = {"room"}
EVERYBODY = A | B | W | TERMINALS | ROOM

# Whoever must answer is waited for; whoever must not is given this long to be heard after all.
PATIENCE_S, SILENCE_S = 20.0, 0.6

Reach = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def built() -> Iterator[Inside]:
    with Inside() as made:
        yield made


@pytest.fixture
def net(built: Inside) -> Iterator[Inside]:
    yield built
    built.call("heal")


def between(one: set[str], other: set[str]) -> Reach:
    """Do two hosts belong to these two places, one to each?"""
    return lambda here, there: (here in one and there in other) or (here in other and there in one)


# There is no link between the witness and the terminals, and no way around.
never = between(W, TERMINALS)


def assert_reach(net: Inside, cut: Reach, as_cut: str, hows: tuple[str, ...] = ("tcp",)) -> None:
    """Every host reaches every other one but those that are `cut`, where it goes `as_cut`."""
    probes: list[Probe] = []
    expected: list[str] = []
    told: set[tuple[str, str]] = set()
    for here, there in itertools.permutations(sorted(EVERYBODY), 2):
        if never(here, there):
            continue
        answer = as_cut if cut(here, there) else "ok"
        for how in hows:
            if answer == "unreachable":
                # A router says so only once a second to one sender: each is to hear it once.
                if (here, how) in told:
                    continue
                told.add((here, how))
            probes.append((here, how, there, SILENCE_S if answer == "silent" else PATIENCE_S))
            expected.append(answer)
    found = net.probe(probes)
    wrong = [
        f"{here} to {there} by {how}: {came}, expected {should}"
        for (here, how, there, _), came, should in zip(probes, found, expected, strict=True)
        if came != should
    ]
    assert not wrong, "\n".join(wrong)


def nobody(here: str, there: str) -> bool:
    return False


def test_the_witness_and_the_terminals_have_no_way_to_each_other(net: Inside) -> None:
    found = net.probe(
        [("e3", "tcp", "terminals", PATIENCE_S), ("terminals", "tcp", "cw", PATIENCE_S)]
    )
    assert found == ["unreachable", "unreachable"]


def test_every_host_is_there(net: Inside) -> None:
    assert set(net.ready) == EVERYBODY


def test_whole_everybody_reaches_everybody(net: Inside) -> None:
    assert_reach(net, nobody, "", hows=("tcp", "udp", "ping"))


@pytest.mark.parametrize(
    ("link", "apart"),
    [
        ("ra-rb", between(A, B)),
        ("rt-ra", between(A, TERMINALS)),
        ("rb-rw", between(B, W)),
        ("e3-rw", between({"e3"}, EVERYBODY - {"e3"} - ROOM)),
        ("room-b1", between({"b1"}, ROOM)),
    ],
)
@pytest.mark.parametrize(
    ("flavour", "as_cut"), [("black-hole", "silent"), ("unreachable", "unreachable")]
)
def test_a_cut_link_parts_its_ends_and_nobody_else(
    net: Inside, link: str, apart: Reach, flavour: str, as_cut: str
) -> None:
    net.call("cut", link, flavour)
    assert_reach(net, apart, as_cut)
    net.call("restore", link)
    assert_reach(net, nobody, "")


def test_a_cut_stops_every_protocol_silently(net: Inside) -> None:
    net.call("cut", "ra-rb")
    assert_reach(net, between(A, B), "silent", hows=("udp", "ping"))


@pytest.mark.parametrize("link", ["ra-rb", "b1-sb1", "a1-sa1"])
@pytest.mark.parametrize(("here", "there"), [("a1", "b1"), ("b1", "a1")])
def test_a_cut_swallows_both_directions(net: Inside, link: str, here: str, there: str) -> None:
    net.call("cut", link)
    before = datagrams(net, there)
    assert net.probe([(here, "udp", there, SILENCE_S)]) == ["silent"]
    assert datagrams(net, there) == before  # not just the echo was lost
    net.call("restore", link)
    assert net.probe([(here, "udp", there, PATIENCE_S)]) == ["ok"]
    assert datagrams(net, there) > before


def datagrams(net: Inside, host: str) -> int:
    """How many UDP datagrams have come to a host."""
    text = net.run(host, "cat", "/proc/net/snmp")[1]
    names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
    return int(values[names.index("InDatagrams")])


def test_an_unreachable_link_says_so_to_every_protocol(net: Inside) -> None:
    net.call("cut", "ra-rb", "unreachable")
    assert_reach(net, between(A, B), "unreachable", hows=("udp", "ping"))


@pytest.mark.parametrize(
    ("flavour", "as_cut"), [("black-hole", "silent"), ("unreachable", "unreachable")]
)
def test_an_isolated_site_goes_on_inside_and_the_room_sees_it(
    net: Inside, flavour: str, as_cut: str
) -> None:
    net.call("isolate", "a", flavour)
    assert_reach(net, between(A, B | W | TERMINALS), as_cut)
    net.call("rejoin", "a")
    assert_reach(net, nobody, "")


def test_a_site_can_lose_the_terminals_alone(net: Inside) -> None:
    link = net.call("between", "b", "terminals")
    net.call("cut", link)
    assert_reach(net, between(B, TERMINALS), "silent")
    net.call("restore", link)
    assert_reach(net, nobody, "")


def test_the_room_forwards_nothing(net: Inside, built: Inside) -> None:
    with Inside() as other:  # the change cannot be taken back
        other.detour()
        assert_reach(other, between(A, B), "silent")


def test_a_link_cut_twice_over_is_whole_when_both_reasons_are_gone(net: Inside) -> None:
    net.call("isolate", "a")
    net.call("isolate", "b")
    net.call("cut", "ra-rb", "unreachable")
    assert net.call("cuts")["ra-rb"] == "unreachable"
    net.call("restore", "ra-rb")
    net.call("rejoin", "a")
    assert net.call("cuts") == dict.fromkeys(["ra-rb", "rb-rw", "rb-rt"], "black-hole")
    assert_reach(net, between(B, A | W | TERMINALS), "silent")
    net.call("rejoin", "b")
    assert net.call("cuts") == {}
    assert_reach(net, nobody, "")


def test_a_cut_changes_its_flavour(net: Inside) -> None:
    for flavour, as_cut in (
        ("black-hole", "silent"),
        ("unreachable", "unreachable"),
        ("black-hole", "silent"),
        ("black-hole", "silent"),
    ):
        net.call("cut", "ra-rb", flavour)
        assert net.probe([("a1", "tcp", "b1", SILENCE_S)]) == [as_cut]


@pytest.mark.parametrize("flavour", ["black-hole", "unreachable"])
def test_a_connection_survives_a_short_cut(net: Inside, flavour: str) -> None:
    assert net.probe([("a1", "hold", "b1", PATIENCE_S)]) == ["ok"]
    assert net.probe([("a1", "talk", "b1", PATIENCE_S)]) == ["ok"]
    net.call("cut", "ra-rb", flavour)
    assert net.probe([("a1", "talk", "b1", SILENCE_S)]) == ["silent"]
    net.call("restore", "ra-rb")
    assert net.probe([("a1", "talk", "b1", PATIENCE_S)]) == ["ok"]


def test_a_program_becomes_the_launched_process_on_its_host(net: Inside) -> None:
    for host in ("a1", "terminals", "room"):
        pid, number = net.run(host, "sh", "-c", "echo $$")
        assert int(number) == pid
    views = {net.run(host, "readlink", "/proc/self/ns/net")[1] for host in ("a1", "b1", "room")}
    assert len(views) == 3


@pytest.mark.parametrize(
    ("call", "args", "words"),
    [
        ("cut", ["ra-rc"], "no link 'ra-rc' in this network; expected one of a1-sa1,"),
        ("isolate", ["c"], "no place 'c' in this network; expected one of a, b, witness"),
        (
            "launcher",
            ["a9", ""],
            "no host 'a9' in this network; expected one of room, ra, sa1, sa2, a1",
        ),
    ],
)
def test_unknown_names_are_refused(net: Inside, call: str, args: list[str], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        net.call(call, *args)
    assert_reach(net, nobody, "")
