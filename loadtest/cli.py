"""The commands that use, try and doubt a cluster, from `demo` to `bench`."""

from __future__ import annotations

import click

from loadtest.bench.command import bench
from loadtest.comparing.command import compare
from loadtest.counter import inquire, pay
from loadtest.drill.command import demo, drill
from loadtest.load_command import load
from loadtest.model.command import model
from loadtest.report.command import report, verify
from loadtest.sim.command import sim

commands: list[click.Command] = [
    demo,
    pay,
    inquire,
    load,
    drill,
    compare,
    report,
    verify,
    sim,
    model,
    bench,
]
