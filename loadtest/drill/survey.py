"""Asks a few requests at the counter, all at once, and writes their history: a program of its own,
so that it can run where the terminals stand, `python -m loadtest.drill.survey ERRAND`.

It starts while something is broken, so it imports little.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

import msgspec

from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history_file import Recorder
from loadtest.request import Request
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Manner


class Errand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask, where, and for how long; `sites` and `paths` as in loadtest/load_plan.py."""

    requests: tuple[Request, ...]
    endpoints: tuple[str, ...]
    history: str
    within_s: float
    sites: dict[str, str] = {}
    paths: dict[str, tuple[str, ...]] = {}


def main(errand: Errand) -> None:
    """Ask for everything at once, each at a terminal of its own; what is not heard in time is on
    record as unknown. Raises `OSError` where the history cannot be written."""
    history = Path(errand.history)
    with Recorder(history) as recorder:
        around = Surroundings(
            lambda: time.monotonic() * 1000.0, random.Random(history.name).random, recorder.write
        )
        asyncio.run(_ask(errand, around))


async def _ask(errand: Errand, around: Surroundings) -> None:
    give_up_ms = errand.within_s * 1000.0
    askings = [
        Asking(
            f"{request.terminal}/{request.stan}",
            request,
            intended_ms=around.clock(),
            compass=Compass.fresh(errand.endpoints, number, errand.sites, errand.paths),
            manner=Manner(deadline_ms=give_up_ms),
            around=around,
        )
        for number, request in enumerate(errand.requests)
    ]
    async with Wire(errand.endpoints) as wire:
        await asyncio.gather(*(wire.carry(asking, give_up_ms) for asking in askings))


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Errand))
