"""What one playing of a drill leaves in its evidence folder: events, logs, verdict, seal."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import msgspec

from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest import evidence
from loadtest.drill.catalogue import Drill
from loadtest.drill.verdict import Course, DrillVerdict
from loadtest.evidence import Event
from loadtest.measure import Figures


def now_ms() -> float:
    """Milliseconds of the clock that histories and events share."""
    return time.monotonic() * 1000.0


class Keeper:
    """Writes into `folder`, and says what it notes."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say
        self._noted: Counter[str] = Counter()

    def note(self, what: str, detail: str = "") -> None:
        """Put on record what was done or seen, now."""
        self._noted[what] += 1
        event = Event(round(now_ms(), 3), what, detail)
        with (self.folder / "events.ndjson").open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self._say(f"-- {what}" + (f" ({detail})" if detail else ""))

    def noted(self, what: str) -> int:
        """How often this has been put on record."""
        return self._noted[what]

    def logs(self, cluster: Cluster) -> None:
        """Copy what the nodes and coordinators wrote."""
        topology = cluster.topology
        names = [each.name for each in topology.nodes]
        names += [each.name for each in topology.coordinators]
        for name in names:
            log = cluster.log(name)
            if log.exists():
                (self.folder / f"log-{name}.txt").write_bytes(log.read_bytes())

    def seal(
        self,
        drill: Drill,
        topology: Topology,
        verdict: DrillVerdict,
        figures: Figures | None,
        course: Course,
        *,
        command: str,
        started_at: str,
        seed: int,
    ) -> None:
        """Write verdict, drill and topology, then the manifest over everything."""
        document = {
            "ruling": verdict.ruling,
            "rows": [asdict(row) for row in verdict.rows],
            "findings": [asdict(finding) for finding in verdict.findings],
            "figures": asdict(figures) if figures else None,
            "course": asdict(course),
        }
        contents = {"verdict.json": document, "drill.json": drill, "topology.json": topology}
        for name, content in contents.items():
            data = msgspec.json.format(msgspec.json.encode(content), indent=2)
            (self.folder / name).write_bytes(data)
        evidence.seal(
            self.folder,
            name=drill.name,
            command=command,
            started_at=started_at,
            seed=seed,
            versions=versions(),
        )


def versions() -> dict[str, str]:
    """What the run ran on."""
    packages = ("grpcio", "locust", "gevent", "apsw", "protobuf")
    return {
        "python": sys.version.split()[0],
        "system": platform.platform(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
