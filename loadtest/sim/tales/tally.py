"""The sums of a day, or of many: what was settled, who came to lead, what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from loadtest.history import SETTLED, Result
from loadtest.sim.happening import Happened, Kind, Step, Told

REPEAT: Final = "of them settled before"
"""Answers to repeated commands, as C1 wants them."""

PRUNING: Final = "prunings"

_EVENTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "campaign": (("", "campaigns"),),
    "takeover": (("won", "epochs won"),),
    "fetch": (("log of", "logs fetched by a winner"),),
    "serving": (("", "leaderships"),),
    "set-change": (("made: evict", "evictions"), ("made: admit", "admissions")),
    "alarm": (("degraded", "standby dropped"),),
    "in-sync": (("", "standby back"),),
    "fenced": (("", "fenced for a promotion"),),
    "snapshot": (
        ("fetching", "snapshots offered and fetched"),
        ("not fetched", "snapshots not fetched"),
    ),
    "rolled-back": (("", "disks called rolled back"),),
}
"""What replicas tell their operators: by kind, how the detail begins, and the name of the sum."""

_KINDS: Final[Mapping[Kind, str]] = {
    Kind.UNKNOWN: "fault slips",
    Kind.CRASH: "processes ended",
    Kind.RESTART: "processes begun",
    Kind.PAUSE: "pauses",
    Kind.CLOCK: "clock jumps",
    Kind.SILENT: "replicas silent",
    Kind.TORN: "writes torn",
    Kind.VANISHED: "writes vanished",
    Kind.DISK_LOST: "disks lost",
    Kind.DISK_REFUSED: "disks refused",
    Kind.DISK_FAILED: "disk errors",
    Kind.DISK_FULL: "disks full",
    Kind.DISK_SLOW: "disks slow",
    Kind.INSTALLED: "snapshots installed",
    Kind.LOST: "messages lost",
    Kind.REPEATED: "messages repeated",
    Kind.CUT: "cuts",
    Kind.ETCD_AWAY: "times etcd was away",
    Kind.ANSWER_LOST: "etcd's answers lost",
    Kind.LATE: "etcd's requests late",
    Kind.LEASE_EXPIRED: "leases expired",
    Kind.SITE_SWITCHED: "site switches",
    Kind.PROMOTED: "promotions with loss",
    Kind.ASKED: "orders of operators",
    Kind.REFUSED: "orders refused",
}

_GROUPS: Final = (
    ("payments", ("settled", REPEAT, "declined", "read", "refused", "fault slips")),
    (
        "leading",
        ("campaigns", "epochs won", "logs fetched by a winner", "leaderships"),
    ),
    ("who counts", ("evictions", "admissions", "standby dropped", "standby back")),
    (
        "moves",
        (
            "orders of operators",
            "orders refused",
            "site switches",
            "fenced for a promotion",
            "promotions with loss",
        ),
    ),
    (
        "logs",
        (
            PRUNING,
            "snapshots offered and fetched",
            "snapshots not fetched",
            "snapshots installed",
        ),
    ),
    (
        "processes",
        ("processes ended", "processes begun", "pauses", "clock jumps", "replicas silent"),
    ),
    (
        "disks",
        (
            "writes torn",
            "writes vanished",
            "disks lost",
            "disks refused",
            "disks called rolled back",
            "disk errors",
            "disks full",
            "disks slow",
        ),
    ),
    ("links", ("messages lost", "messages repeated", "cuts")),
    (
        "etcd",
        ("times etcd was away", "etcd's answers lost", "etcd's requests late", "leases expired"),
    ),
)

_IN_LINE: Final = (
    "settled",
    "leaderships",
    "evictions",
    "admissions",
    "site switches",
    "promotions with loss",
    "processes ended",
    "disks lost",
    "writes torn",
    "snapshots installed",
)


class Tally:
    """Listens to a day. `counts` has the sums by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, told: Told) -> None:
        """Something is told; see `loadtest.sim.happening.Listener`."""
        if isinstance(told, Step):
            if told.output.events:
                self._said(told)
            if told.output.prune:
                self.counts[PRUNING] += 1
        elif told.kind is Kind.ANSWERED:
            self._answered(told)
        elif told.kind in _KINDS:
            self.counts[_KINDS[told.kind]] += 1

    def _said(self, step: Step) -> None:
        for event in step.output.events:
            for beginning, name in _EVENTS.get(event.kind, ()):
                if event.detail.startswith(beginning):
                    self.counts[name] += 1

    def _answered(self, told: Happened) -> None:
        """The first word is the result (see loadtest.history)."""
        result = told.detail.partition(":")[0]
        if result in SETTLED:
            self.counts["settled"] += 1
            self.counts[REPEAT] += "settled before" in told.detail
        if result not in (Result.OK, Result.MISMATCH):
            self.counts[result] += 1

    def merge(self, other: Tally) -> None:
        """Add another day's sums."""
        self.counts.update(other.counts)

    def line(self) -> str:
        """The sums that say most, in one line."""
        return ", ".join(f"{self.counts[name]:,} {name}" for name in _IN_LINE if self.counts[name])

    def table(self) -> list[str]:
        """All sums as text, a line a group."""
        lines = []
        for group, names in _GROUPS:
            sums = ", ".join(f"{self.counts[name]:,} {name}" for name in names)
            lines.append(f"{group + ':':<12}{sums}")
        return lines
