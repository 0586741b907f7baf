"""How one etcd member of the lab is started, and whether it is healthy."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from coordinator.addresses import over_each
from deploy.topology import EtcdMember, Topology


def command(etcd: Path, topology: Topology, member: EtcdMember, data: Path) -> list[str]:
    """The command line of `member` with its data in `data`.

    The least lease etcd grants is one and a half election timeouts, so these are kept well below
    the leader's lease. fsync stays on: a promise granted by etcd must outlive a crash.
    """
    clients = ",".join(f"http://{each}" for each in over_each(member.client, member.paths))
    options = {
        "name": member.name,
        "data-dir": data,
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": f"http://{member.peers}",
        "initial-advertise-peer-urls": f"http://{member.peers}",
        "initial-cluster": ",".join(
            f"{each.name}=http://{each.peers}" for each in topology.etcd
        ),
        "initial-cluster-token": f"kessai-{topology.cluster}",
        "initial-cluster-state": "new",
        "heartbeat-interval": 50,
        "election-timeout": 500,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "10m",
        "quota-backend-bytes": 256 * 1024 * 1024,
        "log-level": "warn",
    }  # fmt: skip
    return [str(etcd), *(f"--{name}={value}" for name, value in options.items())]


def healthy(client: str, timeout_s: float = 1.0) -> bool:
    """Does the member at `client` (`host:port`) have a leader and answer a linearizable read?"""
    connection = http.client.HTTPConnection(client, timeout=timeout_s)
    try:
        connection.request("GET", "/health")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("health") == "true"
