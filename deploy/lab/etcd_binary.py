"""An etcd that Kessai can trust: the one asked for, the one on PATH, our own, or a fresh download.

etcd below 3.5.16 is refused: a stalled etcd leader of those versions that wakes up revokes leases
it should not (etcd#15247), and 3.5.0 to 3.5.2 may disagree about the data itself.
`python -m deploy.lab.etcd_binary` prints the path, after installing one if there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.lab import apt
from deploy.lab.tools import TOOLS, alone, put, unpacked

Version = tuple[int, int, int]
LEAST: Final[Version] = (3, 5, 16)

_PACKAGE: Final = "etcd-server"
_INSIDE: Final = Path("usr/bin/etcd")
_NEED: Final = f"Kessai needs {'.'.join(map(str, LEAST))} or later (leases, etcd#15247)"
_TOO_OLD: Final = frozenset({"bullseye", "bookworm", "focal", "jammy", "noble"})
"""Suites known to carry an older etcd for good: asking them would only cost time."""


class EtcdRefused(RuntimeError):
    """No etcd that may be used; the message says which one was seen and what is needed."""


def find(tools: Path = TOOLS, say: Callable[[str], None] = lambda line: None) -> Path:
    """The path of an etcd of a good version; installs one below `tools` if there is none.

    Looks at the KESSAI_ETCD variable (nothing else is looked at when it is set), then PATH, then
    `tools`, and last asks apt. `say` hears a line about each step that takes time. Raises
    `EtcdRefused`.
    """
    asked = os.environ.get("KESSAI_ETCD")
    if asked:
        check(Path(asked))
        return Path(asked)
    found = shutil.which("etcd")
    if found:
        try:
            check(Path(found))
        except EtcdRefused as refusal:
            say(f"{refusal}; using another one")
        else:
            return Path(found)
    with alone(tools):
        return _installed(tools) or _install(tools, say)


def check(etcd: Path) -> Version:
    """The version of `etcd`. Raises `EtcdRefused` if it is too old or not an etcd at all."""
    try:
        answer = subprocess.run(
            [etcd, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise EtcdRefused(f"{etcd} cannot be run: {problem}. {_NEED}") from problem
    match = re.search(r"etcd Version: (\S+)", answer.stdout)
    version = parse(match.group(1)) if match else None
    if match is None or version is None:
        raise EtcdRefused(f"{etcd} does not say which version of etcd it is. {_NEED}")
    if version < LEAST:
        raise EtcdRefused(f"{etcd} is etcd {match.group(1)}, which is too old. {_NEED}")
    return version


def parse(text: str) -> Version | None:
    """The three numbers at the start of a version such as `3.5.16-4`; None if there are not three.

    A release candidate of the least version is not that version yet; it counts as the one before.
    """
    match = re.match(r"(?:[0-9]+:)?([0-9]+)\.([0-9]+)\.([0-9]+)([~-](?:rc|alpha|beta))?", text)
    if match is None:
        return None
    major, minor, patch = (int(match.group(n)) for n in (1, 2, 3))
    return (major, minor, patch - 1 if match.group(4) else patch)


def _installed(tools: Path) -> Path | None:
    for folder in sorted(tools.glob("etcd-*"), reverse=True):
        try:
            check(folder / _INSIDE)
        except EtcdRefused:
            continue
        return folder / _INSIDE
    return None


def _install(tools: Path, say: Callable[[str], None]) -> Path:
    say(f"no etcd of a good version here; fetching the package {_PACKAGE} with apt")
    try:
        with unpacked("etcd", _PACKAGE, tools, say, good=_is_good, too_old=_TOO_OLD) as root:
            version = ".".join(map(str, check(root / _INSIDE)))
            folder = tools / f"etcd-{version}"
            put(root, folder)
    except apt.AptFailed as problem:
        raise EtcdRefused(
            f"no etcd could be installed: {problem}. {_NEED}: put one on PATH, or set "
            "KESSAI_ETCD to its path"
        ) from problem
    say(f"etcd {version} is in {folder}")
    return folder / _INSIDE


def _is_good(text: str) -> bool:
    return (parse(text) or (0, 0, 0)) >= LEAST


if __name__ == "__main__":
    try:
        print(find(say=lambda line: print(f"kessai: {line}", file=sys.stderr, flush=True)))
    except EtcdRefused as refusal:
        sys.exit(f"kessai: {refusal}")
