"""The etcd that commands which change the sites are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.etcd_cluster import EtcdCluster


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """A three-member etcd; each test has a cluster's name of its own on it."""
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster
