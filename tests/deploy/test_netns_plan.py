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


def way(made: Plan, start: str, end: str, cut: Collection[str] = ()) -> list[str]:
    """The hosts through which a packet goes from `start`; it stops where there is no way on."""
    address = ipaddress.ip_address(made.hosts[end].address)
    passed = [start]
    while passed[-1] != end and len(passed) < 10:
        here = made.hosts[passed[-1]]
        fitting = [
            route
            for route in made.routes
            if route.host == here.name
            and address in ipaddress.ip_network(f"{route.to}/{route.length}")
        ]
        if not fitting or (len(passed) > 1 and not here.forwards):
            break
        best = max(fitting, key=lambda route: route.length)
        if best.link.name in cut:
            break
        passed.append(best.link.far(here.name))
    return passed


def addresses(topology: Topology) -> dict[str, str]:
    """Every address of a topology by whose it is, in words that end with the host's name."""
    found = [pair for node in topology.nodes for pair in node.addresses()]
    return dict([*found, *(pair for member in topology.etcd for pair in member.addresses())])


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_every_address_is_in_the_range_for_tests_and_unique(path: Path) -> None:
    made = plan(load(path))
    given = [host.address for host in made.hosts.values()]
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
    between = [link.name for link in made.links if set(link.ends) <= set(made.routers.values())]
    assert between == ["ra-rb", "ra-rw", "rb-rw", "ra-rt", "rb-rt"]
    for name in (*topology.at("a"), *topology.at("b"), *topology.at("witness"), "terminals"):
        (link,) = (link for link in made.links if name in link.ends)
        place = next((each for each in topology.places() if name in topology.at(each)), "terminals")
        assert link.far(name) == made.routers[place]
    assert {link.far("room") for link in made.links if "room" in link.ends} == set(
        made.routers.values()
    )
    assert [host.name for host in made.hosts.values() if host.forwards] == list(
        made.routers.values()
    )


def test_the_ways_between_the_places(topology: Topology) -> None:
    made = plan(topology)
    assert way(made, "a1", "b1") == ["a1", "ra", "rb", "b1"]
    assert way(made, "a1", "e1") == ["a1", "ra", "e1"]
    assert way(made, "terminals", "b3") == ["terminals", "rt", "rb", "b3"]
    assert way(made, "cw", "a2") == ["cw", "rw", "ra", "a2"]
    assert way(made, "room", "e3") == ["room", "rw", "e3"]
    assert way(made, "b2", "room") == ["b2", "rb", "room"]


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_nothing_goes_around(path: Path) -> None:
    # Between two places there is one way, over the link of their routers, or none.
    topology = load(path)
    made = plan(topology)
    places = {**{place: topology.at(place) for place in topology.places()}, "t": ("terminals",)}
    for one, other in itertools.permutations(places, 2):
        for start, end in itertools.product(places[one], places[other]):
            passed = way(made, start, end)
            assert passed[-1] != end or len(passed) == 4, passed
            assert "room" not in passed


def test_a_cut_between_the_sites_is_all_that_is_needed(topology: Topology) -> None:
    made = plan(topology)
    for start, end in itertools.product(topology.at("a"), topology.at("b")):
        assert way(made, start, end)[-1] == end
        assert way(made, start, end, cut={"ra-rb"}) == [start, "ra"]
        assert way(made, end, start, cut={"ra-rb"}) == [end, "rb"]


def test_what_isolates_a_place(topology: Topology) -> None:
    made = plan(topology)
    assert [link.name for link in made.outward("a")] == ["ra-rb", "ra-rw", "ra-rt"]
    assert [link.name for link in made.outward("witness")] == ["ra-rw", "rb-rw"]


def test_a_link_is_found_from_either_side(topology: Topology) -> None:
    made = plan(topology)
    assert made.link("rb-ra") == made.link("ra-rb")
    with pytest.raises(PlanError, match="no link 'ra-e3'"):
        made.link("ra-e3")


@pytest.mark.parametrize("name", ["room", "terminals", "ra", "rt"])
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
