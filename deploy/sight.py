"""A cluster as one looks at it from outside: what its nodes say, and what etcd holds.

Gathered at one moment, as well as that can be done, and then only looked at: deploy/view.py shows
it, deploy/alarms.py says what is wrong with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from coordinator.keyvalue import RegistryError
from coordinator.records import ReportRecord
from deploy import written
from deploy.control import NodeStatus, leader_of
from deploy.lab import etcd_member, readiness
from deploy.topology import Topology
from deploy.written import Written

Statuses = Mapping[str, NodeStatus | None]


def without_disks(text: str) -> str:
    """`text` with the nodes' names alone where it names replicas, node/disk: for people."""
    return re.sub(r"/[0-9a-f]{32}\b", "", text)


@dataclass(frozen=True, slots=True)
class SiteSight:
    """One site: its role (active, standby, or empty where nobody knows), and who counts there."""

    name: str
    role: str
    nodes: tuple[str, ...]
    in_sync: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """`statuses` and `etcd` (healthy or not) by name. `written` is None where etcd did not answer,
    and `etcd_problem` says why; `at_ms` is the wall clock."""

    topology: Topology
    statuses: Statuses
    written: Written | None = None
    etcd: Mapping[str, bool] = field(default_factory=dict)
    etcd_problem: str = ""
    at_ms: int = 0

    @property
    def leader(self) -> NodeStatus | None:
        """Who leads and serves."""
        return leader_of(self.statuses)

    @property
    def active_site(self) -> str:
        """By the leader, or else by etcd; empty where neither says."""
        if self.leader is not None:
            return self.leader.active_site
        configuration = self.written.configuration if self.written else None
        return configuration.active_site if configuration else ""

    @property
    def mode(self) -> str:
        """How settlements are replicated: in sync, degraded, batches, one site; empty where nobody
        knows."""
        if len(self.topology.sites) == 1:
            return "one site"
        if self.leader is not None and self.leader.mode:
            return self.leader.mode
        standby = [site for site in self.sites() if site.role == "standby"]
        if not standby:
            return ""
        if any(site.in_sync for site in standby):
            return "in sync"
        return "batches" if any(self.batch_every_ms(site.name) for site in standby) else "degraded"

    def batch_every_ms(self, site: str) -> int:
        """How often `site` is sent what was settled, as the standby that it is; 0: in real time."""
        is_standby = self.active_site not in ("", site)
        return self.topology.site(site).batch_every_ms if is_standby else 0

    def sites(self) -> tuple[SiteSight, ...]:
        """Each site of the topology, in its order."""
        active, leader = self.active_site, self.leader
        configuration = self.written.configuration if self.written else None
        found = []
        for site in self.topology.sites:
            role = "" if not active else "active" if site.name == active else "standby"
            in_sync: tuple[str, ...] = ()
            if leader is not None:
                in_sync = leader.in_sync if role == "active" else leader.standby_in_sync
            elif configuration is not None:
                members = configuration.in_sync.get(site.name, frozenset())
                in_sync = tuple(sorted(map(str, members)))
            nodes = tuple(node.name for node in site.nodes)
            found.append(SiteSight(site.name, role, nodes, in_sync))
        return tuple(found)

    def report_of(self, place: str) -> ReportRecord | None:
        """The last report from `place`."""
        reports = self.written.reports if self.written else ()
        return next((report for report in reports if report.place == place), None)

    def given_up(self) -> frozenset[str]:
        """The disks, as node/disk, that a promotion with loss left behind."""
        configuration = self.written.configuration if self.written else None
        if configuration is not None:
            return frozenset(map(str, configuration.given_up))
        return frozenset(self.leader.given_up) if self.leader else frozenset()


def look(topology: Topology, timeout_s: float = 1.0) -> Sight:
    """Ask nodes, etcd members and etcd's records at the same time; nobody's silence is an error."""
    problem = ""
    found: Written | None = None
    with ThreadPoolExecutor(2 + len(topology.etcd)) as pool:
        asked = pool.submit(written.read, topology)
        healthy = {
            member.name: pool.submit(etcd_member.healthy, member.client, timeout_s)
            for member in topology.etcd
        }
        statuses = readiness.statuses(topology.control_endpoints, timeout_s)
        try:
            found = asked.result()
        except RegistryError as caught:
            problem = str(caught)
        etcd = {name: answer.result() for name, answer in healthy.items()}
    return Sight(topology, statuses, found, etcd, problem, time.time_ns() // 1_000_000)
