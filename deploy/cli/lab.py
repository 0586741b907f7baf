"""`kessai lab`: what runs of drills leave behind."""

from __future__ import annotations

import click

from deploy.lab.clean import clean as clean_up


@click.group()
def lab() -> None:
    """The ground on which drills are played."""


@lab.command()
def clean() -> None:
    """End and remove whatever drills, demos and benches left that were killed.

    Clusters that `kessai up` started, and evidence, stay.
    """
    for line in clean_up() or ["nothing was left behind"]:
        click.echo(line)
