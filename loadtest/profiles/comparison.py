"""Locust's own figures of a run beside those from the intended start of its slots."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.table import Table

from loadtest.measure import SLOW_MS, Figures
from loadtest.profiles.thresholds import unsent


class _Entry(msgspec.Struct):
    """One row of Locust's statistics; `response_times` counts by rounded milliseconds."""

    num_requests: int
    num_failures: int
    max_response_time: float
    response_times: dict[str, int]


@dataclass(frozen=True, slots=True)
class Own:
    """What Locust itself has counted: requests that were sent, timed from their sending."""

    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    slow: int


def read_own(path: Path) -> Own:
    """From Locust's JSON file. Raises `OSError` and `msgspec.MsgspecError`."""
    entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
    times: Counter[float] = Counter()
    for entry in entries:
        times.update({float(ms): count for ms, count in entry.response_times.items()})
    return Own(
        requests=sum(entry.num_requests for entry in entries),
        failures=sum(entry.num_failures for entry in entries),
        p50_ms=_quantile(times, 0.50),
        p95_ms=_quantile(times, 0.95),
        p99_ms=_quantile(times, 0.99),
        max_ms=max((entry.max_response_time for entry in entries), default=0.0),
        slow=sum(count for ms, count in times.items() if ms > SLOW_MS),
    )


def table(own: Own, figures: Figures) -> Table:
    """Both in two columns."""
    shown = Table(show_edge=False, pad_edge=False)
    for heading in ("", "Locust's own", "from the intended start"):
        shown.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    shown.add_row("counted", f"{own.requests:,} requests", f"{figures.slots:,} slots")
    shown.add_row("p50", f"{own.p50_ms:,.0f} ms", f"{figures.p50_ms:,.0f} ms")
    shown.add_row("p95", f"{own.p95_ms:,.0f} ms", f"{figures.p95_ms:,.0f} ms")
    shown.add_row("p99", f"{own.p99_ms:,.0f} ms", f"{figures.p99_ms:,.0f} ms")
    shown.add_row("longest", f"{own.max_ms:,.0f} ms", f"{figures.longest_wait_ms:,.0f} ms")
    shown.add_row(f"slower than {SLOW_MS:,.0f} ms", f"{own.slow:,}", f"{figures.slow:,}")
    shown.add_row(
        "refused, or not in time", f"{own.failures:,}", f"{figures.failed + figures.refused:,}"
    )
    shown.add_row("never sent", "not counted", f"{unsent(figures):,}")
    shown.add_row("without a settlement", "not counted", f"{figures.longest_gap_ms:,.0f} ms")
    return shown


def _quantile(times: Counter[float], share: float) -> float:
    place = int(share * times.total())
    for ms in sorted(times):
        place -= times[ms]
        if place < 0:
            return ms
    return 0.0
