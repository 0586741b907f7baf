"""`kessai site`: which site settles, and how another one takes over."""

from __future__ import annotations

import getpass
import os
import socket
import sys

import click
import msgspec

from coordinator.switching import SwitchRefused
from deploy import moving
from deploy.cli.cluster import show
from deploy.cli.options import cluster_of, told, topology_option
from deploy.giving_up import Promotion
from deploy.moving import Moved
from deploy.sight import look
from deploy.topology import Topology


@click.group()
def site() -> None:
    """Which site settles, and how another one takes over."""


@site.command()
@topology_option
@click.option("--to", "to", required=True, metavar="SITE", help="The site that is to settle.")
@click.option(
    "--allow-data-loss",
    is_flag=True,
    help="Promote a site that is not in sync, and give up what it lacks. Shows it first.",
)
@click.option("--confirm", metavar="SITE", help="For scripts: the name that would be asked for.")
@click.option(
    "--confirm-off",
    metavar="SITE",
    help="For scripts: this site is off, whether it answers or not.",
)
def switch(
    topology: Topology,
    to: str,
    allow_data_loss: bool,
    confirm: str | None,
    confirm_off: str | None,
) -> None:
    """Make another site the active one, as planned: no request fails, nothing is lost.

    If no leader answers and the standby is in sync, the switch is sent to etcd directly.
    """
    if not allow_data_loss and (confirm or confirm_off):
        raise click.UsageError("--confirm and --confirm-off go with --allow-data-loss only")
    with told():
        if allow_data_loss:
            _promote(topology, to, Asked(confirm, confirm_off))
        else:
            _tell(moving.switch(topology, to, by=operator(), say=click.echo))


@site.command("switch-back")
@topology_option
def switch_back(topology: Topology) -> None:
    """Return to the site that the topology calls active, as planned."""
    with told():
        _tell(moving.switch(topology, topology.active_site, by=operator(), say=click.echo))


@site.command()
@topology_option
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def status(topology: Topology, as_json: bool) -> None:
    """The sites, the coordinators, and what needs attention. Exit status 0: it settles."""
    sight = look(topology)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(sight.sites()), indent=2).decode())
    else:
        show(sight, nodes=False)
    sys.exit(0 if sight.leader else 1)


class Asked:
    """The person at the terminal; or a script, which says beforehand what it would type."""

    def __init__(self, confirm: str | None, confirm_off: str | None) -> None:
        self._confirm = confirm
        self._confirm_off = confirm_off

    def gives_up(self, site: str) -> bool:
        """By typing the name of the site that takes over."""
        question = f"This is given up for good. Type the name of the site that takes over ({site})"
        return self._typed(question, self._confirm) == site

    def vouches_off(self, site: str) -> bool:
        """By typing the name of the site that is off."""
        question = f"Is everything in site {site} switched off? Type its name ({site})"
        return self._typed(question, self._confirm_off) == site

    def _typed(self, question: str, given: str | None) -> str:
        if given is not None or self._confirm is not None:
            return given or ""
        return str(click.prompt(question, default="", show_default=False)).strip()


def operator() -> str:
    """Who runs this command, for the operators' records: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}".replace("/", "-")


def _promote(topology: Topology, to: str, person: Asked) -> None:
    keep = cluster_of(topology).root / "given-up"
    promotion = Promotion(topology, to, by=operator(), person=person, keep=keep, say=click.echo)
    done = promotion.run()
    click.echo(
        f"site {done.to_site} is active since revision {done.revision}, with "
        f"{', '.join(done.survivors)}; site {done.from_site} is given up"
        + ("" if done.fenced else ", and not fenced")
    )
    if done.lost is not None:
        click.echo(f"lost: {done.lost.words()}")
    try:
        leader = moving.await_leader_in(topology, to, moving.WAIT_S, None)
    except SwitchRefused as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{leader.node} leads in site {to}, epoch {leader.epoch}")
    click.echo(f"`kessai new-disk NODE` takes the nodes of site {done.from_site} back, one by one")


def _tell(moved: Moved) -> None:
    click.echo(
        f"site {moved.from_site} -> site {moved.to_site}: {moved.leader} leads epoch "
        f"{moved.epoch} after {moved.took_ms} ms" + (", sent to etcd directly" * moved.direct)
    )
