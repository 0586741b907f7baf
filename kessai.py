"""The front door: mounts the packages' commands under one name, nothing else."""

from __future__ import annotations

import click

import deploy.cli
import loadtest.cli


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Kessai (決済): a payment settlement cluster that proves its own failover."""


for command in (*deploy.cli.commands, *loadtest.cli.commands):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="kessai")
