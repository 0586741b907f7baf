"""The commands around a cluster, for the front door to mount."""

from __future__ import annotations

import click

from deploy.cli.auditing import audit
from deploy.cli.cluster import down, handover, init, logs, new_disk, status, up
from deploy.cli.history import events
from deploy.cli.lab import lab
from deploy.cli.sites import site

commands: list[click.Command] = [
    init,
    up,
    down,
    status,
    logs,
    audit,
    handover,
    site,
    events,
    new_disk,
    lab,
]
