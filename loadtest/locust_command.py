"""How `locust` is called: alone, as the master of workers, as a worker, with its web page."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).resolve().parents[1]
_LOCUSTFILE: Final = _PROJECT / "loadtest" / "locustfile.py"
_CONNECT_S: Final = 60

STATISTICS: Final = "locust-statistics"
"""Locust writes its own figures into `STATISTICS`.json in the folder it runs in."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes that share the terminals: `here` on this machine, `away` on others.

    None at all: one process, which has no master. Workers find the master at `host:port`.
    """

    here: int = 0
    away: int = 0
    host: str = "127.0.0.1"
    port: int = 5557

    @property
    def workers(self) -> int:
        """All of them; 0 where one process does it alone."""
        return self.here + self.away


@dataclass(frozen=True, slots=True)
class Files:
    """What Locust writes: its report as one HTML file, its figures as `csv`_*.csv."""

    html: Path | None = None
    csv: Path | None = None


ALONE: Final = Crew()
NO_FILES: Final = Files()


def environment(folder: Path) -> dict[str, str]:
    """Ours, so that locust finds us, but not the configuration of somebody else's load tests.

    Locust reads `LOCUST_*`, `~/.locust.conf`, and pyproject.toml where it is started.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return {**kept, "HOME": str(folder), "PYTHONPATH": str(_PROJECT)}


def headless(
    plan_file: Path, terminals: int, crew: Crew = ALONE, files: Files = NO_FILES
) -> list[str]:
    """The command of a run without a web page: all terminals at once, no summary but our own."""
    command = [
        *_locust("--plan", str(plan_file)),
        *("--headless", "--users", str(terminals), "--spawn-rate", str(terminals)),
        *("--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"),
        *("--json-file", STATISTICS),
    ]
    if crew.workers:
        command += ["--master", "--master-bind-host", crew.host]
        command += ["--master-bind-port", str(crew.port)]
        command += ["--expect-workers", str(crew.workers)]
        command += ["--expect-workers-max-wait", str(_CONNECT_S)]
    if files.html is not None:
        command += ["--html", str(files.html.resolve())]
    if files.csv is not None:
        command += ["--csv", str(files.csv.resolve())]
    return command


def worker(crew: Crew) -> list[str]:
    """The command of a worker on this machine."""
    return [*_locust(*_to_master(crew)), "--loglevel", "WARNING"]


def worker_away(crew: Crew) -> str:
    """The line to type on another machine, in a copy of this project with its environment."""
    return shlex.join(
        [
            *("env", "PYTHONPATH=.", ".venv/bin/python", "-m", "locust"),
            *("-f", str(_LOCUSTFILE.relative_to(_PROJECT)), *_to_master(crew), "--away"),
        ]
    )


def web(plan_file: Path, terminals: int, host: str, port: int) -> list[str]:
    """The command of a run steered from Locust's web page."""
    return [
        *_locust("--plan", str(plan_file)),
        *("--users", str(terminals), "--spawn-rate", str(terminals)),
        *("--web-host", host, "--web-port", str(port)),
    ]


def _locust(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), *arguments]


def _to_master(crew: Crew) -> tuple[str, ...]:
    return ("--worker", "--master-host", crew.host, "--master-port", str(crew.port))
