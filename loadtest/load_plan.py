"""What the load generator is told, and what it says while it runs: two kinds of JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loadtest.arrivals import Pattern
from loadtest.profiles.curve import Curve


class LoadPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of load. `rate` is that of all terminals together, in slots a second; where there is
    a `curve`, the rate follows it, and `rate` is its highest.

    `tag` makes this run's terminals other ones than those of earlier runs on the same ledger.
    `controlled`: the run ends when its standard input says "stop" or closes, at the latest after
    `duration_s`; otherwise Locust's own controls end it. After the end, what is under way or late
    has `drain_s` to be heard. `sites` says in which site an endpoint is, where that matters, and
    `paths` under which other addresses it is reached.
    `processes` share the terminals evenly, each with a history of its own.
    """

    run: str
    endpoints: tuple[str, ...]
    history: str
    rate: float
    terminals: int
    seed: int
    tag: str
    business_date: int
    pattern: Pattern = Pattern.POISSON
    duration_s: float = 30.0
    drain_s: float = 12.0
    attempt_ms: float = 600.0
    deadline_ms: float = 10_000.0
    controlled: bool = True
    sites: dict[str, str] = {}
    paths: dict[str, tuple[str, ...]] = {}
    curve: Curve | None = None
    processes: int = 1


class Progress(msgspec.Struct, frozen=True):
    """One second of load, one line. Latencies count from the intended start.

    `rate` and latencies are of that second, the rest of the whole run; `waiting` are under way.
    """

    at_s: float
    rate: float
    p50_ms: float
    p99_ms: float
    heard: int
    declined: int
    refused: int
    unknown: int
    waiting: int


def load_plan(path: Path) -> LoadPlan:
    """Read a plan. Raises `msgspec.MsgspecError` and `OSError`."""
    return msgspec.json.decode(path.read_bytes(), type=LoadPlan)


def quantile(values: list[float], share: float) -> float:
    """The value at `share` (0 to 1) of the sorted values; 0.0 where there is none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
