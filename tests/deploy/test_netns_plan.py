"""deploy/lab/netns/plan: what a topology's network is made of, before anything is built."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from deploy.addresses import NAMESPACES, split
from deploy.lab.netns.plan import Plan, PlanError, plan
from deploy.topology import DEFAULT, FOLDER, Topology, check, load

TOPOLOGIES = sorted(FOLDER.glob("*.toml"))


@pytest.fixture
def topology() -> Topology:
    return load(DEFAULT)


def way(made: Plan, start: str, end: str, down: Collection[str] = (), switch: int = 0) -> list[str]:
    """The hosts through which a packet goes from `start`; it stops where there is no way on.
    `switch`: it goes to the address that is bound to the switches of that number."""
    found = made.hosts[end]
    address = ipaddress.ip_address(found.pinned[switch - 1] if switch else found.address)
    passed, crossed = [start], False
    while passed[-1] != end and len(passed) < 12:
        here = made.hosts[passed[-1]]
        fitting = [
            route
            for route in made.routes
            if route.host == here.name
            and route.crossed == crossed
            and (route.link is None or route.link.name not in down)
            and address in ipaddress.ip_network(f"{route.to}/{route.length}")
        ]
        if not fitting or (len(passed) > 1 and not here.forwards):
            break
        best = min(fitting, key=lambda route: (-route.length, route.metric))
        if best.link is None:
            break
        passed.append(best.link.far(here.name))
        crossed = any(set(passed[-2:]) <= set(own) for own in made.switches.values())
    return passed


def of_switch(made: Plan, *names: str) -> set[str]:
    """The names of all links of these switches."""
    return {link.name for name in names for link in made.at(name)}


def addresses(topology: Topology) -> dict[str, str]:
    """Every address of a topology by whose it is, in words that end with the host's name."""
    found = [pair for node in topology.nodes for pair in node.addresses()]
    return dict([*found, *(pair for member in topology.etcd for pair in member.addresses())])


def paths(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The further addresses of every node and etcd member."""
    nodes = {node.name: node.paths for node in topology.nodes}
    return nodes | {member.name: member.paths for member in topology.etcd}


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_every_address_is_in_the_range_for_tests_and_unique(path: Path) -> None:
    made = plan(load(path))
    given = [each for host in made.hosts.values() for each in (host.address, *host.pinned)]
    assert len(set(given)) == len(given)
    assert all(ipaddress.ip_address(each) in NAMESPACES for each in given)


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_only_the_hosts_in_the_addresses_change(path: Path) -> None:
    asked = load(path)
    made = plan(asked)
    check(made.topology, path)
    for whose, before in addresses(asked).items():
        host = whose.rpartition(" ")[2]
        assert addresses(made.topology)[whose] == f"{made.hosts[host].address}:{split(before)[1]}"
    back = msgspec.structs.replace(made.topology, sites=asked.sites, etcd=asked.etcd)
    assert back == asked


def test_the_network_of_two_sites(topology: Topology) -> None:
    made = plan(topology)
    assert made.routers == {"a": "ra", "b": "rb", "witness": "rw", "terminals": "rt"}
    assert made.switches == {"a": ("sa1", "sa2"), "b": ("sb1", "sb2")}
    between = [link.name for link in made.links if set(link.ends) <= set(made.routers.values())]
    assert between == ["ra-rb", "ra-rw", "rb-rw", "ra-rt", "rb-rt"]
    for name in (*topology.at("a"), *topology.at("b"), *topology.at("witness"), "terminals"):
        place = next((each for each in topology.places() if name in topology.at(each)), "terminals")
        there = made.switches.get(place, (made.routers[place],))
        assert [link.far(name) for link in made.at(name)] == [*there, "room"]
    assert [link.far("sa1") for link in made.at("sa1")] == [*topology.at("a"), "sa2", "ra"]
    forwarding = {*made.routers.values(), *made.switches["a"], *made.switches["b"]}
    assert {host.name for host in made.hosts.values() if host.forwards} == forwarding


def test_the_ways_between_the_places(topology: Topology) -> None:
    made = plan(topology)
    assert way(made, "a1", "b1") == ["a1", "sa1", "ra", "rb", "sb1", "b1"]
    assert way(made, "a1", "e1") == ["a1", "sa1", "e1"]
    assert way(made, "terminals", "b3") == ["terminals", "rt", "rb", "sb1", "b3"]
    assert way(made, "cw", "a2") == ["cw", "rw", "ra", "sa1", "a2"]
    assert way(made, "room", "e3") == ["room", "e3"]
    assert way(made, "b2", "room") == ["b2", "room"]


def test_the_second_switch_takes_over(topology: Topology) -> None:
    made = plan(topology)
    down = of_switch(made, "sa1")
    assert way(made, "a1", "e1", down) == ["a1", "sa2", "e1"]
    assert way(made, "a1", "b1", down) == ["a1", "sa2", "ra", "rb", "sb1", "b1"]
    assert way(made, "b1", "a1", down) == ["b1", "sb1", "rb", "ra", "sa2", "a1"]
    assert way(made, "a1", "b1", of_switch(made, "sa2")) == way(made, "a1", "b1")


def test_without_switches_there_is_no_way_but_to_the_room(topology: Topology) -> None:
    made = plan(topology)
    down = of_switch(made, "sa1", "sa2")
    assert way(made, "a1", "a2", down) == ["a1"]
    assert way(made, "b1", "a1", down) == ["b1", "sb1", "rb", "ra"]
    assert way(made, "a1", "room", down) == ["a1", "room"]


def test_a_port_that_is_down_is_passed_by(topology: Topology) -> None:
    made = plan(topology)
    assert way(made, "a2", "a1", {"a1-sa1"}) == ["a2", "sa1", "sa2", "a1"]
    assert way(made, "a1", "a2", {"a1-sa1"}) == ["a1", "sa2", "a2"]
    assert way(made, "b1", "a1", {"a1-sa1"}) == ["b1", "sb1", "rb", "ra", "sa1", "sa2", "a1"]
    assert way(made, "a1", "a2", {"a1-sa1", "a2-sa2"}) == ["a1", "sa2", "sa1", "a2"]
    assert way(made, "a1", "b1", {"sa1-ra"}) == ["a1", "sa1", "sa2", "ra", "rb", "sb1", "b1"]


def test_nothing_circles(topology: Topology) -> None:
    # Whatever two or three links are down: a packet arrives, or somebody on the way gives it up.
    made = plan(topology)
    links = [link.name for link in made.links if "sa1" in link.ends or "sa2" in link.ends]
    for down in itertools.chain(itertools.combinations(links, 2), itertools.combinations(links, 3)):
        for start, end in (("a1", "a2"), ("b1", "a1"), ("a1", "b1")):
            passed = way(made, start, end, down)
            assert len(set(passed)) == len(passed), (down, passed)


def test_an_address_for_each_switch(topology: Topology) -> None:
    made = plan(topology)
    for number, down in ((1, of_switch(made, "sa2", "sb2")), (2, of_switch(made, "sa1", "sb1"))):
        a, b = f"sa{number}", f"sb{number}"
        assert way(made, "a1", "a2", down, number) == ["a1", a, "a2"]
        assert way(made, "a1", "b1", down, number) == ["a1", a, "ra", "rb", b, "b1"]
        assert way(made, "terminals", "b1", down, number) == ["terminals", "rt", "rb", b, "b1"]
    # Over that switch or not at all, whatever the other one could do.
    assert way(made, "a1", "a2", of_switch(made, "sa2"), 2) == ["a1"]
    assert way(made, "b1", "a2", of_switch(made, "sa2"), 2) == ["b1", "sb2", "rb", "ra"]
    assert way(made, "b1", "a2", {"a2-sa2"}, 2) == ["b1", "sb2", "rb", "ra", "sa2"]


def test_who_is_on_no_switch_is_answered_over_the_switch_that_was_spoken_to(
    topology: Topology,
) -> None:
    made = plan(topology)
    for number in (1, 2):
        for name, router in (("terminals", "rt"), ("e3", "rw")):
            there = [name, router, "ra", f"sa{number}", "a1"]
            assert way(made, name, "a1", switch=number) == there
            assert way(made, "a1", name, switch=number) == there[::-1]
            (own,) = (
                route.source
                for route in made.routes
                if route.host == name and route.to == f"198.18.{64 * number}.0"
            )
            assert own == made.hosts[name].pinned[number - 1]


def test_the_room_reaches_every_address_over_its_own_cables(topology: Topology) -> None:
    made = plan(topology)
    for name in ("a1", "e3", "terminals"):
        for number in (1, 2):
            assert way(made, "room", name, switch=number) == ["room", name]


def test_paths_are_the_addresses_bound_to_switches_where_there_are_several(
    topology: Topology,
) -> None:
    made = plan(topology)
    found = paths(made.topology)
    assert found == {name: made.hosts[name].pinned for name in found}
    assert {len(each) for each in found.values()} == {2}
    sites = tuple(msgspec.structs.replace(site, switches=1) for site in topology.sites)
    single = plan(msgspec.structs.replace(topology, sites=sites)).topology
    assert set(paths(single).values()) == {()}


def test_a_site_with_one_switch(topology: Topology) -> None:
    first, second = topology.sites
    one = msgspec.structs.replace(second, switches=1)
    made = plan(msgspec.structs.replace(topology, sites=(first, one)))
    assert made.switches == {"a": ("sa1", "sa2"), "b": ("sb1",)}
    assert way(made, "b1", "b2") == ["b1", "sb1", "b2"]
    assert len(made.hosts["b1"].pinned) == 1
    assert len(made.hosts["e3"].pinned) == 2  # it is on no switch, and spoken to over either
    assert way(made, "a1", "b1") == ["a1", "sa1", "ra", "rb", "sb1", "b1"]
    assert way(made, "b1", "b2", of_switch(made, "sb1")) == ["b1"]
    assert way(made, "b2", "b1", {"b1-sb1"}) == ["b2", "sb1"]
    with pytest.raises(PlanError, match="no switch 2 at site 'b'; expected one of 1 to 1: sb1"):
        made.switch("b", 2)


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_nothing_goes_around(path: Path) -> None:
    # Between two places there is one way, over the link of their routers, or none.
    topology = load(path)
    made = plan(topology)
    places = {**{place: topology.at(place) for place in topology.places()}, "t": ("terminals",)}
    routers = set(made.routers.values())
    for one, other in itertools.permutations(places, 2):
        for start, end in itertools.product(places[one], places[other]):
            passed = way(made, start, end)
            assert passed[-1] != end or len(routers & set(passed)) == 2, passed
            assert "room" not in passed


def test_a_cut_between_the_sites_is_all_that_is_needed(topology: Topology) -> None:
    made = plan(topology)
    for start, end in itertools.product(topology.at("a"), topology.at("b")):
        assert way(made, start, end)[-1] == end
        assert way(made, start, end, {"ra-rb"})[-1] == "ra"
        assert way(made, end, start, {"ra-rb"})[-1] == "rb"


def test_what_isolates_a_place(topology: Topology) -> None:
    made = plan(topology)
    assert [link.name for link in made.outward("a")] == ["ra-rb", "ra-rw", "ra-rt"]
    assert [link.name for link in made.outward("witness")] == ["ra-rw", "rb-rw"]


def test_a_link_is_found_from_either_side(topology: Topology) -> None:
    made = plan(topology)
    assert made.link("rb-ra") == made.link("ra-rb")
    with pytest.raises(PlanError, match="no link 'ra-e3'"):
        made.link("ra-e3")


def test_ports_and_switches_are_found_by_their_numbers(topology: Topology) -> None:
    made = plan(topology)
    assert made.port("b3", 2).name == "b3-sb2"
    with pytest.raises(PlanError, match="'e3' is on no switch: only the hosts of a site are"):
        made.port("e3", 1)
    with pytest.raises(PlanError, match="no switches at 'witness' in this network; expected one"):
        made.switch("witness", 1)
    with pytest.raises(PlanError, match="no switch 0 at site 'a'"):
        made.switch("a", 0)


@pytest.mark.parametrize("name", ["room", "terminals", "ra", "rt", "sa1", "sb2"])
def test_a_name_that_is_taken_is_refused(topology: Topology, name: str) -> None:
    first, *others = topology.etcd
    renamed = msgspec.structs.replace(first, name=name)
    with pytest.raises(PlanError, match=f"two hosts of the network would be called '{name}'"):
        plan(msgspec.structs.replace(topology, etcd=(renamed, *others)))


def test_a_place_called_as_the_terminals_is_refused(topology: Topology) -> None:
    first, *others = topology.etcd
    moved = msgspec.structs.replace(first, place="terminals")
    with pytest.raises(PlanError, match="a place cannot be called 'terminals'"):
        plan(msgspec.structs.replace(topology, etcd=(moved, *others)))
