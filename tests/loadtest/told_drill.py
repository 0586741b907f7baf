"""A drill that was never played: the small town's day with a leader lost in it, as sealed evidence.

Twenty seconds on two clocks: histories and events count from 0, journals in Unix time. The leader
a1 is killed at 8.0 s, a2 settles from 9.2 s on, a1 is back at 12.0 s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec

from deploy import topology
from loadtest import evidence, history_file
from loadtest.checkers.finding import ask_all
from loadtest.checkers.panel import PANEL
from loadtest.drill.catalogue import Drill, Limits
from loadtest.drill.keeping import Keeper
from loadtest.drill.steps import Heal, Steady
from loadtest.drill.verdict import Course, judge
from loadtest.evidence import Event
from loadtest.faults import Kill
from loadtest.history import Header, Heard, Intent, Line, Mark, Result
from loadtest.history_file import Recorder
from loadtest.measure import measure
from tests.loadtest.small_town import live

UNIX_AT_ZERO_MS: Final = 1_700_000_000_000
KILLED_MS: Final = 8_000.0
SETTLED_MS: Final = 9_200.0
BACK_MS: Final = 12_000.0
END_MS: Final = 20_000.0
_TURN_MS: Final = 100.0

DRILL: Final = Drill(
    title="The leader is killed",
    title_ja="リーダーの停止",
    about="A day that was <made up> for tests & nothing else.",
    steps=(Steady(4.0), Kill("leader"), Heal(), Steady(3.0)),
    limits=Limits(longest_gap_ms=1500.0, new_leader=True, failed=0, unserved=0),
    topology="one-site-3node",
    name="leader-crash",
)

_EVENTS: Final = (
    Event(2_000.0, "steady", "300 a second"),
    Event(KILLED_MS, "kill a1", "leader"),
    Event(BACK_MS, "start a1", "healed"),
    Event(12_400.0, "newly in sync", "a1/d is counted, 1 entries behind"),
    Event(END_MS - 1.0, "arrivals stop"),
)
_JOURNAL: Final = (
    (-900, "a1", "serving", "epoch 1 from index 1"),
    (8_600, "a2", "campaign", "a1 silent 560 ms, agreed by 2"),
    (8_650, "a2", "takeover", "won epoch 2, fencing"),
    (8_700, "a2", "serving", "epoch 2 from index 80"),
    (12_100, "a1", "started", "disk d, log ends at 79"),
    (22_000, "a2", "handover", "a3 is asked to lead"),
    (22_010, "a3", "takeover", "won epoch 3, fencing"),
    (22_020, "a3", "serving", "epoch 3 from index 900"),
)


def play(folder: Path, drill: Drill = DRILL) -> Path:
    """The evidence folder, judged and sealed as the runner does it."""
    town = live(seed=7, tills=4, actions=200)
    town.history[:] = [_at_its_time(line) for line in town.history]
    town.history += [Mark("load began", 0.0), Mark("arrivals stopped", END_MS)]
    town.write(folder)
    for event in _EVENTS:
        with (folder / "events.ndjson").open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
    for at_ms, node, kind, detail in _JOURNAL:
        line = {"at_ms": UNIX_AT_ZERO_MS + at_ms, "node": node, "event": kind, "detail": detail}
        with (folder / f"log-{node}.txt").open("a") as file:
            file.write(json.dumps(line) + "\nnot a line of the journal\n")
    seal(folder, drill)
    return folder


def seal(folder: Path, drill: Drill = DRILL) -> None:
    """Judge what is in the folder, and seal it."""
    told = evidence.read(folder)
    figures = measure(told.history, 2_000.0, (KILLED_MS - 200.0, BACK_MS))
    course = Course("a1", 1, "a2", 2, 2_000.0, BACK_MS, 0.0, KILLED_MS - 200.0, BACK_MS)
    findings = ask_all(PANEL, told)
    Keeper(folder, lambda words: None).seal(
        drill,
        drill.changed(topology.find(drill.topology)),
        judge(drill.limits, figures, course, findings),
        figures,
        course,
        command="kessai drill run leader-crash --seed 7",
        started_at="2026-11-23T20:00:00+09:00",
        seed=7,
    )


def add_unheard(folder: Path, asks: int = 3) -> None:
    """Asks that had no answer in time, while nobody led."""
    told = history_file.read(sorted(folder.glob("history-*.ndjson")))
    with Recorder(folder / "history-unheard.ndjson") as recorder:
        for number in range(asks):
            intent = told.intents[number]
            at_ms = KILLED_MS + 10.0 * number
            ask = f"unheard/{number}"
            recorder.write(Intent(ask, intent.key, at_ms, at_ms, intent.request, True))
            unheard = (at_ms, at_ms, at_ms + 600.0, 3, "town")
            recorder.write(Heard(ask, intent.key, Result.UNKNOWN, *unheard))


def _at_its_time(line: Line) -> Line:
    """The town counts turns; here a turn is a tenth of a second, and nobody settles for a while."""
    match line:
        case Header():
            return msgspec.structs.replace(line, rate=40.0, terminals=4)
        case Intent():
            at_ms = line.intended_ms * _TURN_MS
            return msgspec.structs.replace(line, intended_ms=at_ms, written_ms=at_ms)
        case Heard():
            at_ms = line.intended_ms * _TURN_MS
            heard_ms = at_ms + 30.0
            if KILLED_MS <= heard_ms < SETTLED_MS:
                heard_ms = SETTLED_MS
            return msgspec.structs.replace(
                line, intended_ms=at_ms, sent_ms=at_ms, heard_ms=heard_ms
            )
    return line
