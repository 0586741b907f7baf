"""What a cluster is made of: sites, nodes, etcd members, addresses and timings, read from TOML.

The file is checked whole before anything is started; whatever is wrong is named with the file,
the key and what was expected there. Everything read is frozen.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from coordinator.configuration import majority
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
    """One settlement node and its three `host:port` addresses."""

    name: Name
    terminals: str
    peers: str
    metrics: str

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Each address after whose it is, in words."""
        return (
            (f"terminals of {self.name}", self.terminals),
            (f"peers of {self.name}", self.peers),
            (f"metrics of {self.name}", self.metrics),
        )


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of nodes in one place."""

    name: Name
    nodes: tuple[Node, ...]


class EtcdMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One etcd member; `place` says with which site it fails, or that it stands apart."""

    name: Name
    place: Name
    client: str
    peers: str

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Each address after whose it is, in words."""
        return (f"clients of {self.name}", self.client), (f"peers of {self.name}", self.peers)


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole cluster. `load` checks it; nothing else should make one."""

    cluster: Name
    active_site: Name
    copies_min: int
    sites: tuple[Site, ...]
    etcd: tuple[EtcdMember, ...]
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

    def site_of(self, node: str) -> str:
        """The site of a node. Raises `KeyError` for a name that is not in the topology."""
        for site in self.sites:
            if any(each.name == node for each in site.nodes):
                return site.name
        raise KeyError(node)

    def settings(self, node: str, folder: Path) -> Settings:
        """What the program of `node` is told, with its data in `folder`. Raises `KeyError`."""
        site = self.site_of(node)
        own = next(each for each in self.nodes if each.name == node)
        return Settings(
            cluster=self.cluster,
            node=node,
            site=site,
            folder=str(folder),
            terminals=own.terminals,
            peers=own.peers,
            metrics=own.metrics,
            etcd=self.etcd_endpoints,
            others=tuple(
                Peer(each.name, self.site_of(each.name), each.peers, each.terminals)
                for each in self.nodes
                if each.name != node
            ),
            timings=self.timings,
            limits=self.limits,
        )


def split(address: str) -> tuple[str, int]:
    """`host:port` as a pair. Raises `ValueError` saying what was expected."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f"expected host:port, such as 127.0.0.1:7101, not {address!r}")
    if not 1024 <= int(port) <= 65535:
        raise ValueError(f"expected a port from 1024 to 65535, not {port}")
    return host, int(port)


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


def check(topology: Topology, path: Path) -> None:
    """The rules that shapes alone do not say. Raises `TopologyError`; `path` is for the message."""
    _check_names(topology, path)
    _check_addresses(topology, path)
    _check_copies(topology, path)
    _check_timings(topology.timings, path)
    for name in Limits.__struct_fields__:
        if getattr(topology.limits, name) < 1:
            raise TopologyError(path, f"limits.{name}", "expected at least 1")


def _check_names(topology: Topology, path: Path) -> None:
    if not topology.sites:
        raise TopologyError(path, "sites", "expected at least one site")
    if len(topology.etcd) not in (1, 3, 5):
        raise TopologyError(
            path,
            "etcd",
            f"expected 1, 3 or 5 members, so that one side of a split is a "
            f"majority, not {len(topology.etcd)}",
        )
    seen: dict[str, str] = {}
    sites: dict[str, str] = {}
    for s, site in enumerate(topology.sites):
        _once(sites, site.name, f"sites[{s}].name", path)
        if not site.nodes:
            raise TopologyError(
                path, f"sites[{s}].nodes", f"expected at least one node in site {site.name!r}"
            )
        for n, node in enumerate(site.nodes):
            _once(seen, node.name, f"sites[{s}].nodes[{n}].name", path)
    for m, member in enumerate(topology.etcd):
        _once(seen, member.name, f"etcd[{m}].name", path)
    if topology.active_site not in sites:
        raise TopologyError(
            path,
            "active_site",
            f"expected one of the sites ({', '.join(sites)}), not {topology.active_site!r}",
        )


def _once(seen: dict[str, str], value: str, key: str, path: Path) -> None:
    if value in seen:
        raise TopologyError(path, key, f"{value!r} is already {seen[value]}; expected another one")
    seen[value] = key


def _check_addresses(topology: Topology, path: Path) -> None:
    seen: dict[str, str] = {}
    for key, address in _addresses(topology):
        try:
            host, port = split(address)
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError as problem:
            words = str(problem)
            if not words.startswith("expected"):
                words = f"expected an IP address before the port, not {address!r}"
            raise TopologyError(path, key, words) from problem
        if not loopback:
            # Nothing here is encrypted or authenticated yet: it must not leave the machine.
            raise TopologyError(
                path, key, f"expected a loopback address (127.0.0.1:{port}), not {address!r}"
            )
        _once(seen, address, key, path)


def _addresses(topology: Topology) -> Iterator[tuple[str, str]]:
    """Every address after its key in the file."""
    for s, site in enumerate(topology.sites):
        for n, node in enumerate(site.nodes):
            yield f"sites[{s}].nodes[{n}].terminals", node.terminals
            yield f"sites[{s}].nodes[{n}].peers", node.peers
            yield f"sites[{s}].nodes[{n}].metrics", node.metrics
    for m, member in enumerate(topology.etcd):
        yield f"etcd[{m}].client", member.client
        yield f"etcd[{m}].peers", member.peers


def _check_copies(topology: Topology, path: Path) -> None:
    possible = sum(majority(len(site.nodes)) for site in topology.sites)
    if not 1 <= topology.copies_min <= possible:
        raise TopologyError(
            path,
            "copies_min",
            f"expected 1 to {possible}, the copies that the nodes' majorities make, "
            f"not {topology.copies_min}",
        )


def _check_timings(timings: Timings, path: Path) -> None:
    for name in Timings.__struct_fields__:
        if getattr(timings, name) < 1:
            raise TopologyError(path, f"timings.{name}", "expected at least 1 millisecond")
    if timings.suspicion_ms < 3 * timings.heartbeat_ms:
        raise TopologyError(
            path,
            "timings.suspicion_ms",
            f"expected at least three heartbeats ({3 * timings.heartbeat_ms}), "
            f"not {timings.suspicion_ms}: one late message is no crash",
        )
    if timings.eviction_ms <= timings.suspicion_ms:
        raise TopologyError(
            path,
            "timings.eviction_ms",
            f"expected more than suspicion_ms ({timings.suspicion_ms}), not {timings.eviction_ms}",
        )
    if timings.lease_ms % 1000 or timings.lease_ms < 2000:
        raise TopologyError(
            path,
            "timings.lease_ms",
            f"expected whole seconds, 2000 or more, as etcd grants them, not {timings.lease_ms}",
        )


_SHAPES: Final[dict[str, type[msgspec.Struct]]] = {
    "": Topology,
    "sites": Site,
    "sites.nodes": Node,
    "etcd": EtcdMember,
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
    if "matching regex" in what:
        what = "expected a name of small letters, digits and hyphens, at most 31, a letter first"
    return TopologyError(path, key, what[:1].lower() + what[1:])
