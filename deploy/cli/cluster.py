"""The commands that run and look at a cluster: init, up, down, status, logs, handover, new-disk."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click
from rich.console import Console
from rich.markup import escape

from deploy import view
from deploy.alarms import alarms
from deploy.cli.options import cluster_of, told, topology_option
from deploy.control import Control, leader_of
from deploy.first import first_configuration
from deploy.lab.folder import ClusterError
from deploy.sight import Sight, look
from deploy.topology import Topology

_FOLLOW_EVERY_S: Final = 0.2


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
    """Start etcd, nodes and coordinators, and leave them running; of some that run, the missing."""
    cluster = cluster_of(topology)
    with told(), _terminate_as_interrupt():
        cluster.start()
    click.echo(f"\n{topology.cluster} is up; data and logs are in {cluster.root}\n")
    for node in topology.nodes:
        click.echo(
            f"  {node.name}  terminals {node.terminals}  control {node.peers}  "
            f"metrics http://{node.metrics}/metrics"
        )
    click.echo(f"  etcd  {', '.join(topology.etcd_endpoints)}")
    if topology.coordinators:
        names = ", ".join(f"{each.name} ({each.place})" for each in topology.coordinators)
        click.echo(f"  coordinators  {names}; switching is {topology.switching.mode}")
    click.echo("")
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
    # Without a terminal there is no edge to keep to.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
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
    """What NODE wrote; an etcd member's or a coordinator's name will do, too."""
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


@click.command("new-disk")
@topology_option
@click.argument("node")
def new_disk(topology: Topology, node: str) -> None:
    """Let NODE begin with an empty disk, as another replica; its old files are kept aside.

    For a disk that its node refuses at start, or that a promotion with loss gave up. The node
    counts again when it has caught up and the leader has taken it into its site's in-sync set.
    """
    cluster = cluster_of(topology)
    with told():
        cluster.log(node)  # names what is there, if this is not
        sight = look(topology)
        status = sight.statuses.get(node)
        counted = {replica for site in sight.sites() for replica in site.in_sync}
        if status is not None and status.replica in counted:
            raise ClusterError(
                f"the disk of {node} counts: it is in the in-sync set of site {status.site}; "
                f"a new one would be a copy less. If the disk is bad, stop the node first"
            )
        cluster.stop_node(node)
        cluster.start_node(node, new_disk=True)
        status = cluster.statuses()[node]
    now = f" it is {status.replica} now" if status else ""
    click.echo(f"{node} begins with an empty disk:{now}; see `kessai status`")


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
