"""What drills are made of: the catalogue, figures, verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from deploy.topology import FOLDER as TOPOLOGIES
from deploy.topology import load as load_topology
from loadtest.checkers.finding import Finding, Verdict
from loadtest.drill.catalogue import (
    CLOCK,
    DISK_FAULTS,
    NETWORK,
    Drill,
    DrillError,
    Kind,
    Limits,
    catalogue,
    find,
    load,
)
from loadtest.drill.grounds import loopback, namespaces
from loadtest.drill.steps import Steady, Step
from loadtest.drill.verdict import Course, DrillVerdict, Ruling, judge
from loadtest.faults import FullDisk, Kill, SlowDisk, Switch, SwitchDown, WrongClock
from loadtest.history import Heard, History, Intent, Mark, Reply, Result, Stall, Unsent, gathered
from loadtest.measure import Figures, NothingMeasured, longest_gap, measure
from loadtest.request import Dcc, Request, Service, Type
from loadtest.slip import fault_slip, receipt

# --- the catalogue --------------------------------------------------------------------------------


def test_the_catalogue_holds_the_drills_and_each_is_steady_first_and_last() -> None:
    drills = {drill.name: drill for drill in catalogue()}
    assert drills.keys() >= {
        "demo",
        "leader-crash",
        "leader-pause",
        "follower-crash",
        "two-crashes",
        "two-crashes-two-copies",
        "rolling-restart",
        "handover",
        "etcd-member-crash",
        "etcd-away",
        "site-loss",
        "site-switch",
        "intersite-cut",
        "standby-node-loss",
        "standby-two-nodes-loss",
        "disk-lost",
        "long-absence",
        "etcd-away-two-sites",
        "active-isolated",
        "burst-at-failover",
        "load-at-n-minus-one",
        "date-rollover-at-failover",
    }
    for drill in drills.values():
        assert isinstance(drill.steps[0], Steady), drill.name
        assert isinstance(drill.steps[-1], Steady), drill.name
        assert (TOPOLOGIES / f"{drill.topology}.toml").exists()
        ground = namespaces if drill.ground is Kind.NETNS else loopback
        assert drill.needs <= ground.OFFERS, drill.name
    assert drills["two-crashes"].copies_min == 1
    assert drills["two-crashes-two-copies"].copies_min == 2
    assert drills["leader-crash"].limits.longest_gap_ms == 2500
    assert drills["leader-pause"].limits.longest_gap_ms == 2000
    assert drills["handover"].limits.longest_wait_ms == 300
    assert drills["site-loss"].limits.longest_gap_ms == 5000
    assert drills["site-switch"].limits.longest_wait_ms == 500
    assert drills["intersite-cut"].limits.longest_gap_ms == 2000


def test_what_a_drill_needs_is_in_its_steps() -> None:
    def needing(*steps: Step) -> frozenset[str]:
        return Drill("t", "t", "t", (Steady(1), *steps), Limits()).needs

    assert needing(Kill("leader"), Switch("standby-site")) == set()
    assert needing(SwitchDown("switch-1")) == {NETWORK}
    assert needing(SlowDisk("leader", delay_ms=9)) == {DISK_FAULTS}
    assert needing(FullDisk("leader"), WrongClock("leader", offset_s=9)) == {DISK_FAULTS, CLOCK}


def test_a_drill_changes_what_it_says_of_its_topology_and_no_more() -> None:
    drill = find("disk-lost")
    before = load_topology(TOPOLOGIES / f"{drill.topology}.toml")
    after = drill.changed(before)
    assert after.limits.log_keep_entries == 200
    assert after.limits.entries_in_memory < after.limits.log_keep_entries
    assert msgspec.structs.replace(after, limits=before.limits) == before


GOOD = """
title = "t"
title_ja = "t"
about = "a"
[limits]
[[steps]]
do = "steady"
for_s = 1
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "is not a drill"),
        (GOOD.replace('"steady"', '"steadi"'), "step 1: .* did you mean 'steady'"),
        (GOOD.replace('"steady"', '"explode"'), "no such step; there are: steady, hold"),
        (GOOD.replace('do = "steady"', ""), "step 1: expected do = "),
        (GOOD.replace("for_s", "for_ms"), "`for_ms`; steady takes for_s, within_s, required"),
        (GOOD.replace("for_s = 1", 'for_s = "1"'), "step 1: .*Expected `float`"),
        (GOOD + '[[steps]]\ndo = "heal"\nwhat = 1\n', "step 2: .*heal takes all"),
        (GOOD.partition("[[steps]]")[0], r"expected its steps as \[\[steps\]\]"),
        (GOOD + "surprise = 1\n", "surprise"),
        (GOOD.replace("for_s = 1", "for_s = 1\n[load]\nrate = 0"), "rate"),
        (GOOD.replace('do = "steady"', 'do = "hold"'), "steady state"),
        (GOOD + '[[steps]]\ndo = "rate"\ntimes = 0\n', "step 2: times"),
        (GOOD.replace('about = "a"', 'about = "a"\nlongest_s = 0'), "longest_s"),
        (GOOD + '[[steps]]\ndo = "cut"\ntarget = "between-sites"\n', "nothing can be cut"),
        (GOOD + '[[steps]]\ndo = "isolate"\ntarget = "site:a"\n', 'ground = "netns"'),
        (GOOD + "[overrides.limits]\nlog_keep = 1\n", "log_keep_entries"),
        (GOOD + "[overrides.timings]\nlease_ms = 1.5\n", "overrides.timings"),
        (GOOD.replace('about = "a"', 'about = "a"\nground = "moon"'), "moon"),
    ],
)
def test_a_drill_that_cannot_be_played_is_refused_with_its_file(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DrillError, match=words) as refusal:
        load(path)
    assert str(path) in str(refusal.value)


def test_a_users_own_file_is_found_and_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    drill: Drill = find(str(path))
    assert drill.name == "mine"
    with pytest.raises(DrillError, match=r"leader-crash.*two-crashes"):
        find("tea-break")
    with pytest.raises(DrillError, match="did you mean 'leader-crash'"):
        find("leader-crush")
    with pytest.raises(DrillError, match="cannot be read"):
        find(str(tmp_path / "none.toml"))


# --- figures --------------------------------------------------------------------------------------


def reply(*, replayed: bool = False) -> Reply:
    return Reply("k", 1, "00", "r", "a", 2, None, 1, 1, "", replayed)


def history_of(*heard: Heard, unsent: int = 0, asks: int | None = None) -> History:
    request = Request("S", "T", 20261123, stan=1, service=1, type=3, amount_minor=5)
    numbers = range(asks if asks is not None else len({line.ask for line in heard}))
    intents = tuple(
        Intent(f"T/{number}", "k", 1_000.0 + number * 100, 1_000.0, request) for number in numbers
    )
    return History(
        headers=(),
        intents=intents,
        heard=heard,
        unsent=(Unsent("T", unsent, 0.0),) if unsent else (),
        marks=(Mark("load began", 1_000.0), Mark("arrivals stopped", 2_000.0)),
    )


def heard_at(number: int, at_ms: float, result: Result = Result.OK, resolved: str = "") -> Heard:
    intended = 1_000.0 + number * 100
    answer = reply() if result is Result.OK else None
    return Heard(
        f"T/{number}", "k", result, intended, intended, at_ms, 1, "e", answer, resolved=resolved
    )


def test_waits_count_from_the_intended_start_and_gaps_from_edge_to_edge() -> None:
    figures = measure(history_of(*(heard_at(number, 1_010 + number * 100) for number in range(5))))
    assert (figures.slots, figures.answered, figures.approved) == (5, 5, 5)
    assert figures.p50_ms == figures.longest_wait_ms == 10
    # The last answer came at 1,410, and arrivals went on until 2,000.
    assert (figures.longest_gap_ms, figures.longest_gap_at_ms) == (590, 1_410)


def test_an_answer_after_the_deadline_is_a_failed_request_that_was_resolved() -> None:
    figures = measure(
        history_of(
            heard_at(0, 1_500, Result.UNKNOWN),
            heard_at(0, 1_900, resolved="same key: settled before"),
            heard_at(1, 1_200),
        )
    )
    assert (figures.failed, figures.unknown_at_end, figures.unserved) == (1, 0, 0)
    assert figures.unknown_resolved == {"same key: settled before": 1}
    assert figures.longest_wait_ms == 900


def test_a_later_word_counts_wherever_it_was_read() -> None:
    late, unheard = heard_at(0, 1_900, resolved="heard later"), heard_at(0, 1_500, Result.UNKNOWN)
    told = gathered([late, unheard])
    assert told.final()["T/0"] == late
    assert gathered([unheard, late]).heard == told.heard


def test_what_was_never_heard_or_sent_is_unserved() -> None:
    figures = measure(history_of(heard_at(0, 1_010), unsent=4, asks=2))
    assert (figures.slots, figures.answered) == (6, 1)
    assert (figures.failed, figures.unknown_at_end, figures.unserved) == (1, 1, 5)


def test_no_answer_at_all_is_one_long_gap() -> None:
    assert longest_gap([], 1_000.0, 3_000.0) == (2_000.0, 1_000.0)


def test_before_the_steady_state_gaps_and_waits_are_not_looked_for() -> None:
    slow = (heard_at(0, 1_400), *(heard_at(number, 1_005 + number * 100) for number in (5, 9)))
    told = history_of(*slow, asks=10)
    assert measure(told).longest_wait_ms == 400
    assert measure(told, steady_ms=1_500.0).longest_wait_ms == 5


def test_the_longest_wait_is_of_slots_that_came_while_the_cluster_was_disturbed() -> None:
    lines = [heard_at(number, 1_010 + number * 100) for number in range(9)]
    told = history_of(heard_at(9, 1_990), *lines, asks=10)
    assert measure(told).longest_wait_ms == 90
    assert measure(told, disturbed=(1_000.0, 1_500.0)).longest_wait_ms == 10
    assert measure(told, disturbed=(5_000.0, 6_000.0)).longest_wait_ms == 0


def test_the_generators_own_stalls_are_told() -> None:
    told = replace(history_of(heard_at(0, 1_010)), stalls=(Stall(1_100.0, 700.0), Stall(1.0, 9e9)))
    assert measure(told, steady_ms=1_000.0).generator_stall_ms == 700
    row = next(
        row for row in ruling(Limits(), told=measure(told, 1_000.0)).rows if "stall" in row.what
    )
    assert (row.value, row.good) == ("700 ms", None)


def test_histories_without_load_are_not_measured() -> None:
    with pytest.raises(NothingMeasured):
        measure(History((), (), (), (), ()))


# --- the verdict ----------------------------------------------------------------------------------

COURSE = Course("a1", 5, "a2", 9, 0.0, 1_800.0, 150.0)
PASSED = tuple(
    Finding(name, "?", Verdict.PASS, 10)
    for name in ("lost_approval", "double_effect", "divergence")
)


def figures() -> Figures:
    return measure(history_of(*(heard_at(number, 1_010 + number * 100) for number in range(10))))


def ruling(
    limits: Limits,
    *,
    told: Figures | None = None,
    course: Course = COURSE,
    findings: tuple[Finding, ...] = PASSED,
) -> DrillVerdict:
    return judge(limits, told or figures(), course, findings)


def bad_rows(verdict: DrillVerdict) -> list[str]:
    return [row.what for row in verdict.rows if row.good is False]


def test_a_good_drill_passes() -> None:
    limits = Limits(
        longest_gap_ms=150, longest_wait_ms=50, p99_ms=50, failed=0, new_leader=True, resumed_ms=200
    )
    verdict = ruling(limits)
    assert verdict.ruling is Ruling.PASS
    assert bad_rows(verdict) == []


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        (Limits(longest_gap_ms=50), "time terminals could not settle"),
        (Limits(longest_wait_ms=5), "longest wait while disturbed"),
        (Limits(p99_ms=5), "p50 / p99 from the intended start"),
        (Limits(new_leader=False), "leader and epoch"),
        (Limits(resumed_ms=100), "from the repair to the next settlement"),
    ],
)
def test_each_limit_fails_its_own_row(limits: Limits, row: str) -> None:
    verdict = ruling(limits)
    assert verdict.ruling is Ruling.FAIL
    assert bad_rows(verdict) == [row]


def test_unserved_slots_and_unknown_results_fail() -> None:
    told = measure(history_of(heard_at(0, 1_010), unsent=4, asks=2))
    verdict = ruling(Limits(failed=0, unserved=0), told=told)
    assert verdict.ruling is Ruling.FAIL
    assert bad_rows(verdict) == [
        "results unknown at the deadline",
        "results unknown at the end",
        "slots not served",
    ]


def test_a_conviction_fails_and_is_counted() -> None:
    lost = Finding("lost_approval", "?", Verdict.FAIL, 10, ("x on a1", "x on a2"), 1)
    verdict = ruling(Limits(), findings=(lost,))
    assert verdict.ruling is Ruling.FAIL
    assert bad_rows(verdict) == ["approvals lost"]
    assert next(row.value for row in verdict.rows if row.what == "approvals lost") == "1"


def test_an_unknown_answer_no_evidence_or_an_unplayed_step_is_never_a_pass() -> None:
    unknown = Finding("lost_approval", "?", Verdict.UNKNOWN, 0, ("crashed",))
    assert ruling(Limits(), findings=(unknown,)).ruling is Ruling.INCONCLUSIVE
    assert ruling(Limits(), findings=()).ruling is Ruling.INCONCLUSIVE
    unplayed = Course("a1", 5, "a2", 9, 0.0, None, None, unplayed="no steady state")
    assert ruling(Limits(), course=unplayed).ruling is Ruling.INCONCLUSIVE
    assert judge(Limits(), None, COURSE, PASSED).ruling is Ruling.INCONCLUSIVE


def test_what_a_checker_proved_counts_also_where_the_drill_was_not_played_out() -> None:
    lost = Finding("lost_approval", "?", Verdict.FAIL, 10, ("x",), 1)
    unplayed = Course("a1", 5, "a1", 5, 0.0, None, None, unplayed="no leader to kill")
    limits = Limits(new_leader=True)
    assert ruling(limits, course=unplayed).ruling is Ruling.INCONCLUSIVE
    assert ruling(limits, course=unplayed, findings=(lost,)).ruling is Ruling.FAIL


def test_a_promise_that_was_broken_is_a_failure_whatever_the_figures_say() -> None:
    broken = Course("a1", 5, "a2", 9, 0.0, None, None, broken="no alarm says 'degraded'")
    verdict = ruling(Limits(), course=broken)
    assert (verdict.ruling, verdict.broken) == (Ruling.FAIL, broken.broken)


@pytest.mark.parametrize(
    ("offered", "least", "value", "good"),
    [(7, 7, "7 of 7", True), (1, 7, "1 of 7", False), (None, 7, "not asked", False)],
)
def test_services_are_judged_where_there_is_a_limit(
    offered: int | None, least: int, value: str, good: bool
) -> None:
    verdict = ruling(Limits(services=least), course=replace(COURSE, services=offered))
    (row,) = [row for row in verdict.rows if row.what == "services still offered"]
    assert (row.value, row.limit, row.good) == (value, f">= {least}", good)
    assert verdict.ruling is (Ruling.PASS if good else Ruling.FAIL)


def test_services_and_operator_steps_are_told_and_not_judged_without_a_limit() -> None:
    verdict = ruling(Limits(), course=replace(COURSE, services=1, operator_steps=3))
    rows = {row.what: row for row in verdict.rows}
    assert (rows["services still offered"].value, rows["services still offered"].good) == (
        "1 of 7",
        None,
    )
    assert (rows["operator steps"].value, rows["operator steps"].good) == ("3", None)
    assert verdict.ruling is Ruling.PASS
    assert "services still offered" not in {row.what for row in ruling(Limits()).rows}


def test_settling_that_never_resumed_fails() -> None:
    never = Course("a1", 5, "a2", 9, 0.0, 1_800.0, None)
    verdict = ruling(Limits(resumed_ms=3_000), course=never)
    assert bad_rows(verdict) == ["from the repair to the next settlement"]


# --- slips ----------------------------------------------------------------------------------------


def test_the_fault_slip_speaks_both_languages_and_names_the_key() -> None:
    request = Request(
        "S",
        "T0001",
        20261123,
        stan=7,
        service=Service.DCC,
        type=Type.SALE,
        amount_minor=120_000,
        card_last4="4242",
        dcc=Dcc(80_040, "USD", "0.00667"),
    )
    text = "\n".join(fault_slip(request))
    for words in ("障害伝票", "FAULT SLIP", "¥120,000", "****4242", "結果は後ほど", "80040 USD"):
        assert words in text
    assert request.key in text


def test_receipts_say_what_was_answered() -> None:
    request = Request("S", "T", 20261123, stan=1, service=4, type=7, amount_minor=3_000)
    line = heard_at(0, 1_010)
    text = "\n".join(receipt(request, line))
    assert "APPROVED 承認" in text
    assert "top-up チャージ  ¥3,000" in text
    refused = Heard(
        "T/0", "k", Result.REFUSED, 0, 0, 1, 1, "e", code="INVALID_ARGUMENT", detail="x"
    )
    assert "REFUSED エラー" in "\n".join(receipt(request, refused))
    unknown = heard_at(0, 1_010, Result.UNKNOWN)
    assert receipt(request, unknown) == fault_slip(request)
