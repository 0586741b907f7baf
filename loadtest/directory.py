"""The nodes of a cluster as terminals know them: every address of every site."""

from __future__ import annotations

from coordinator.addresses import over_each
from deploy.topology import Topology


def endpoints(topology: Topology) -> tuple[str, ...]:
    """Where terminals connect: all nodes of all sites, in the topology's order."""
    return tuple(node.terminals for node in topology.nodes)


def sites(topology: Topology) -> dict[str, str]:
    """In which site each of these endpoints is."""
    return {node.terminals: site.name for site in topology.sites for node in site.nodes}


def paths(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The other addresses of the node at each of these endpoints, where it has any."""
    return {
        node.terminals: over_each(node.terminals, node.paths)[1:]
        for node in topology.nodes
        if node.paths
    }
