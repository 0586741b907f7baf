"""What is done about the active site, case by case: who sees what, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from coordinator.configuration import Configuration, ReplicaId
from coordinator.records import NodeSight, Reach, ReportRecord
from coordinator.settings import Mode, Switching
from coordinator.sites.judgement import (
    FAILOVER_MS,
    LED_MS,
    SETTLE_MS,
    STALLED_MS,
    Blocked,
    Decision,
    Look,
    MoveLeader,
    Nothing,
    Propose,
    Switch,
    judge,
)
from coordinator.sites.reports import Heard

REVISION = 100
SITES = {"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")}
BOTH = Configuration(
    "cluster-id",
    "a",
    {
        site: frozenset(ReplicaId(node, f"disk-{node}") for node in nodes)
        for site, nodes in SITES.items()
    },
    2,
)
SWITCHING = Switching()
AGREE_MS = SWITCHING.agree_ms

WELL = {"a1": Reach.SERVES, "b1": Reach.ANSWERS, "b2": Reach.ANSWERS, "b3": Reach.ANSWERS}
A_SILENT = {"a1": Reach.SILENT, "a2": Reach.SILENT, "a3": Reach.SILENT}
B_SILENT = {"b1": Reach.SILENT, "b2": Reach.SILENT, "b3": Reach.SILENT}
STALLED = {"a1": Reach.STALLS}
LEADER_SILENT = {"a1": Reach.SILENT}


def report(
    place: str,
    reaches: dict[str, Reach] | None = None,
    *,
    unserved_ms: int = 0,
    unreached_ms: int = 0,
    revision: int = REVISION,
    awaited: bool = False,
    epoch: int = 7,
    active: str = "a",
    led_ms: int = -1,
    failover_ms: int = -1,
) -> ReportRecord:
    """What a place reports; nodes that are not named answer as in a healthy cluster."""
    seen = WELL | (reaches or {})
    return ReportRecord(
        place=place,
        source=f"c{place}",
        sequence=1,
        at_ms=0,
        mode="automatic",
        revision=revision,
        active_site=active,
        unserved_ms=unserved_ms,
        awaited=awaited,
        leader="a1",
        epoch=epoch,
        led_ms=led_ms,
        leader_unreached_ms=unreached_ms,
        failover_ms=failover_ms,
        nodes=tuple(
            NodeSight(node, site, seen.get(node, Reach.ANSWERS), unserved_ms)
            for site, nodes in SITES.items()
            for node in nodes
        ),
        etcd="e:1",
        etcd_ok=True,
        etcd_away_ms=0,
    )


def lost(place: str, unserved_ms: int = AGREE_MS, revision: int = REVISION) -> ReportRecord:
    """A place that reaches nobody in site a."""
    return report(place, A_SILENT, unserved_ms=unserved_ms, revision=revision)


def judged(
    mine: ReportRecord,
    *others: ReportRecord | Heard,
    configuration: Configuration | None = BOTH,
    switching: Switching = SWITCHING,
    revision: int = REVISION,
) -> Decision:
    """The decision; a bare report has just changed."""
    heard = [each if isinstance(each, Heard) else Heard(each, 100.0) for each in others]
    return judge(Look(configuration, revision, mine, heard), switching)


# --- Two of three places ----------------------------------------------------------------------


def test_two_places_that_agree_switch_the_site() -> None:
    decision = judged(lost("b", 1400), lost("witness", 1300))
    assert isinstance(decision, Switch)
    assert decision.to == "b"
    assert decision.evidence == (
        "site a serves no terminals as seen from "
        "b (1.4 s: a1 silent, a2 silent, a3 silent) and "
        "witness (1.3 s: a1 silent, a2 silent, a3 silent)"
    )


def test_whoever_hears_two_places_agree_acts_also_if_it_sees_otherwise() -> None:
    assert isinstance(judged(report("a"), lost("b"), lost("witness")), Switch)


def test_all_is_well() -> None:
    assert judged(report("a"), report("b"), report("witness")) == Nothing(
        "nothing to do about site a"
    )


@pytest.mark.parametrize("place", ["a", "b", "witness"])
def test_one_place_alone_moves_nothing(place: str) -> None:
    others = [report(each) for each in ("a", "b", "witness") if each != place]
    decision = judged(lost(place), *others)
    assert isinstance(decision, Nothing)
    assert f"only {place} (1.2 s" in decision.reason


def test_with_the_link_between_the_sites_cut_nothing_is_done() -> None:
    # Site b sees nobody in a; a and the witness see a leader that evicts the standby.
    stalling = [report(place, STALLED, unserved_ms=2500) for place in ("a", "witness")]
    assert isinstance(judged(lost("b", 2500), *stalling), Nothing)


def test_a_leader_that_stalls_for_too_long_is_given_up() -> None:
    stalling = [report(place, STALLED, unserved_ms=STALLED_MS) for place in ("a", "witness")]
    assert isinstance(judged(*stalling), Switch)


def test_with_the_witness_gone_the_two_sites_must_agree() -> None:
    assert isinstance(judged(lost("b"), report("a")), Nothing)
    assert isinstance(judged(lost("b"), lost("a")), Switch)


def test_with_the_active_site_and_its_place_gone_the_other_two_decide() -> None:
    assert isinstance(judged(lost("witness"), lost("b")), Switch)


def test_two_reports_of_one_place_are_one_voice() -> None:
    assert isinstance(judged(lost("b"), lost("b")), Nothing)


@pytest.mark.parametrize("unserved_ms", [0, 300, AGREE_MS - 1])
def test_too_early_for_one_of_them(unserved_ms: int) -> None:
    assert isinstance(judged(lost("b"), lost("witness", unserved_ms)), Nothing)


# --- Whose word counts ------------------------------------------------------------------------


@pytest.mark.parametrize("age_ms", [SWITCHING.fresh_ms + 1.0, None])
def test_a_stale_report_does_not_count(age_ms: float | None) -> None:
    assert isinstance(judged(lost("b"), Heard(lost("witness"), age_ms)), Nothing)


def test_a_report_is_fresh_up_to_its_time() -> None:
    assert isinstance(judged(lost("b"), Heard(lost("witness"), SWITCHING.fresh_ms)), Switch)


def test_a_report_of_another_configuration_does_not_count() -> None:
    assert isinstance(judged(lost("b"), lost("witness", revision=REVISION - 1)), Nothing)


def test_the_own_sight_of_another_configuration_does_not_count_either() -> None:
    assert isinstance(judged(lost("b"), lost("witness"), revision=REVISION + 1), Nothing)


def test_a_place_that_reaches_nobody_at_all_has_no_say() -> None:
    cut_off = report("witness", A_SILENT | B_SILENT, unserved_ms=5000)
    assert isinstance(judged(lost("b"), cut_off), Nothing)
    assert isinstance(judged(cut_off, report("a"), report("b")), Nothing)


def test_nor_has_one_that_reaches_some_of_the_active_site_but_none_of_the_standby() -> None:
    half_blind = report("witness", B_SILENT | LEADER_SILENT, unserved_ms=60_000)
    assert isinstance(judged(lost("b"), half_blind), Nothing)


# --- How long is long enough ------------------------------------------------------------------


def test_a_site_that_can_elect_another_leader_is_given_the_time_to() -> None:
    enough_ms = SWITCHING.move_leader_ms + AGREE_MS
    for unserved_ms, kind in ((enough_ms - 1, Nothing), (enough_ms, Switch)):
        seen = [report(p, LEADER_SILENT, unserved_ms=unserved_ms) for p in ("b", "witness")]
        assert isinstance(judged(*seen), kind)


def test_a_site_of_which_too_few_answer_is_not() -> None:
    two_silent = {"a1": Reach.SILENT, "a2": Reach.SILENT}
    seen = [report(place, two_silent, unserved_ms=AGREE_MS) for place in ("b", "witness")]
    assert isinstance(judged(*seen), Switch)


def test_a_site_that_has_not_served_yet_is_given_time_to_begin() -> None:
    for unserved_ms, kind in ((SETTLE_MS - 1, Nothing), (SETTLE_MS, Switch)):
        seen = [
            report(place, A_SILENT, unserved_ms=unserved_ms, awaited=True)
            for place in ("b", "witness")
        ]
        assert isinstance(judged(*seen), kind)


def test_after_a_failover_the_next_one_has_to_wait() -> None:
    for failover_ms, kind in ((0, Nothing), (FAILOVER_MS - 1, Nothing), (FAILOVER_MS, Switch)):
        seen = [
            report(place, A_SILENT, unserved_ms=20_000, failover_ms=failover_ms)
            for place in ("b", "witness")
        ]
        assert isinstance(judged(*seen), kind)


def test_after_a_switch_it_does_not_go_back_to_a_site_that_is_not_in_sync() -> None:
    switched = replace(BOTH, active_site="b").with_set("a", ())
    seen = [
        report(place, A_SILENT | B_SILENT | {"a1": Reach.ANSWERS}, unserved_ms=60_000, active="b")
        for place in ("b", "witness")
    ]
    decision = judged(*seen, configuration=switched)
    assert isinstance(decision, Blocked)
    assert "site a is not in sync" in decision.reason


# --- What a switch needs ----------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [(), ("b1",)])
def test_a_standby_that_is_not_in_sync_blocks_the_switch(nodes: tuple[str, ...]) -> None:
    degraded = BOTH.with_set("b", [ReplicaId(node, f"disk-{node}") for node in nodes])
    decision = judged(lost("b"), lost("witness"), configuration=degraded)
    assert isinstance(decision, Blocked)
    assert "site a serves no terminals as seen from b (" in decision.reason
    assert "no switch: site b is not in sync" in decision.reason


def test_a_cluster_of_one_site_has_nowhere_to_go() -> None:
    one = Configuration("id", "a", {"a": BOTH.active_set}, 1)
    assert judged(lost("b"), lost("witness"), configuration=one) == Nothing(
        "site a is the only one"
    )


def test_without_a_configuration_nothing_is_judged() -> None:
    assert isinstance(judged(lost("b"), lost("witness"), configuration=None), Nothing)


# --- Modes ------------------------------------------------------------------------------------


def test_manual_proposes_with_the_command() -> None:
    manual = msgspec.structs.replace(SWITCHING, mode=Mode.MANUAL)
    decision = judged(lost("b"), lost("witness"), switching=manual)
    assert isinstance(decision, Propose)
    assert decision.kind == "switch-proposed"
    assert decision.text.startswith("site a serves no terminals as seen from b (1.2 s")
    assert decision.text.endswith(": kessai site switch --to b")


def test_observe_only_says_what_it_would_have_done() -> None:
    watching = msgspec.structs.replace(SWITCHING, mode=Mode.OBSERVE_ONLY)
    decision = judged(lost("b"), lost("witness"), switching=watching)
    assert isinstance(decision, Propose)
    assert decision.kind == "would-have-switched"
    assert decision.text.startswith("would have switched to site b: site a serves no terminals")


@pytest.mark.parametrize("mode", list(Mode))
def test_in_no_mode_is_a_standby_proposed_that_is_not_in_sync(mode: Mode) -> None:
    switching = msgspec.structs.replace(SWITCHING, mode=mode)
    decision = judged(
        lost("b"), lost("witness"), configuration=BOTH.with_set("b", ()), switching=switching
    )
    assert isinstance(decision, Blocked)


# --- A leader that terminals do not reach -----------------------------------------------------


def unreached(place: str, ms: int = SWITCHING.move_leader_ms, epoch: int = 7) -> ReportRecord:
    """A place that reaches the active site's nodes, but not its leader."""
    return report(place, LEADER_SILENT, unserved_ms=ms, unreached_ms=ms, epoch=epoch)


def test_a_leader_that_two_places_do_not_reach_is_moved_within_its_site() -> None:
    decision = judged(unreached("a"), unreached("witness"))
    assert isinstance(decision, MoveLeader)
    assert (decision.node, decision.epoch) == ("a1", 7)
    assert decision.evidence == (
        "terminals at a (0.7 s) and witness (0.7 s) do not reach the leader a1, "
        "only others of its site"
    )


def test_one_place_that_does_not_reach_it_is_not_enough() -> None:
    assert isinstance(judged(unreached("a"), report("b"), report("witness")), Nothing)


def test_not_the_same_leader_is_not_agreement() -> None:
    assert isinstance(judged(unreached("a"), unreached("witness", epoch=8)), Nothing)


def test_a_leader_that_has_just_begun_is_not_moved() -> None:
    for led_ms, kind in ((0, Nothing), (LED_MS - 1, Nothing), (LED_MS, MoveLeader)):
        seen = [
            report(place, LEADER_SILENT, unserved_ms=700, unreached_ms=700, led_ms=led_ms)
            for place in ("a", "witness")
        ]
        assert isinstance(judged(*seen), kind)


def test_nobody_leads_and_nobody_is_moved() -> None:
    assert isinstance(judged(unreached("a", epoch=0), unreached("b", epoch=0)), Nothing)


def test_if_moving_it_does_not_help_the_site_is_switched() -> None:
    late_ms = SWITCHING.move_leader_ms + AGREE_MS
    assert isinstance(judged(unreached("a", late_ms), unreached("witness", late_ms)), Switch)


def test_where_the_site_cannot_be_switched_the_leader_is_still_moved() -> None:
    late_ms = SWITCHING.move_leader_ms + AGREE_MS
    decision = judged(
        unreached("a", late_ms),
        unreached("witness", late_ms),
        configuration=BOTH.with_set("b", ()),
    )
    assert isinstance(decision, MoveLeader)


def test_manual_moves_a_leader_within_its_site_and_observe_only_does_not() -> None:
    manual = msgspec.structs.replace(SWITCHING, mode=Mode.MANUAL)
    assert isinstance(judged(unreached("a"), unreached("b"), switching=manual), MoveLeader)
    watching = msgspec.structs.replace(SWITCHING, mode=Mode.OBSERVE_ONLY)
    decision = judged(unreached("a"), unreached("b"), switching=watching)
    assert isinstance(decision, Propose)
    assert decision.kind == "would-have-moved"
