"""What the other places report, and how long ago each report last changed as seen from here.

Pure. Two places' clocks are never compared: a report is as old as the time since it was last seen
to change. One that has only been seen once is of unknown age, and so is every report after a while
in which nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.keyvalue import KeyValue
from coordinator.records import RecordError, ReportRecord


@dataclass(frozen=True, slots=True)
class Heard:
    """A report, and the milliseconds since it last changed; None: nobody saw it change."""

    report: ReportRecord
    age_ms: float | None


class ReportBook:
    """The reports under one prefix. `fresh_ms`: after so long a look away nothing is known."""

    def __init__(self, fresh_ms: float) -> None:
        self._fresh_ms = fresh_ms
        self._looked_ms = float("-inf")
        self._seen: dict[str, tuple[int, float | None]] = {}  # key: revision, when it changed

    def look(self, pairs: Iterable[KeyValue], now_ms: float) -> tuple[Heard, ...]:
        """All reports as etcd has them now; what cannot be read is left out."""
        kept_looking = now_ms - self._looked_ms <= self._fresh_ms
        self._looked_ms = now_ms
        before, self._seen = self._seen, {}
        heard: list[Heard] = []
        for pair in pairs:
            revision, changed_ms = before.get(pair.key, (0, None))
            if pair.mod_revision != revision:
                changed_ms = now_ms if kept_looking and revision else None
            self._seen[pair.key] = (pair.mod_revision, changed_ms)
            try:
                report = ReportRecord.from_json(pair.value)
            except RecordError:
                continue
            heard.append(Heard(report, None if changed_ms is None else now_ms - changed_ms))
        return tuple(heard)
