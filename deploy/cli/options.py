"""What all commands around a cluster share: which cluster, and how trouble is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from coordinator.initialise import InitialiseError
from coordinator.keyvalue import RegistryError
from coordinator.switching import SwitchRefused
from deploy.control import ControlError
from deploy.lab.etcd_binary import EtcdRefused
from deploy.lab.folder import ClusterError
from deploy.lab.ports import PortBusy
from deploy.lab.processes import HOME, Cluster
from deploy.lab.program import ProgramFailed
from deploy.topology import DEFAULT, Topology, TopologyError, find


class TopologyFile(click.ParamType[Topology]):
    """A path, or the name of one of deploy/topologies without its `.toml`."""

    name = "file or name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Topology:
        """The checked topology."""
        try:
            return find(str(value))
        except TopologyError as problem:
            self.fail(str(problem), param, ctx)


topology_option = click.option(
    "--topology",
    "-t",
    type=TopologyFile(),
    default=str(DEFAULT),
    show_default=DEFAULT.stem,
    help="Which cluster: a file, or a name in deploy/topologies.",
)


@contextmanager
def told() -> Iterator[None]:
    """What can be expected to go wrong becomes one line and exit status 1."""
    try:
        yield
    except (
        ClusterError,
        ControlError,
        EtcdRefused,
        InitialiseError,
        PortBusy,
        ProgramFailed,
        RegistryError,
        SwitchRefused,
    ) as problem:
        raise click.ClickException(str(problem)) from problem


def cluster_of(topology: Topology) -> Cluster:
    """The cluster that `kessai up` starts for this topology."""
    return Cluster(topology, HOME / topology.cluster, say=click.echo)
