"""What a report says, as plain data: nothing of how it looks, nothing of where it was read.

Times are in seconds since the load began; durations say their unit in their name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from loadtest.checkers.finding import Verdict
from loadtest.drill.verdict import Ruling
from loadtest.report.words import Words


@dataclass(frozen=True, slots=True)
class Second:
    """One second of load. `settled`: answers heard in it that the ledger must hold.

    Latencies are of the slots meant to start in it, None where there was none or none was answered;
    `refused` and `unknown` too: slots that were refused, or had no answer by their deadline.
    """

    at_s: int
    settled: int
    p50_ms: float | None
    p99_ms: float | None
    refused: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted. `until_s` None: to the end. `kind` is a key of the words' table."""

    from_s: float
    until_s: float | None
    kind: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Reign:
    """A node led in this epoch, and served."""

    from_s: float
    until_s: float | None
    node: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the runner's own record, in its words."""

    at_s: float
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The load from its beginning to the end of arrivals, `length_s` later.

    `faults`: what was done to the cluster, until it was undone; `from_s` equal to `until_s` where
    nothing is to be undone. `modes`: how the two sites stood. `meant`: slots a second.
    """

    length_s: float
    meant: float
    seconds: tuple[Second, ...]
    faults: tuple[Span, ...]
    reigns: tuple[Reign, ...]
    modes: tuple[Span, ...]
    happenings: tuple[Happening, ...]


class Stage(enum.StrEnum):
    """The stages of a recovery, in their order."""

    NOTICED = "noticed"
    DECIDED = "decided"
    WON = "won"
    RECOVERED = "recovered"
    SETTLED = "settled"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stage reached `after_ms` after the fault. `source`: who said so, and in which words.

    `floor_ms`: what the configured timings alone take, counted from the last sign of life; None: no
    timing bounds it. `floor_why`: the timings it is made of.
    """

    stage: Stage
    after_ms: float
    source: str
    floor_ms: float | None = None
    floor_why: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How the lead went to another epoch after something was done at `at_s`."""

    at_s: float
    kind: str
    who: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `name` is a key of the words' table."""

    name: str
    value: int
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What terminals heard: counts by result, in words how the late ones were resolved, and why
    some were refused (both as recorded)."""

    counts: tuple[Count, ...]
    resolved: tuple[tuple[str, int], ...]
    refused: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of the verdict. `good` None: told, not judged."""

    what: Words
    value: Words
    limit: Words
    good: bool | None


@dataclass(frozen=True, slots=True)
class Invariant:
    """One checker's question and answer. `how`: how it is answered; `notes` as recorded."""

    checker: str
    question: Words
    how: Words
    verdict: Verdict
    looked_at: int
    affected: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A site, or where else something stands. `nodes` is empty there.

    `switches`: of its network. `batch_s`: it is sent what was settled once in so long while it is
    the standby; 0: it is kept in sync. `services`: offered while it is active; none named: all.
    """

    name: str
    active: bool
    nodes: tuple[str, ...]
    etcd: tuple[str, ...]
    coordinators: tuple[str, ...]
    switches: int = 0
    batch_s: float = 0.0
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the drill was played on: the cluster, and the timings that matter to a recovery."""

    topology: str
    copies_min: int
    places: tuple[Place, ...]
    timings: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the report is from, and how to get it again. `seal`: the manifest's SHA-256.

    `altered`: files that are not as they were when they were sealed.
    """

    folder: str
    started_at: str
    command: str
    seed: int
    rate: float
    terminals: int
    ground: str
    versions: tuple[tuple[str, str], ...]
    seal: str
    files: int
    altered: tuple[str, ...]


class Ending(enum.StrEnum):
    """What ended the longest time without settlement."""

    ITSELF = "itself"
    OPERATORS = "operators"
    REPAIR = "repair"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures that drills are compared by. None: not known.

    `lost`: answers that terminals heard and some ledger that counts does not hold as told.
    `services`: the fewest of the seven that were offered whenever all were asked for.
    `operator_steps`: commands that people typed. `gap_ended`: by what the longest gap ended.
    `absent`: which equipment the drill needs and this topology does not have; empty: it has all.
    """

    gap_ms: float | None
    lost: int | None
    doubled: int | None
    unknown: int | None
    p99_ms: float | None
    wait_ms: float | None
    services: int | None = None
    operator_steps: int = 0
    gap_ended: Ending = Ending.ITSELF
    absent: str = ""


@dataclass(frozen=True, slots=True)
class DrillReport:
    """One drill. `timeline` and `heard` are None where no load was measured."""

    name: str
    title: Words
    about: str
    ruling: Ruling
    sentence: Words
    reason: str
    outcome: Outcome
    gap_limit_ms: float | None
    judged: tuple[Judged, ...]
    timeline: Timeline | None
    recoveries: tuple[Recovery, ...]
    heard: Heard | None
    invariants: tuple[Invariant, ...]
    grounds: Grounds | None
    origin: Origin
