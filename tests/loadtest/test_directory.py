"""loadtest/directory: what terminals know of the nodes' addresses."""

from __future__ import annotations

from deploy.lab.netns.plan import plan
from loadtest import directory
from tests.deploy import small


def test_a_node_with_one_address_has_no_paths() -> None:
    assert directory.paths(small.two_sites()) == {}


def test_paths_stand_under_the_main_address_and_have_its_port() -> None:
    topology = plan(small.two_sites()).topology
    found = directory.paths(topology)
    assert tuple(found) == directory.endpoints(topology)
    node = topology.nodes[0]
    port = node.terminals.rpartition(":")[2]
    assert found[node.terminals] == tuple(f"{path}:{port}" for path in node.paths)
    assert len(node.paths) == 2
