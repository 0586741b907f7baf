"""Who is hurt: the parts that a fault names, cast among those who are there at this moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from deploy.lab import etcd_leader
from deploy.topology import Topology
from loadtest.drill.lookout import LOOK_EVERY_S, DrillFailed, Lookout
from loadtest.faults import SITE, SWITCH, AnyFault, Kill, NobodyToHurt, PortDown, Stage, cast

_LEADER_WITHIN_S: Final = 5.0  # a busy machine may not answer at the first look


class NothingToHurt(DrillFailed, NobodyToHurt):
    """This topology has no such equipment, also when all is well: the drill is not for it."""


class Victims:
    """Casts the faults of one drill. `touched`: whom it has hurt so far; others are preferred."""

    def __init__(self, topology: Topology, lookout: Lookout) -> None:
        self._topology = topology
        self._lookout = lookout
        self._active = topology.active_site  # as the last leader said that was seen
        self.touched: set[str] = set()

    def of(self, fault: AnyFault, down: Iterable[str]) -> tuple[str, ...]:
        """The names that a fault hurts together, all different. `down`: whatever faults that are
        not healed took away.

        Raises `NothingToHurt`, and `DrillFailed` where nobody plays the part now.
        """
        if isinstance(fault, PortDown):
            (node,) = self.playing([fault.target], down)
            self.playing([f"{SWITCH}{self._topology.site_of(node)}/{fault.switch}"], down)
        return self.playing(parts_of(fault), down)

    def playing(self, parts: Sequence[str], down: Iterable[str]) -> tuple[str, ...]:
        """The names behind these parts, as `of` finds them."""
        self._all_exist(parts)
        deadline = time.monotonic() + _LEADER_WITHIN_S
        while True:
            try:
                return self._cast(parts, self._stage(parts, frozenset(down)))
            except NobodyToHurt as problem:
                if time.monotonic() >= deadline:
                    raise DrillFailed(str(problem)) from problem
            time.sleep(LOOK_EVERY_S)

    def within(self, target: str) -> set[str]:
        """The target, and all that stands there where it is a place."""
        place = target.removeprefix(SITE) if target.startswith(SITE) else ""
        return {target, *(self._topology.at(place) if place else ())}

    def _cast(self, parts: Sequence[str], stage: Stage) -> tuple[str, ...]:
        """One part after the other: whoever was chosen for one plays no other."""
        found: dict[str, None] = {}
        for part in parts:
            if part == "follower" and stage.leader is None:
                raise NobodyToHurt("nobody leads, so nobody follows")
            for name in cast(part, stage):
                found[name] = None
                stage = _without(stage, self.within(name))
        return tuple(found)

    def _all_exist(self, parts: Sequence[str]) -> None:
        topology = self._topology
        nodes = next(site.nodes for site in topology.sites if site.name == self._active)
        well = self._among(nodes[0].name, topology.etcd[0].name, frozenset(), frozenset())
        try:
            self._cast(parts, well)
        except NobodyToHurt as problem:
            raise NothingToHurt(str(problem)) from problem

    def _stage(self, parts: Sequence[str], down: frozenset[str]) -> Stage:
        leader = self._lookout.leader()
        if leader is not None and leader.active_site:
            self._active = leader.active_site
        asked = "etcd-leader" in parts or "etcd-member" in parts
        return self._among(
            leader.node if leader else None,
            etcd_leader.leader(self._topology.etcd) if asked else "",
            down,
            frozenset(self.touched),
        )

    def _among(
        self, leader: str | None, etcd_leads: str, down: frozenset[str], touched: frozenset[str]
    ) -> Stage:
        topology = self._topology
        return Stage(
            leader=leader,
            nodes=tuple(node.name for node in topology.nodes),
            etcd=tuple(member.name for member in topology.etcd),
            down=down,
            touched=touched,
            sites={site.name: tuple(node.name for node in site.nodes) for site in topology.sites},
            active=self._active,
            places=topology.places(),
            etcd_leader=etcd_leads,
            switches={site.name: site.switches for site in topology.sites},
        )


def parts_of(fault: AnyFault) -> tuple[str, ...]:
    """The parts that a fault names."""
    return (fault.target, *(fault.also if isinstance(fault, Kill) else ()))


def _without(stage: Stage, gone: set[str]) -> Stage:
    return replace(stage, down=stage.down | gone)
