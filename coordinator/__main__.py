"""One coordinator as a process: `python -m coordinator SETTINGS.json`.

Wiring only: joins etcd, the probes and the operators' records to the lookout, and takes them apart
on SIGTERM or SIGINT. It holds no state that anybody would miss: it may be killed at any time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Final

from coordinator.keyvalue import UnsupportedVersion
from coordinator.recording import Recorder
from coordinator.records import Keys, RecordError
from coordinator.registry import Registry
from coordinator.settings import CoordinatorSettings, SettingsError, load
from coordinator.sites.journal import Journal
from coordinator.sites.line import GrpcLine
from coordinator.sites.lookout import Lookout
from coordinator.sites.ports import Means
from coordinator.stamp import stamp, wall_ms

_FLUSH_S: Final = 0.5
"""How long a stop waits for what is still to be written down."""


def main() -> int:
    """The process: 0 after a clean stop, 2 when it may not start, 1 when it had to stop."""
    parser = argparse.ArgumentParser(prog="python -m coordinator", description=__doc__)
    parser.add_argument("settings", type=Path)
    path = parser.parse_args().settings
    try:
        settings = load(path)
        _check(path, settings)
    except SettingsError as problem:
        print(f"refused to start: {problem}", file=sys.stderr)
        return 2
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_run(settings))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


def _check(path: Path, settings: CoordinatorSettings) -> None:
    """Raise `SettingsError` for what can be read but not worked with."""
    if not settings.etcd:
        raise SettingsError(f"{path}: etcd names no endpoint")
    if not settings.nodes:
        raise SettingsError(f"{path}: nodes names no node to watch")
    try:
        Keys(settings.cluster).report(settings.place)
        Keys(settings.cluster).event(0, settings.name, "0")
    except RecordError as problem:
        raise SettingsError(f"{path}: {problem}") from problem


async def _run(settings: CoordinatorSettings) -> int:
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    journal = Journal(settings.name)
    registry = Registry(settings.etcd, settings.etcd_deadline_ms)
    try:
        await registry.check_versions()
    except UnsupportedVersion as problem:
        print(f"refused to start: {problem}", file=sys.stderr)
        await registry.close()
        return 2
    recorder = Recorder(registry, Keys(settings.cluster), settings.name, settings.place, wall_ms)
    lookout = Lookout(settings, registry, recorder, journal, Means(GrpcLine, stamp))
    told = asyncio.ensure_future(stopping.wait())
    work = [
        asyncio.ensure_future(each) for each in (registry.tend(), recorder.run(), lookout.run())
    ]
    started = f"in {settings.place}, {settings.switching.mode}, watches {len(settings.nodes)} nodes"
    journal.say("started", started)
    recorder.say("coordinator-started", started)
    exit_code = 0
    try:
        await asyncio.wait((told, *work), return_when=asyncio.FIRST_COMPLETED)
        for task in work:
            if task.done() and (defect := task.exception()) is not None:
                journal.say("broken", repr(defect))
                exit_code = 1
        recorder.say("coordinator-stopped", f"in {settings.place}")
        await recorder.flush(_FLUSH_S)
    finally:
        told.cancel()
        for task in work:
            task.cancel()
        for task in work:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await registry.close()
    journal.say("stopped", "")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
