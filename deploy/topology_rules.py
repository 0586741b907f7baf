"""What a topology must fulfil beyond the shapes of its tables, one rule after the other.

Each rule says the key that breaks it and what was expected there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from coordinator.configuration import majority
from coordinator.settings import Switching
from deploy import addresses
from node.ledger.commands import Service
from node.settings import Limits, Timings

if TYPE_CHECKING:
    from deploy.topology import Topology

WITNESS: Final = "witness"
"""The place that is no site: it only helps to decide between the two."""

Broken = tuple[str, str]
"""A key of the file, and what was expected there."""


def broken(topology: Topology) -> Iterator[Broken]:
    """The rules that `topology` breaks, the most telling first. Ask for the first one only: a rule
    may lean on those before it."""
    yield from _names(topology)
    yield from _places(topology)
    yield from _coordinators(topology)
    yield from _addresses(topology)
    yield from _standby(topology)
    yield from _copies(topology)
    yield from _timings(topology.timings)
    yield from _switching(topology.switching)
    if topology.operators.decide_s < 0:
        yield "operators.decide_s", f"expected 0 seconds or more, not {topology.operators.decide_s}"
    for name in Limits.__struct_fields__:
        if getattr(topology.limits, name) < 1:
            yield f"limits.{name}", "expected at least 1"


def _names(topology: Topology) -> Iterator[Broken]:
    if not 1 <= len(topology.sites) <= 2:
        yield "sites", f"expected one or two sites, not {len(topology.sites)}"
    if len(topology.etcd) not in (1, 3, 5):
        yield (
            "etcd",
            f"expected 1, 3 or 5 members, so that one side of a split is a "
            f"majority, not {len(topology.etcd)}",
        )
    seen: dict[str, str] = {}
    sites: dict[str, str] = {}
    for s, site in enumerate(topology.sites):
        yield from _once(sites, site.name, f"sites[{s}].name")
        if site.name == WITNESS:
            yield f"sites[{s}].name", f"expected another one: {WITNESS!r} is the place of no site"
        if not site.nodes:
            yield f"sites[{s}].nodes", f"expected at least one node in site {site.name!r}"
        if site.switches not in (1, 2):
            yield f"sites[{s}].switches", f"expected 1 or 2 network switches, not {site.switches}"
        for n, node in enumerate(site.nodes):
            yield from _once(seen, node.name, f"sites[{s}].nodes[{n}].name")
    for m, member in enumerate(topology.etcd):
        yield from _once(seen, member.name, f"etcd[{m}].name")
    for c, coordinator in enumerate(topology.coordinators):
        yield from _once(seen, coordinator.name, f"coordinators[{c}].name")
    if topology.active_site not in sites:
        yield (
            "active_site",
            f"expected one of the sites ({', '.join(sites)}), not {topology.active_site!r}",
        )


def _once(seen: dict[str, str], value: str, key: str) -> Iterator[Broken]:
    if value in seen:
        yield key, f"{value!r} is already {seen[value]}; expected another one"
    seen[value] = key


def _places(topology: Topology) -> Iterator[Broken]:
    sites = [site.name for site in topology.sites]
    known = (*sites, WITNESS)
    placed = [(f"etcd[{m}].place", each.place) for m, each in enumerate(topology.etcd)]
    placed += [
        (f"coordinators[{c}].place", each.place) for c, each in enumerate(topology.coordinators)
    ]
    for key, place in placed:
        if place not in known:
            yield key, f"expected a site or the witness ({', '.join(known)}), not {place!r}"
    if len(sites) == 1:
        return
    for site in sites:
        here = [each.name for each in topology.etcd if each.place == site]
        if not here:
            yield "etcd", f"expected a member in site {site!r}, so that it can hold without others"
        if len(here) > len(topology.etcd) // 2:
            yield (
                "etcd",
                f"expected no majority in site {site!r} ({', '.join(here)}): "
                f"with that site lost, nobody could be granted the lead",
            )


def _coordinators(topology: Topology) -> Iterator[Broken]:
    if not topology.coordinators:
        return
    if len(topology.sites) == 1:
        yield "coordinators", "expected none: with one site there is nothing to switch to"
    needed = (*(site.name for site in topology.sites), WITNESS)
    here = {each.place for each in topology.coordinators}
    missing = [place for place in needed if place not in here]
    if missing:
        yield (
            "coordinators",
            f"expected one in each of three places ({', '.join(needed)}), of which two agree; "
            f"none in {', '.join(missing)}",
        )
    places: dict[str, str] = {}
    for c, each in enumerate(topology.coordinators):
        yield from _once(places, each.place, f"coordinators[{c}].place")


def _addresses(topology: Topology) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for key, address in _keyed(topology):
        try:
            addresses.check(address)
        except ValueError as problem:
            yield key, str(problem)
        yield from _once(seen, address, key)


def _keyed(topology: Topology) -> Iterator[tuple[str, str]]:
    """Every address after its key in the file; a path once for every port that it is used with."""
    for s, site in enumerate(topology.sites):
        for n, node in enumerate(site.nodes):
            key = f"sites[{s}].nodes[{n}]"
            yield f"{key}.terminals", node.terminals
            yield f"{key}.peers", node.peers
            yield f"{key}.metrics", node.metrics
            yield from _along(f"{key}.paths", node.paths, (node.terminals, node.peers))
    for m, member in enumerate(topology.etcd):
        yield f"etcd[{m}].client", member.client
        yield f"etcd[{m}].peers", member.peers
        yield from _along(f"etcd[{m}].paths", member.paths, (member.client, member.peers))


def _along(
    key: str, paths: tuple[str, ...], listened: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for p, host in enumerate(paths):
        for address in listened:
            yield f"{key}[{p}]", f"{host}:{address.rpartition(':')[2]}"


def _standby(topology: Topology) -> Iterator[Broken]:
    for s, site in enumerate(topology.sites):
        key = f"sites[{s}].batch_every_ms"
        if site.batch_every_ms < 0:
            yield key, f"expected 0 (in real time) or milliseconds, not {site.batch_every_ms}"
        elif site.batch_every_ms and site.name == topology.active_site:
            yield key, f"expected none for {site.name!r}: it is the active site at the first start"
        for name in site.services:
            if name not in Service.__members__:
                known = ", ".join(Service.__members__)
                yield f"sites[{s}].services", f"expected some of {known}, not {name!r}"


def _copies(topology: Topology) -> Iterator[Broken]:
    counted = [site for site in topology.sites if not site.batch_every_ms]
    possible = sum(majority(len(site.nodes)) for site in counted)
    if not 1 <= topology.copies_min <= possible:
        yield (
            "copies_min",
            f"expected 1 to {possible}, the copies that the nodes' majorities make"
            + (" without the site that is fed in batches" * (len(counted) < len(topology.sites)))
            + f", not {topology.copies_min}",
        )


def _timings(timings: Timings) -> Iterator[Broken]:
    for name in Timings.__struct_fields__:
        if getattr(timings, name) < 1:
            yield f"timings.{name}", "expected at least 1 millisecond"
    if timings.suspicion_ms < 3 * timings.heartbeat_ms:
        yield (
            "timings.suspicion_ms",
            f"expected at least three heartbeats ({3 * timings.heartbeat_ms}), "
            f"not {timings.suspicion_ms}: one late message is no crash",
        )
    if timings.eviction_ms <= timings.suspicion_ms:
        yield (
            "timings.eviction_ms",
            f"expected more than suspicion_ms ({timings.suspicion_ms}), not {timings.eviction_ms}",
        )
    if timings.lease_ms % 1000 or timings.lease_ms < 2000:
        yield (
            "timings.lease_ms",
            f"expected whole seconds, 2000 or more, as etcd grants them, not {timings.lease_ms}",
        )


def _switching(switching: Switching) -> Iterator[Broken]:
    for name in Switching.__struct_fields__:
        if name != "mode" and getattr(switching, name) < 1:
            yield f"switching.{name}", "expected at least 1 millisecond"
    slowest_ms = switching.probe_ms + switching.probe_deadline_ms
    if switching.fresh_ms < slowest_ms:
        yield (
            "switching.fresh_ms",
            f"expected at least probe_ms and probe_deadline_ms together ({slowest_ms}), "
            f"not {switching.fresh_ms}: a report must be fresh until the next one can be there",
        )
    if switching.move_leader_ms >= switching.agree_ms:
        yield (
            "switching.move_leader_ms",
            f"expected less than agree_ms ({switching.agree_ms}), not {switching.move_leader_ms}: "
            f"the leader is moved within its site first",
        )
