"""`kessai audit`: do all replicas hold the same, now and while terminals are settling?"""

from __future__ import annotations

import sys
import time

import click
import msgspec

from deploy.audit import ClusterAudit
from deploy.audit import audit as audit_cluster
from deploy.cli.options import cluster_of, told, topology_option
from deploy.topology import Topology


@click.command()
@topology_option
@click.option(
    "--rederive/--no-rederive",
    default=True,
    show_default=True,
    help="Add every total again from the retained log.",
)
@click.option("--continuous", is_flag=True, help="Round after round, one line each.")
@click.option("--every", "every_s", default=5.0, show_default=True, help="Seconds between rounds.")
@click.option("--for", "for_s", type=float, help="Seconds until the last round; else until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document a round.")
def audit(
    topology: Topology,
    rederive: bool,
    continuous: bool,
    every_s: float,
    for_s: float | None,
    as_json: bool,
) -> None:
    """Compare log, ledger and totals of all replicas at one index.

    Exit status 0: all of them were compared (in every round), and all the same.
    """
    endpoints = cluster_of(topology).control_endpoints()
    if not continuous:
        with told():
            found = audit_cluster(endpoints, rederive=rederive)
        if as_json:
            click.echo(msgspec.json.format(_document(found), indent=2).decode())
        else:
            _tell(found)
        sys.exit(0 if found.ok else 1)
    rounds = agreed = 0
    end = time.monotonic() + for_s if for_s is not None else None
    try:
        while True:
            began = time.monotonic()
            with told():
                found = audit_cluster(endpoints, rederive=rederive)
            rounds += 1
            agreed += found.ok
            click.echo(_document(found) if as_json else line(found, len(endpoints)))
            next_round = began + every_s
            if end is not None and next_round > end:
                break
            time.sleep(max(0.0, next_round - time.monotonic()))
    except KeyboardInterrupt:
        click.echo("")
    if not as_json:
        click.echo(f"{agreed} of {rounds} rounds: all replicas agree")
    sys.exit(0 if rounds and agreed == rounds else 1)


def line(found: ClusterAudit, replicas: int) -> str:
    """One round in one line; a replica that could not be compared is no agreement."""
    words = [time.strftime("%H:%M:%S"), f"index {found.index}"]
    if found.replicas:
        first = found.replicas[0]
        words += [f"log {first.chain_hash[:16]}", f"{first.records} records"]
    compared = f"{len(found.replicas)} of {replicas} compared"
    if found.problems:
        words += [compared, "WRONG: " + "; ".join(found.problems)]
    elif found.ok:
        words.append(f"all {replicas} agree")
    else:
        words += [compared, "NOT PROVEN"]
    words += [f"{name} {why}" for name, why in found.silent.items()]
    return "  ".join(words)


def _document(found: ClusterAudit) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(found), "ok": found.ok})


def _tell(found: ClusterAudit) -> None:
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
