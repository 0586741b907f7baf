"""Programs of ours: packages fetched with apt, unpacked, and put in place whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.lab import apt

TOOLS: Final = Path(__file__).resolve().parents[2] / ".kessai" / "tools"


@contextmanager
def alone(tools: Path) -> Iterator[None]:
    """One installation at a time; the second waits and then finds what the first one installed."""
    tools.mkdir(parents=True, exist_ok=True)
    with (tools / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def unpacked(
    name: str,
    package: str,
    tools: Path,
    say: Callable[[str], None],
    *,
    good: Callable[[str], bool] = lambda version: True,
    too_old: Collection[str] = (),
) -> Iterator[Path]:
    """Download and unpack `package` beside its final place: a folder to be renamed to that, so that
    a half-made one is never found. It is gone at the end otherwise. Raises `apt.AptFailed`."""
    work = tools / f".{name}-incomplete"
    shutil.rmtree(work, ignore_errors=True)
    try:
        fetched = apt.fetch(package, good, work, say, too_old=too_old)
        apt.unpack(fetched, work / "root")
        yield work / "root"
    finally:
        shutil.rmtree(work, ignore_errors=True)


def put(root: Path, folder: Path) -> None:
    """What was unpacked at `root` takes the place of `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    root.rename(folder)
