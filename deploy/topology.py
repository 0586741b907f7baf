"""What a cluster is made of: sites, nodes, etcd members, addresses and timings, read from TOML.

The file is checked whole before anything is started; whatever is wrong is named with the file,
the key and what was expected there. Everything read is frozen.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Final

import msgspec

from coordinator.addresses import over_each
from coordinator.settings import CoordinatorSettings, Mode, Switching, Watched
from deploy import topology_rules
from node.settings import Limits, Peer, Settings, Timings

FOLDER: Final = Path(__file__).resolve().parent / "topologies"
DEFAULT: Final = FOLDER / "renewed-3node.toml"

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


class TopologyError(ValueError):
    """A topology that cannot be used; the message names the file, the key and the expectation."""

    def __init__(self, path: Path, key: str, expected: str) -> None:
        super().__init__(f"{path}: {key}: {expected}" if key else f"{path}: {expected}")
        self.key = key


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One settlement node and its three `host:port` addresses.

    `paths`: more IP addresses of its host, each reached over one of the site's switches alone; the
    ports are the same there.
    """

    name: Name
    terminals: str
    peers: str
    metrics: str
    paths: tuple[str, ...] = ()

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Each address after whose it is, in words."""
        return (
            (f"terminals of {self.name}", self.terminals),
            (f"peers of {self.name}", self.peers),
            (f"metrics of {self.name}", self.metrics),
        )


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of nodes in one place; every host there is wired to each of its network switches.

    `batch_every_ms`: while it is the standby it is not kept in sync, but sent what was settled once
    in so long; 0: it is kept in sync in real time. `services`: what is offered while it is active,
    by the names of proto/settlement.proto; none named: all.
    """

    name: Name
    nodes: tuple[Node, ...]
    switches: int = 2
    batch_every_ms: int = 0
    services: tuple[str, ...] = ()


class Operators(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The people on duty, as far as drills play them. `decide_s`: from the outage to the moment at
    which they begin to act. `network_failures`: may they let the standby take over for equipment of
    the network that has failed?
    """

    decide_s: float = 10.0
    network_failures: bool = True


class EtcdMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One etcd member; `place` says with which site it fails, or that it stands apart.

    `paths`: as those of a node.
    """

    name: Name
    place: Name
    client: str
    peers: str
    paths: tuple[str, ...] = ()

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Each address after whose it is, in words."""
        return (f"clients of {self.name}", self.client), (f"peers of {self.name}", self.peers)


class Coordinator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of those who watch the sites; `place` says where it stands, and with what it fails."""

    name: Name
    place: Name


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole cluster. `load` checks it; nothing else should make one."""

    cluster: Name
    active_site: Name
    copies_min: int
    sites: tuple[Site, ...]
    etcd: tuple[EtcdMember, ...]
    coordinators: tuple[Coordinator, ...] = ()
    switching: Switching = Switching()
    operators: Operators = Operators()
    timings: Timings = Timings()
    limits: Limits = Limits()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of all sites, in the file's order."""
        return tuple(node for site in self.sites for node in site.nodes)

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        """Where etcd's clients connect."""
        return tuple(member.client for member in self.etcd)

    @property
    def control_endpoints(self) -> dict[str, str]:
        """Node name to the `host:port` that operators speak to."""
        return {node.name: node.peers for node in self.nodes}

    def places(self) -> tuple[str, ...]:
        """The sites in the file's order, then where else something stands (the witness)."""
        found = [site.name for site in self.sites]
        found += [member.place for member in self.etcd]
        found += [coordinator.place for coordinator in self.coordinators]
        return tuple(dict.fromkeys(found))

    def at(self, place: str) -> tuple[str, ...]:
        """The names of all that stands at `place`: nodes, etcd members, coordinators.

        Raises `KeyError` for a place where nothing stands.
        """
        if place not in self.places():
            raise KeyError(place)
        found = [node.name for site in self.sites if site.name == place for node in site.nodes]
        found += [member.name for member in self.etcd if member.place == place]
        found += [each.name for each in self.coordinators if each.place == place]
        return tuple(found)

    def site(self, name: str) -> Site:
        """The site of this name. Raises `KeyError`."""
        for site in self.sites:
            if site.name == name:
                return site
        raise KeyError(name)

    def site_of(self, node: str) -> str:
        """The site of a node. Raises `KeyError` for a name that is not in the topology."""
        return self._site_of(node).name

    def _site_of(self, node: str) -> Site:
        for site in self.sites:
            if any(each.name == node for each in site.nodes):
                return site
        raise KeyError(node)

    def settings(self, node: str, folder: Path) -> Settings:
        """What the program of `node` is told, with its data in `folder`. Raises `KeyError`."""
        site = self._site_of(node)
        own = next(each for each in site.nodes if each.name == node)
        return Settings(
            cluster=self.cluster,
            node=node,
            site=site.name,
            folder=str(folder),
            terminals=own.terminals,
            peers=own.peers,
            metrics=own.metrics,
            etcd=_clients(self.etcd),
            others=tuple(
                Peer(
                    each.name,
                    other.name,
                    each.peers,
                    each.terminals,
                    each.paths,
                    other.batch_every_ms,
                )
                for other in self.sites
                for each in other.nodes
                if each.name != node
            ),
            timings=self.timings,
            limits=self.limits,
            paths=own.paths,
            services=site.services,
            batch_every_ms=site.batch_every_ms,
        )

    def coordinator_settings(self, name: str) -> CoordinatorSettings:
        """What the coordinator `name` is told. Raises `KeyError`."""
        own = next((each for each in self.coordinators if each.name == name), None)
        if own is None:
            raise KeyError(name)
        # Its own place's member first: that one does not go with another place.
        nearest = sorted(self.etcd, key=lambda member: member.place != own.place)
        return CoordinatorSettings(
            cluster=self.cluster,
            name=name,
            place=own.place,
            etcd=_clients(nearest),
            nodes=tuple(
                Watched(each.name, self.site_of(each.name), each.terminals, each.peers, each.paths)
                for each in self.nodes
            ),
            switching=self.switching,
            etcd_deadline_ms=self.timings.etcd_deadline_ms,
        )


def _clients(members: Iterable[EtcdMember]) -> tuple[str, ...]:
    """Where these are reached: each one's first address, then each one's next, and so on."""
    every = [over_each(member.client, member.paths) for member in members]
    return tuple(each for row in zip_longest(*every) for each in row if each is not None)


def load(path: Path) -> Topology:
    """Read and check a topology file. Raises `TopologyError`."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as problem:
        raise TopologyError(path, "", f"cannot be read: {problem.strerror}") from problem
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise TopologyError(path, "", f"is not TOML: {problem}") from problem
    try:
        topology = msgspec.convert(raw, Topology)
    except msgspec.ValidationError as problem:
        raise _reworded(path, str(problem)) from problem
    check(topology, path)
    return topology


def find(name: str) -> Topology:
    """The topology that `FOLDER` has under this name, or that of a file. Raises `TopologyError`."""
    named = FOLDER / f"{name}.toml"
    return load(named if named.exists() else Path(name))


def check(topology: Topology, path: Path) -> None:
    """The rules that shapes alone do not say (deploy/topology_rules.py). Raises `TopologyError`;
    `path` is for the message."""
    for key, expected in topology_rules.broken(topology):
        raise TopologyError(path, key, expected)


_SHAPES: Final[dict[str, type[msgspec.Struct]]] = {
    "": Topology,
    "sites": Site,
    "sites.nodes": Node,
    "etcd": EtcdMember,
    "coordinators": Coordinator,
    "switching": Switching,
    "operators": Operators,
    "timings": Timings,
    "limits": Limits,
}


def _reworded(path: Path, words: str) -> TopologyError:
    """msgspec's words (`Expected `int`, got `str` - at `$.sites[0].x``) as ours."""
    what, _, at = words.partition(" - at `$")
    key = at.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.*)`", what)
    shape = _SHAPES.get(re.sub(r"\[[0-9]+\]", "", key))
    if unknown and shape is not None:
        name, known = unknown.group(1), shape.__struct_fields__
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        return TopologyError(path, f"{key}.{name}" if key else name, f"unknown key; {hint}")
    missing = re.search(r"missing required field `(.*)`", what)
    if missing:
        name = missing.group(1)
        return TopologyError(path, f"{key}.{name}" if key else name, "expected, and missing")
    if key == "switching.mode":
        what = f"expected one of {', '.join(Mode)}: {what[:1].lower()}{what[1:]}"
    if "matching regex" in what:
        what = "expected a name of small letters, digits and hyphens, at most 31, a letter first"
    return TopologyError(path, key, what[:1].lower() + what[1:])
