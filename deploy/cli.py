"""The commands that run and look at a cluster: init, up, down, status, logs, audit, handover."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from coordinator.initialise import InitialiseError
from coordinator.keyvalue import RegistryError
from deploy import view
from deploy.alarms import alarms
from deploy.audit import audit as audit_cluster
from deploy.control import Control, ControlError, leader_of
from deploy.first import first_configuration
from deploy.lab.etcd_binary import EtcdRefused
from deploy.lab.folder import ClusterError
from deploy.lab.ports import PortBusy
from deploy.lab.processes import HOME, Cluster
from deploy.lab.program import ProgramFailed
from deploy.sight import Sight, look
from deploy.topology import DEFAULT, FOLDER, Topology, TopologyError, load

_FOLLOW_EVERY_S: Final = 0.2


class TopologyFile(click.ParamType[Topology]):
    """A path, or the name of one of deploy/topologies without its `.toml`."""

    name = "file or name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Topology:
        """The checked topology."""
        named = FOLDER / f"{value}.toml"
        try:
            return load(named if named.exists() else Path(str(value)))
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
    ) as problem:
        raise click.ClickException(str(problem)) from problem


def cluster_of(topology: Topology) -> Cluster:
    """The cluster that `kessai up` starts for this topology."""
    return Cluster(topology, HOME / topology.cluster, say=click.echo)


@click.command()
@topology_option
def init(topology: Topology) -> None:
    """Make the first configuration of a running cluster (`up` does this too)."""
    with told():
        made = first_configuration(topology)
    words = "made" if made.created else "was there already, and is left as it is"
    members = ", ".join(sorted(map(str, made.configuration.members)))
    click.echo(f"the configuration of {topology.cluster} {words}; in sync: {members}")


@click.command()
@topology_option
def up(topology: Topology) -> None:
    """Start etcd and the nodes, and leave them running. Starts what is missing if some run."""
    cluster = cluster_of(topology)
    with told(), _terminate_as_interrupt():
        cluster.start()
    click.echo(f"\n{topology.cluster} is up; data and logs are in {cluster.root}\n")
    for node in topology.nodes:
        click.echo(
            f"  {node.name}  terminals {node.terminals}  control {node.peers}  "
            f"metrics http://{node.metrics}/metrics"
        )
    click.echo(f"  etcd  {', '.join(topology.etcd_endpoints)}\n")
    click.echo("kessai status: how it is    kessai pay: a payment    kessai down: stop it")


@click.command()
@topology_option
def down(topology: Topology) -> None:
    """Stop the cluster that `up` started; its data stays."""
    cluster = cluster_of(topology)
    running = cluster.running()
    with told():
        cluster.stop()
    click.echo(f"stopped {', '.join(running)}" if running else "nothing was running")


@click.command()
@topology_option
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def status(topology: Topology, as_json: bool) -> None:
    """Sites, nodes and coordinators, and what needs attention. Exit status 0: it settles."""
    sight = look(topology)
    if as_json:
        click.echo(view.document(sight).decode())
    else:
        show(sight)
    sys.exit(0 if sight.leader else 1)


def show(sight: Sight, *, nodes: bool = True) -> None:
    """For people: a headline, the sites, the nodes (if wanted), the coordinators, the alarms."""
    console = Console(highlight=False)
    console.print(view.headline(sight))
    if len(sight.topology.sites) > 1:
        console.print(view.sites(sight))
    if nodes:
        console.print(view.table(sight))
    if sight.topology.coordinators:
        console.print(view.coordinators(sight))
    for line in view.reasons(sight):
        console.print(escape(line), style="dim", soft_wrap=True)
    for alarm in alarms(sight):
        console.print(f"[red]alarm[/]  {escape(alarm)}", soft_wrap=True)


@click.command()
@topology_option
@click.argument("node")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--lines", "-n", default=100, show_default=True, help="How many to begin with.")
def logs(topology: Topology, node: str, follow: bool, lines: int) -> None:
    """What NODE (or an etcd member) wrote."""
    with told():
        path = cluster_of(topology).log(node)
    if not path.exists():
        raise click.ClickException(f"{node} has written nothing yet: there is no {path}")
    with path.open("rb") as log:
        for line in log.read().splitlines()[-lines:]:
            click.echo(line)
        while follow:
            written = log.read()
            if written:
                click.echo(written, nl=False)
            elif log.tell() > os.fstat(log.fileno()).st_size:
                log.seek(0)
            time.sleep(_FOLLOW_EVERY_S)


@click.command()
@topology_option
@click.option(
    "--rederive/--no-rederive",
    default=True,
    show_default=True,
    help="Add every total again from the retained log.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def audit(topology: Topology, rederive: bool, as_json: bool) -> None:
    """Compare log, ledger and totals of all replicas at one index. Exit status 0: all the same."""
    with told():
        found = audit_cluster(cluster_of(topology).control_endpoints(), rederive=rederive)
    if as_json:
        document = {**msgspec.to_builtins(found), "ok": found.ok}
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        click.echo(f"at index {found.index}:" if found.replicas else "nothing was compared:")
        for each in found.replicas:
            click.echo(
                f"  {each.node}  log {each.chain_hash[:16]}  ledger {each.ledger_digest[:16]}  "
                f"{each.records} records"
                + (f", re-added from index {each.prune_index + 1}" if each.rederived else "")
            )
        for name, why in found.silent.items():
            click.echo(f"  {name}  not compared: {why}")
        for problem in found.problems:
            click.echo(f"  WRONG  {problem}")
        click.echo("all replicas agree" if found.ok else "NOT PROVEN: see above")
    sys.exit(0 if found.ok else 1)


@click.command()
@topology_option
@click.argument("target", default="")
def handover(topology: Topology, target: str) -> None:
    """Change the leader as planned, to TARGET or to the replica that the leader chooses."""
    cluster = cluster_of(topology)
    with told():
        before = leader_of(cluster.statuses())
        if before is None:
            raise ClusterError("there is no leader that could hand over: see `kessai status`")
        with Control(cluster.control_endpoints()[before.node]) as control:
            begun = control.handover(target)
        if not begun.started:
            raise ClusterError(f"{before.node} does not hand over: {begun.reason}")
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            now = leader_of(cluster.statuses())
            if now is not None and now.epoch > before.epoch:
                click.echo(f"{before.node} (epoch {before.epoch}) -> {now.node} ({now.epoch})")
                return
            time.sleep(0.05)
        raise ClusterError(f"{before.node} began a handover to {begun.target}, but still leads")


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


commands: list[click.Command] = [init, up, down, status, logs, audit, handover]
