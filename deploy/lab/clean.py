"""Takes away what a killed run left: programs that go on without their owner, and their data.

A run that was killed leaves less than one would think. Networks leave nothing: namespaces have no
names, and end with the first process of the private ground (deploy/lab/netns). The programs of a
drill on loopback are ended by its guardian (deploy/lab/guardian.py); they stay only if that was
killed too. What always stays is a folder with data, records and settings.

Clusters that `kessai up` started are meant to stay, and evidence is nobody's rubbish: both are left
alone, and so is the folder of a run that still goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.lab.folder import ClusterError, Folder
from deploy.lab.guardian import end_all
from deploy.lab.processes import HOME
from deploy.lab.program import Program, ProgramFailed

_OF_RUNS: Final = ("drill", "demo", "bench-*")
"""The folders of clusters that end with the command that started them."""


def clean(home: Path = HOME) -> list[str]:
    """End and remove whatever killed runs left below `home`; each thing done, or not, in words."""
    return [line for root in _left(home) for line in _clean(root)]


def _left(home: Path) -> Iterator[Path]:
    for pattern in _OF_RUNS:
        yield from sorted(path for path in home.glob(pattern) if path.is_dir())


def _clean(root: Path) -> Iterator[str]:
    folder = Folder(root)
    try:
        lock = folder.lock("clean")
    except ClusterError as problem:
        yield f"left alone: {problem}"
        return
    with lock:
        names = [path.stem for path in sorted((root / "run").glob("*.json"))]
        running = [name for name in names if Program(name, root).running()]
        try:
            end_all(root)
        except ProgramFailed as problem:
            yield f"left in {root}: {problem}"
            return
        if running:
            yield f"ended {', '.join(running)} of {root.name}"
        shutil.rmtree(root, ignore_errors=True)
        yield f"removed {root}" if not root.exists() else f"left {root}: it cannot be removed"
