"""deploy/lab/etcd_member: the addresses at which a member listens for clients."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deploy.lab import etcd_member
from tests.deploy import small


def test_a_member_listens_for_clients_at_every_address_of_its_host() -> None:
    topology = small.topology()
    plain = topology.etcd[0]
    both = msgspec.structs.replace(plain, client="127.0.0.1:7301", paths=("127.0.0.2", "127.0.0.3"))
    urls = "http://127.0.0.1:7301,http://127.0.0.2:7301,http://127.0.0.3:7301"
    for member, listened in ((plain, f"http://{plain.client}"), (both, urls)):
        command = etcd_member.command(Path("etcd"), topology, member, Path("data"))
        assert f"--listen-client-urls={listened}" in command
        assert f"--advertise-client-urls={listened}" in command
        assert f"--listen-peer-urls=http://{plain.peers}" in command
