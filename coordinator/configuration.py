"""The configuration record and its arithmetic: which replicas count, and how many are enough.

Pure. The names and numbers are those of docs/protocol.md ("Words"): a write quorum is a majority
of *both* sites' in-sync sets, a takeover quorum meets every write quorum inside one site.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, order=True)
class ReplicaId:
    """One copy of the log: a node and the disk it is on. Another disk is another replica."""

    node: str
    disk: str

    def __str__(self) -> str:
        return f"{self.node}/{self.disk}"

    @classmethod
    def parse(cls, text: str) -> ReplicaId:
        """The inverse of `str()`. Raises `ValueError` unless `text` is `node/disk`."""
        node, slash, disk = text.partition("/")
        if not (node and slash and disk):
            raise ValueError(f"a replica is written node/disk, not {text!r}")
        return cls(node, disk)


class ConfigurationError(ValueError):
    """A configuration that breaks its own rules, or bytes that are not one."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What etcd holds under `configuration`: who counts, where, and how few copies may do.

    `in_sync` maps each site's name to its in-sync set; the active site's is never empty.
    `given_up`: disks that a promotion with loss has left behind (X4); they never count again.
    """

    cluster_id: str
    active_site: str
    in_sync: Mapping[str, frozenset[ReplicaId]] = field(default_factory=dict)
    copies_min: int = 2
    given_up: frozenset[ReplicaId] = frozenset()

    def __post_init__(self) -> None:
        if not self.cluster_id:
            raise ConfigurationError("a configuration needs a cluster id")
        if self.copies_min < 1:
            raise ConfigurationError(f"copies_min is at least 1, not {self.copies_min}")
        if not self.in_sync.get(self.active_site):
            raise ConfigurationError(
                f"the in-sync set of the active site {self.active_site!r} is empty"
            )
        if len(self.members) != sum(map(len, self.in_sync.values())):
            raise ConfigurationError("a replica is in the in-sync sets of two sites")
        if self.members & self.given_up:
            raise ConfigurationError("a disk that was given up is in an in-sync set")

    @property
    def active_set(self) -> frozenset[ReplicaId]:
        """The in-sync set of the active site."""
        return self.in_sync[self.active_site]

    @property
    def members(self) -> frozenset[ReplicaId]:
        """Every replica that counts, in either site."""
        return frozenset().union(*self.in_sync.values())

    def site_of(self, replica: ReplicaId) -> str | None:
        """The site in whose in-sync set `replica` is, or None."""
        for site, members in self.in_sync.items():
            if replica in members:
                return site
        return None

    def with_set(self, site: str, members: Collection[ReplicaId]) -> Configuration:
        """This configuration with another in-sync set for `site`."""
        return replace(self, in_sync={**self.in_sync, site: frozenset(members)})

    @property
    def standby_site(self) -> str | None:
        """The other site; None where there is only one."""
        return next((site for site in sorted(self.in_sync) if site != self.active_site), None)

    def copies(self) -> int:
        """How many disks hold a settlement before it is acknowledged (S6)."""
        return sum(majority(len(members)) for members in self.in_sync.values())

    def to_json(self) -> bytes:
        """Canonical bytes for etcd."""
        return json.dumps(
            {
                "cluster_id": self.cluster_id,
                "active_site": self.active_site,
                "in_sync": {
                    site: sorted(str(member) for member in members)
                    for site, members in sorted(self.in_sync.items())
                },
                "copies_min": self.copies_min,
                "given_up": sorted(str(disk) for disk in self.given_up),
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Configuration:
        """The inverse of `to_json`. Raises `ConfigurationError` on anything else."""
        try:
            raw = json.loads(data)
            for key, kind in (("cluster_id", str), ("active_site", str), ("copies_min", int)):
                if type(raw[key]) is not kind:
                    raise ConfigurationError(f"{key} is not a {kind.__name__}: {raw[key]!r}")
            return cls(
                cluster_id=raw["cluster_id"],
                active_site=raw["active_site"],
                in_sync={
                    site: frozenset(ReplicaId.parse(member) for member in members)
                    for site, members in raw["in_sync"].items()
                },
                copies_min=raw["copies_min"],
                given_up=frozenset(ReplicaId.parse(disk) for disk in raw.get("given_up", ())),
            )
        except ConfigurationError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ConfigurationError(f"not a configuration record: {problem}") from problem


def majority(size: int) -> int:
    """`size // 2 + 1`, and 0 for an empty set, which asks for nothing."""
    return size // 2 + 1 if size else 0


def takeover_size(size: int) -> int | None:
    """How many members meet every majority of `size`; None for an empty set: it cannot be had."""
    return size - majority(size) + 1 if size else None


def is_write_quorum(configuration: Configuration, replicas: Collection[ReplicaId]) -> bool:
    """Is `replicas` a majority of every site's in-sync set? (`W(C)`)"""
    have = frozenset(replicas)
    return all(
        len(members & have) >= majority(len(members)) for members in configuration.in_sync.values()
    )


def is_takeover_quorum(
    configuration: Configuration, site: str, replicas: Collection[ReplicaId]
) -> bool:
    """Does `replicas` meet every write quorum inside `site`? (`R_X(C)`)"""
    members = configuration.in_sync.get(site, frozenset())
    needed = takeover_size(len(members))
    return needed is not None and len(members & frozenset(replicas)) >= needed


def quorum_index(configuration: Configuration, durable: Mapping[ReplicaId, int]) -> int:
    """The highest index that is durable on a write quorum of `configuration`.

    `durable` gives each replica's matched index; a member without one counts as 0. With both
    sets empty there would be no bound, which `Configuration` forbids.
    """
    bounds: list[int] = []
    for members in configuration.in_sync.values():
        if members:
            ranked = sorted((durable.get(member, 0) for member in members), reverse=True)
            bounds.append(ranked[majority(len(members)) - 1])
    return min(bounds)


def switch_refusal(configuration: Configuration, to: str) -> str:
    """Why the active site may not become `to` just now, in words; "" where it may (E5)."""
    refusal = target_refusal(configuration, to)
    if refusal:
        return refusal
    count, copies_min = len(configuration.in_sync[to]), configuration.copies_min
    if majority(count) >= copies_min:
        return ""
    counting = f"{count} replicas count" if count > 1 else f"{count or 'no'} replica counts"
    least = max(1, 2 * (copies_min - 1))  # the smallest set whose majority is copies_min
    return (
        f"site {to} is not in sync: {counting} there, a switch needs {least} "
        f"(copies_min {copies_min}); "
        f"the leader in {configuration.active_site} takes replicas back as they catch up"
    )


def target_refusal(configuration: Configuration, to: str) -> str:
    """Why `to` is no site that could become the active one, in words; "" where it is one."""
    sites = sorted(configuration.in_sync)
    if to not in configuration.in_sync:
        there = f"there are {' and '.join(sites)}" if len(sites) > 1 else f"there is {sites[0]}"
        return f"no site {to}; {there}"
    if to == configuration.active_site:
        return f"site {to} is the active one already"
    return ""
