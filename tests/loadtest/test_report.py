"""What a report says of a drill's evidence: the model, before anything is drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from deploy import topology
from loadtest.checkers.finding import Verdict
from loadtest.checkers.panel import PANEL
from loadtest.drill.verdict import Ruling
from loadtest.evidence import Event
from loadtest.faults import AnyFault
from loadtest.history import History
from loadtest.load_plan import LoadPlan
from loadtest.report import course, dossier
from loadtest.report.build import build
from loadtest.report.compare import compare, topology_of
from loadtest.report.dossier import Entry
from loadtest.report.model import DrillReport, Ending, Reign, Span, Stage
from loadtest.report.questions import QUESTIONS
from loadtest.report.recovery import recoveries
from loadtest.report.words import TABLE, Words, deed
from tests.loadtest.test_drill_parts import figures
from tests.loadtest.told_drill import BACK_MS, DRILL, KILLED_MS, add_unheard, play, seal

TWO_SITES = topology.find("renewed-3node")
PLACE = re.compile(r"\{\d?\}")
TIMINGS = {
    "suspicion_ms": 500.0,
    "eviction_ms": 1500.0,
    "agree_ms": 1200.0,
    "move_leader_ms": 700.0,
}
NOTHING_HEARD = History((), (), (), (), ())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> DrillReport:
    return build(dossier.read(play(tmp_path_factory.mktemp("played"))))


def entry(at_ms: float, who: str, event: str, detail: str = "") -> Entry:
    return Entry(at_ms, event, detail, node=who)


# --- the course -----------------------------------------------------------------------------------


def test_a_fault_lasts_until_it_is_undone() -> None:
    events = [
        Event(1.0, "kill a1, a2", "follower"),
        Event(2.0, "steady", "300 a second"),
        Event(3.0, "start a2", "healed"),
        Event(4.0, "switch site:b", "standby-site"),
        Event(5.0, "a1 switches to b", "b1"),
        Event(6.0, "start a1", "healed at the end"),
    ]
    assert course.faults(events) == (
        Span(1.0, 6.0, "kill", "a1"),
        Span(1.0, 3.0, "kill", "a2"),
        Span(4.0, 4.0, "switch", "site:b"),
    )


def test_machines_networks_and_the_load_are_harmed_in_their_own_words() -> None:
    events = [
        Event(1.0, "switchdown switch:a/1", "switch-1"),
        Event(2.0, "fulldisk a1", "leader"),
        Event(3.0, "the rate changes", "600 a second"),
        Event(4.0, "restore switch:a/1", "healed"),
        Event(5.0, "mend a1", "healed"),
        Event(6.0, "the business date ends", "the next one is 20261124"),
    ]
    found = course.faults(events)
    assert found == (
        Span(1.0, 4.0, "switchdown", "switch:a/1"),
        Span(2.0, 5.0, "fulldisk", "a1"),
        Span(3.0, 3.0, "rate", "600 a second"),
        Span(6.0, 6.0, "rollover", "the next one is 20261124"),
    )
    words = [deed(span.kind, span.who).en for span in found]
    assert words == [
        "switch 1 of site a down",
        "disk of a1 full",
        "load: 600 a second",
        "business date ends, the next one is 20261124",
    ]


def test_every_fault_has_its_words() -> None:
    kinds = {type_.__name__.lower() for type_ in get_args(AnyFault)} - {"start", "resume"}
    assert kinds == course.DONE
    assert kinds <= TABLE.keys()


GAP_FROM, GAP_TO = 10_000.0, 22_000.0


@pytest.mark.parametrize(
    ("healed_ms", "typed_ms", "stopped_ms", "ending"),
    [
        (30_000.0, None, 60_000.0, Ending.ITSELF),
        (21_000.0, None, 60_000.0, Ending.REPAIR),
        (23_000.0, None, 60_000.0, Ending.REPAIR),  # on record once it was done
        (30_000.0, 20_000.0, 60_000.0, Ending.OPERATORS),
        (21_000.0, 20_000.0, 60_000.0, Ending.REPAIR),  # the command did not help
        (30_000.0, 25_000.0, 60_000.0, Ending.ITSELF),  # a new disk, long after
        (10_500.0, None, 60_000.0, Ending.ITSELF),  # the healing itself made the gap
        (21_000.0, None, GAP_TO, Ending.NEVER),
    ],
)
def test_what_ended_the_gap_is_read_from_the_events(
    healed_ms: float, typed_ms: float | None, stopped_ms: float, ending: Ending
) -> None:
    events = [Event(9_900.0, "kill a1", "leader"), Event(healed_ms, "start a1", "healed")]
    if typed_ms is not None:
        events.append(Event(typed_ms, "operator", "kessai site switch --to b"))
    found = replace(
        figures(),
        longest_gap_at_ms=GAP_FROM,
        longest_gap_ms=GAP_TO - GAP_FROM,
        stopped_ms=stopped_ms,
    )
    assert course.gap_ended(found, course.faults(events), events) is ending
    assert course.operator_steps(events) == (typed_ms is not None)


def test_a_reign_ends_with_its_leader_its_site_or_the_next_one() -> None:
    journal = [
        entry(0.0, "a1", "serving", "epoch 4 from index 1"),
        entry(50.0, "b1", "serving", "epoch 7 from index 9"),
        entry(80.0, "b1", "follower", "gave up epoch 7"),
        entry(90.0, "a2", "serving", "epoch 8 from index 12"),
    ]
    killed = [Span(20.0, None, "kill", "site:a")]
    assert course.reigns(journal, killed, TWO_SITES) == (
        Reign(0.0, 20.0, "a1", 4),
        Reign(50.0, 80.0, "b1", 7),
        Reign(90.0, None, "a2", 8),
    )


def test_the_mode_is_told_by_the_leaders_and_only_where_there_are_two_sites() -> None:
    journal = [
        entry(10.0, "b1", "alarm", "degraded: site a does not count any more (X2)"),
        entry(30.0, "b1", "in-sync", "site a counts again, with 1 replica"),
    ]
    kinds = [(span.from_s, span.kind) for span in course.modes(journal, TWO_SITES)]
    assert kinds == [(0.0, "mode_in_sync"), (10.0, "mode_degraded"), (30.0, "mode_in_sync")]
    assert course.modes(journal, topology.find("one-site-3node")) == ()
    journal.append(entry(50.0, "a1", "batches", "site b is fed in batches from here on (X6)"))
    kinds = [
        (span.from_s, span.kind) for span in course.modes(journal, topology.find("legacy-2node"))
    ]
    assert kinds[0] == (0.0, "mode_batches")
    assert kinds[-1] == (50.0, "mode_batches")


# --- recovery -------------------------------------------------------------------------------------


def test_a_lost_site_waits_for_agreement_and_for_the_eviction() -> None:
    journal = [
        entry(1_300.0, "cb", "unserved", "terminals of site a are not served here for 1.2 s"),
        entry(1_310.0, "cw", "site-switch", "revision 9"),
        entry(1_400.0, "b1", "campaign", "nobody holds the leader key"),
        entry(1_410.0, "b1", "takeover", "won epoch 9, fencing"),
        entry(2_950.0, "b1", "set-change", "made: evict a1/d a2/d a3/d"),
        entry(2_960.0, "b1", "serving", "epoch 9 from index 4"),
    ]
    (found,) = recoveries([Span(0.0, None, "kill", "site:a")], journal, NOTHING_HEARD, TIMINGS)
    assert [(phase.stage, phase.after_ms, phase.floor_ms) for phase in found.phases] == [
        (Stage.NOTICED, 1_300.0, 1_200),
        (Stage.DECIDED, 1_310.0, 1_200),
        (Stage.WON, 1_410.0, 1_200),
        (Stage.RECOVERED, 2_960.0, 2_700),
    ]
    assert found.phases[-1].floor_why == "agree_ms 1200 + eviction_ms 1500"


@pytest.mark.parametrize(
    ("why", "floor_ms"),
    [
        ("a1 silent 560 ms, agreed by 2", 500),
        ("a1 refuses connections, agreed by 2", 0.0),
        ("nobody holds the leader key", None),
    ],
)
def test_the_floor_is_that_of_the_way_it_was_noticed(why: str, floor_ms: float | None) -> None:
    journal = [
        entry(600.0, "a2", "campaign", why),
        entry(610.0, "a2", "takeover", "won epoch 9, fencing"),
        entry(620.0, "a2", "serving", "epoch 9 from index 4"),
    ]
    (found,) = recoveries([Span(0.0, None, "kill", "a1")], journal, NOTHING_HEARD, TIMINGS)
    assert found.phases[0].floor_ms == floor_ms


def test_a_move_that_was_asked_for_waits_for_nothing() -> None:
    journal = [
        entry(5.0, "a1", "handover", "not now: this leader is only starting"),
        entry(20.0, "a1", "switch", "site b is to be active, led by b3"),
        entry(30.0, "b3", "campaign", "a1 has switched to this site"),
        entry(40.0, "b3", "takeover", "won epoch 9, fencing"),
        entry(60.0, "b3", "serving", "epoch 9 from index 4"),
    ]
    (found,) = recoveries([Span(0.0, 0.0, "switch", "site:b")], journal, NOTHING_HEARD, TIMINGS)
    assert [(phase.stage, phase.after_ms, phase.floor_ms) for phase in found.phases] == [
        (Stage.DECIDED, 20.0, 0.0),
        (Stage.WON, 40.0, 0.0),
        (Stage.RECOVERED, 60.0, 0.0),
    ]


def test_a_leader_that_terminals_do_not_reach_is_seen_by_coordinators() -> None:
    journal = [
        entry(720.0, "cw", "leader-unreached", "a1 is not reached"),
        entry(760.0, "a1", "handover", "a2 is asked to lead"),
        entry(770.0, "a2", "campaign", "handed over by a1"),
        entry(780.0, "a2", "takeover", "won epoch 9, fencing"),
        entry(790.0, "a2", "serving", "epoch 9 from index 4"),
    ]
    (found,) = recoveries([Span(0.0, None, "cut", "a1")], journal, NOTHING_HEARD, TIMINGS)
    assert [phase.stage for phase in found.phases[:2]] == [Stage.NOTICED, Stage.DECIDED]
    assert {phase.floor_why for phase in found.phases} == {"move_leader_ms 700"}


def test_without_a_new_epoch_there_is_nothing_to_recover() -> None:
    assert recoveries([Span(0.0, None, "kill", "a3")], [], NOTHING_HEARD, {}) == ()
    assert recoveries([], [], NOTHING_HEARD, {}) == ()


# --- the whole ------------------------------------------------------------------------------------


def test_the_report_tells_the_drill(told: DrillReport) -> None:
    assert told.ruling is Ruling.PASS
    assert told.title == Words("The leader is killed", "リーダーの停止")
    assert told.outcome.gap_ms == pytest.approx(1_270.0)
    assert (told.outcome.lost, told.outcome.doubled, told.outcome.unknown) == (0, 0, 0)
    assert "1.27 s" in told.sentence.en
    assert "1.27 秒" in told.sentence.ja
    assert told.origin.command == "kessai drill run leader-crash --seed 7"
    assert (told.origin.seed, told.origin.rate, told.origin.terminals) == (7, 40.0, 4)
    assert topology_of(told) == "one-site-3node"


def test_its_timeline_is_in_seconds_since_the_load_began(told: DrillReport) -> None:
    timeline = told.timeline
    assert timeline is not None
    assert timeline.length_s == 20.0
    assert timeline.faults == (Span(KILLED_MS / 1000.0, BACK_MS / 1000.0, "kill", "a1"),)
    assert timeline.reigns == (Reign(0.0, 8.0, "a1", 1), Reign(8.7, None, "a2", 2))
    assert [second.at_s for second in timeline.seconds] == list(range(20))
    quiet, after = timeline.seconds[8], timeline.seconds[9]
    assert quiet.settled == 0
    assert after.settled > 50
    assert quiet.p99_ms == pytest.approx(1_200.0)
    assert timeline.seconds[4].p99_ms == pytest.approx(30.0)


def test_its_recovery_is_told_by_journals_and_histories(told: DrillReport) -> None:
    (recovery,) = told.recoveries
    assert (recovery.at_s, recovery.kind, recovery.who) == (8.0, "kill", "a1")
    stages = {phase.stage: phase.after_ms for phase in recovery.phases}
    assert stages == {
        Stage.NOTICED: 600.0,
        Stage.WON: 650.0,
        Stage.RECOVERED: 700.0,
        Stage.SETTLED: 1_200.0,
        Stage.BACK: 1_230.0,
    }
    assert {phase.floor_ms for phase in recovery.phases} == {500}


def test_slips_and_failures_are_told(tmp_path: Path) -> None:
    folder = play(tmp_path)
    add_unheard(folder)
    seal(folder)
    told = build(dossier.read(folder), ["history-0.ndjson"])
    assert told.ruling is Ruling.FAIL
    assert "Results unknown at the deadline: 3" in told.sentence.en
    assert "期限内に結果不明 3" in told.sentence.ja
    assert told.timeline is not None
    assert told.timeline.seconds[8].unknown == 3
    assert told.heard is not None
    counts = {count.name: count for count in told.heard.counts}
    assert (counts["slips"].value, counts["unknown_end"].good) == (3, False)
    assert told.origin.altered == ("history-0.ndjson",)


def test_every_checker_has_its_question_in_both_languages(told: DrillReport) -> None:
    assert QUESTIONS.keys() == PANEL.keys()
    assert {name: words.en for name, (words, _) in QUESTIONS.items()} == {
        name: question for name, (question, _) in PANEL.items()
    }
    assert {each.verdict for each in told.invariants} == {Verdict.PASS}
    assert all(each.looked_at for each in told.invariants)


def test_both_languages_are_complete() -> None:
    pairs = [*TABLE.items(), *((name, each) for name, two in QUESTIONS.items() for each in two)]
    for name, words in pairs:
        assert words.en, name
        assert words.ja, name
        assert not any(ord(letter) > 0x2FFF for letter in words.en), name
        assert sorted(PLACE.findall(words.en)) == sorted(PLACE.findall(words.ja)), name
    assert deed("isolate", "site:a") == Words("site a cut off", "サイト a ネットワーク孤立")


def test_evidence_without_figures_is_told_all_the_same(tmp_path: Path) -> None:
    folder = play(tmp_path)
    document = msgspec.json.decode((folder / "verdict.json").read_bytes())
    document |= {"ruling": "inconclusive", "rows": [], "findings": [], "figures": None}
    document["course"]["unplayed"] = "nobody leads"
    (folder / "verdict.json").write_bytes(msgspec.json.encode(document))
    told = build(dossier.read(folder))
    assert told.timeline is None
    assert told.outcome.lost is None
    assert "nobody leads" in told.sentence.en


def test_figures_that_an_older_version_did_not_seal_are_taken_from_the_histories(
    tmp_path: Path,
) -> None:
    folder = play(tmp_path)
    document = msgspec.json.decode((folder / "verdict.json").read_bytes())
    del document["figures"]["p99_ms"]
    document["figures"]["something_else_ms"] = 5.0
    (folder / "verdict.json").write_bytes(msgspec.json.encode(document))
    told = build(dossier.read(folder))
    assert told.outcome.p99_ms == pytest.approx(1_100.0, abs=200.0)


def test_another_topology_than_the_one_it_was_played_on_is_not_drawn(tmp_path: Path) -> None:
    folder = play(tmp_path)
    (folder / "topology.json").unlink()
    assert build(dossier.read(folder)).grounds is not None
    plan = LoadPlan("r", (), "h", 1.0, 1, 1, "T", 20261123, sites={"x:1": "a", "x:2": "b"})
    (folder / "load-plan.json").write_bytes(msgspec.json.encode(plan))
    assert build(dossier.read(folder)).grounds is None


# --- beside each other ----------------------------------------------------------------------------


def test_repeats_stand_together_and_topologies_beside_each_other(told: DrillReport) -> None:
    comparison = compare([told, told])
    (line,) = comparison.lines
    (cell,) = line.cells
    assert cell is not None
    assert (len(cell.reports), cell.passed, cell.ruling) == (2, 2, Ruling.PASS)
    both = compare([told], ("legacy-2node", "one-site-3node"))
    assert both.lines[0].cells[0] is None
    assert both.lines[0].cells[1] is not None
    assert both.reports == (told,)
    assert DRILL.title == line.title.en
