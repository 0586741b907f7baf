"""`kessai events`: what has happened to the cluster, in the operators' records in etcd."""

from __future__ import annotations

import time
from typing import Final

import click

from coordinator.keyvalue import RegistryError
from coordinator.recording import events as recorded
from coordinator.records import EventRecord
from deploy.cli.options import told, topology_option
from deploy.topology import Topology
from deploy.written import ask

_FOLLOW_EVERY_S: Final = 0.5


@click.command()
@topology_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what is recorded from now on.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document a line.")
@click.option("--lines", "-n", default=40, show_default=True, help="How many to begin with.")
def events(topology: Topology, follow: bool, as_json: bool, lines: int) -> None:
    """Switches, handovers, set changes, alarms and consents: when, where, and why."""
    with told():
        found = _newest(topology)
    for each in found[max(0, len(found) - lines) :] if lines > 0 else ():
        click.echo(each.to_json() if as_json else line(each))
    away = False
    while follow:
        time.sleep(_FOLLOW_EVERY_S)
        seen = set(found)
        try:
            found = _newest(topology)
        except RegistryError as problem:
            if not away:
                click.echo(f"etcd does not answer, trying on: {problem}", err=True)
            away = True
            continue
        away = False
        for each in found:
            if each not in seen:
                click.echo(each.to_json() if as_json else line(each))


def line(event: EventRecord) -> str:
    """One event in one line, its time as the clock on the wall here shows it."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at_ms / 1000))
    where = f" at {event.site}" if event.site else ""
    facts = [f"epoch {event.epoch}"] if event.epoch else []
    facts += [f"index {event.index}"] if event.index else []
    about = f" ({', '.join(facts)})" if facts else ""
    return f"{at}.{event.at_ms % 1000:03d}  {event.source}{where}  {event.kind}{about}: {event.why}"


def _newest(topology: Topology) -> list[EventRecord]:
    return ask(topology, lambda registry: recorded(registry, topology.cluster))
