"""Locust's own figures, read from what it writes."""

from __future__ import annotations

import json
from pathlib import Path

from loadtest.profiles.comparison import Own, read_own


def test_rows_of_locust_are_added_up(tmp_path: Path) -> None:
    rows = [
        _row(failures=1, longest=2500.4, times={"10": 90, "2500": 1}),
        _row(failures=0, longest=31.0, times={"30": 9}),
    ]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    assert read_own(tmp_path / "own.json") == Own(
        requests=100, failures=1, p50_ms=10, p95_ms=30, p99_ms=2500, max_ms=2500.4, slow=1
    )


def test_no_request_at_all_is_no_time(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("[]")
    assert read_own(tmp_path / "own.json") == Own(0, 0, 0.0, 0.0, 0.0, 0.0, 0)


def _row(failures: int, longest: float, times: dict[str, int]) -> dict[str, object]:
    return {
        "name": "sale",
        "num_requests": sum(times.values()),
        "num_failures": failures,
        "max_response_time": longest,
        "response_times": times,
    }
