"""One settlement node as a process: `python -m node SETTINGS.json [--new-disk]`.

Opens the disk and runs the node on it (`node.process`). A full disk is waited out: once there is
room the process begins a new life by itself, and nothing it vouched for is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from pathlib import Path

from node.process import DISK_FULL, Node
from node.settings import Settings, SettingsError, load
from node.store import Recovered, Store, StoreFull, StoreRefused

LOOK_FOR_ROOM_S = 1.0
"""How often a full disk is looked at again."""

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter: the store must not wait 5 ms for the event loop."""

GARBAGE_THRESHOLD = 20_000
"""Objects made before cycles are searched for; Python's own 700 is a search every few requests."""


def main() -> int:
    """The process: 0 after a clean stop, 2 when it may not start, 1 when it had to stop.

    A node whose disk is full neither starts nor stops: it waits for room and begins again.
    """
    parser = argparse.ArgumentParser(prog="python -m node", description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument(
        "--new-disk",
        action="store_true",
        help="put a refused disk's files aside and begin with an empty one (another replica)",
    )
    arguments = parser.parse_args()
    try:
        settings = load(arguments.settings)
        if arguments.new_disk:
            print(f"kept aside: {Store.set_aside(Path(settings.folder))}", file=sys.stderr)
        store, recovered = _open(settings)
    except (SettingsError, StoreRefused) as problem:
        print(f"refused to start: {problem}", file=sys.stderr)
        return 2
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What is there now stays; later garbage has few cycles, and each search for them is a stall.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
    try:
        exit_code = _run(settings, store, recovered)
    finally:
        store.close()
    if exit_code == DISK_FULL:
        # A whole new process: nothing of the life that failed can reach into the next.
        os.execv(sys.executable, [sys.executable, "-m", "node", str(arguments.settings)])
    return exit_code


def _open(settings: Settings) -> tuple[Store, Recovered]:
    """The disk, as soon as there is room on it. Raises `StoreRefused`."""
    told = False
    while True:
        try:
            return Store.open(
                Path(settings.folder),
                node=settings.node,
                entries_in_memory=settings.limits.entries_in_memory,
                fault_file=Path(settings.disk_fault_file) if settings.disk_fault_file else None,
            )
        except StoreFull as problem:
            if not told:
                print(f"waiting for room: {problem}", file=sys.stderr, flush=True)
            told = True
            time.sleep(LOOK_FOR_ROOM_S)


def _run(settings: Settings, store: Store, recovered: Recovered) -> int:
    node = Node(settings, store, recovered)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(node.run())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(node.run())


if __name__ == "__main__":
    sys.exit(main())
