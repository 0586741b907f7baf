"""A cluster of stubs and real etcd members on a network of its own; the argument is its folder.

Prints in JSON what the room sees of it: whole, with site a isolated, and whole again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deploy.lab import etcd_binary, etcd_member
from deploy.lab.netns.enter import enter, inside
from deploy.lab.netns.network import Network
from deploy.lab.processes import Cluster
from tests.deploy import small


def seen(cluster: Cluster) -> dict[str, list[str]]:
    """Which nodes answer the room, and which etcd members have a leader."""
    members = cluster.topology.etcd
    return {
        "nodes": [name for name, said in cluster.statuses(10.0).items() if said],
        "etcd": [each.name for each in members if etcd_member.healthy(each.client, 5.0)],
    }


def main() -> None:
    """Everything, once."""
    if not inside():
        etcd_binary.find()  # it may have to be fetched: inside, there is no way to the mirror
    enter()
    found = []
    with Network(small.two_sites()) as network:
        made = small.stub_cluster(Path(sys.argv[1]), network.topology, launcher=network.launcher)
        with made as cluster:
            cluster.start()
            found.append(seen(cluster))
            network.isolate("a")
            alone, *others = network.topology.etcd_endpoints
            while etcd_member.healthy(alone) or not all(map(etcd_member.healthy, others)):
                pass  # the alone one has not noticed yet, or the others have not agreed
            found.append(seen(cluster))
            network.rejoin("a")
            cluster.await_etcd(60.0)
            found.append(seen(cluster))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
