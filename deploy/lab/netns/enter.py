"""The way into the private ground on which networks are built, and why it may be closed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.lab.netns.gate import MARK

_GATE: Final = (sys.executable, "-m", "deploy.lab.netns.gate")
_TRIAL: Final = (sys.executable, "-m", "deploy.lab.netns.trial")
_TRIAL_S: Final = 30.0

# What a machine may forbid, the value by which one sees it, and what allows it again.
_SWITCHES: Final = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    *(
        (f"user/max_{kind}_namespaces", "0", f"sysctl -w user.max_{kind}_namespaces=1000")
        for kind in ("user", "net", "pid", "mnt")
    ),
)


class GroundRefused(RuntimeError):
    """There is no private ground on this machine; the message says why and what helps."""


def inside() -> bool:
    """Do we stand on a private ground that `enter` made?"""
    mark = os.environ.get(MARK)
    return mark is not None and mark == os.readlink("/proc/self/ns/pid")


def available() -> str:
    """Empty if networks can be built here (tried, in a fraction of a second); otherwise why not,
    and what to do about it."""
    if platform.system() != "Linux":
        return f"network namespaces are Linux's, and this is {platform.system()}"
    if shutil.which("nsenter") is None:
        return "nsenter is not on PATH: install util-linux (apt-get install util-linux)"
    if inside():
        return ""
    try:
        tried = subprocess.run(
            [*_GATE, *_TRIAL], capture_output=True, text=True, timeout=_TRIAL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"a network namespace cannot be tried: {problem}"
    if tried.returncode == 0:
        return ""
    said = tried.stderr.strip().splitlines() or [f"status {tried.returncode}"]
    return f"no private network can be made here ({said[-1]}): {_what_helps()}"


def enter(argv: Sequence[str] = ()) -> None:
    """Go on inside a private ground: this process becomes the gate to it, and `argv` (by default
    our own command line) begins anew inside. Returns at once if we are inside already.

    Call it first of all, before threads, connections or files that matter: none of them come along.
    Raises `GroundRefused`.
    """
    if inside():
        return
    why = available()
    if why:
        raise GroundRefused(why)
    command = list(argv) or [sys.executable, *sys.orig_argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(_GATE[0], [*_GATE, *command])


def _what_helps() -> str:
    helps = []
    for name, forbidden, remedy in _SWITCHES:
        try:
            found = Path("/proc/sys", name).read_text().strip()
        except OSError:
            continue  # not a switch of this kernel
        if found == forbidden:
            helps.append(remedy)
    if helps:
        return f"as root, {' and '.join(helps)}"
    return (
        "run it as root, on a kernel with user and network namespaces and veth; in a container, "
        "give that --privileged"
    )
