"""What one place remembers: how long nobody served, and how long the leader was out of reach."""

from __future__ import annotations

from coordinator.records import Reach
from coordinator.sites.sight import Answer, Sight

NODES = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
STEP_MS = 750.0
AGREE_MS = 1200.0
SERVES = Answer(Reach.SERVES)
ELSEWHERE = Answer(Reach.ANSWERS, "NOT_LEADER")
SILENT = Answer(Reach.SILENT, "connection refused")
STALLS = Answer(Reach.STALLS, "NO_QUORUM")


def sight() -> Sight:
    """One that has seen site a served by a1 at 1000 ms."""
    made = Sight(NODES, STEP_MS, AGREE_MS, 0.0)
    made.configured(10, "a", 500.0)
    made.led("a1", 7, 500.0)
    for node, answer in (("a1", SERVES), ("a2", ELSEWHERE), ("b1", ELSEWHERE)):
        made.saw(node, answer, 990.0, 1000.0)
    return made


def test_while_somebody_serves_nothing_adds_up() -> None:
    seen = sight()
    view = seen.view(60_000.0)
    assert (view.unserved_ms, view.awaited) == (0, False)
    assert (view.revision, view.active_site, view.leader, view.epoch) == (10, "a", "a1", 7)


def test_it_counts_from_the_beginning_of_the_first_probe_that_failed() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    assert seen.view(1750.0).unserved_ms == 500
    assert seen.view(2000.0).unserved_ms == 750


def test_it_ends_when_anybody_in_the_active_site_serves() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.saw("a2", SERVES, 2000.0, 2010.0)
    assert seen.view(2010.0).unserved_ms == 0


def test_a_node_of_the_other_site_that_serves_is_no_help() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1250.0)
    seen.saw("b1", SERVES, 1300.0, 1350.0)
    assert seen.view(1350.0).unserved_ms == 100


def test_a_stalling_leader_serves_nobody_but_is_not_out_of_reach() -> None:
    seen = sight()
    seen.saw("a1", STALLS, 1000.0, 1500.0)
    view = seen.view(1500.0)
    assert (view.unserved_ms, view.leader_unreached_ms) == (500, 0)


def test_a_place_that_stood_still_itself_blames_nobody_for_it() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 21_250.0)
    assert seen.view(21_250.0).unserved_ms == STEP_MS
    assert seen.view(90_000.0).unserved_ms == 2 * STEP_MS


def test_another_active_site_begins_with_a_clean_slate() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.configured(11, "b", 2000.0)
    view = seen.view(2100.0)
    assert (view.active_site, view.unserved_ms, view.awaited) == ("b", 100, True)
    seen.saw("b1", SERVES, 2100.0, 2200.0)
    view = seen.view(2200.0)
    assert (view.unserved_ms, view.awaited) == (0, False)


def test_a_set_change_does_not_begin_anew() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.configured(11, "a", 1750.0)
    view = seen.view(1750.0)
    assert (view.revision, view.unserved_ms, view.awaited) == (11, 500, False)


def test_before_there_is_a_configuration_nothing_counts() -> None:
    seen = Sight(NODES, STEP_MS, AGREE_MS, 0.0)
    assert seen.view(700.0).unserved_ms == 0
    seen.configured(10, "a", 700.0)
    view = seen.view(900.0)
    assert (view.unserved_ms, view.awaited) == (200, True)


def test_a_leader_is_out_of_reach_while_others_of_its_site_answer() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    assert seen.view(1950.0).leader_unreached_ms == 700
    seen.saw("a2", SILENT, 1950.0, 1960.0)
    assert seen.view(1960.0).leader_unreached_ms == 0


def test_an_answering_node_of_the_other_site_does_not_show_that_the_site_is_there() -> None:
    seen = sight()
    seen.saw("a2", SILENT, 1200.0, 1200.0)
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    assert seen.view(1950.0).leader_unreached_ms == 0


def test_another_leader_is_another_matter() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.led("a2", 8, 1800.0)
    assert seen.view(1900.0).leader_unreached_ms == 0
    seen.led("", 0, 1900.0)
    view = seen.view(1950.0)
    assert (view.leader, view.epoch, view.leader_unreached_ms) == ("", 0, 0)


def test_a_leader_in_the_standby_site_is_not_the_active_sites() -> None:
    seen = sight()
    seen.led("b1", 8, 1000.0)
    seen.saw("b2", ELSEWHERE, 1000.0, 1010.0)
    seen.saw("b1", SILENT, 1000.0, 1500.0)
    assert seen.view(2000.0).leader_unreached_ms == 0


def test_the_picture_names_every_node_with_its_reach_and_since_when() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.saw("a2", ELSEWHERE, 1700.0, 1800.0)
    nodes = {node.node: node for node in seen.view(2000.0).nodes}
    assert list(nodes) == ["a1", "a2", "b1", "b2"]
    assert (nodes["a1"].reach, nodes["a1"].reason) == (Reach.SILENT, "connection refused")
    assert (nodes["a1"].site, nodes["a1"].for_ms) == ("a", 750)
    assert nodes["a2"].for_ms > 750


def test_a_late_answer_shows_that_it_serves_though_slowly() -> None:
    seen = sight()
    # Each probe is called silent after 500 ms, and answered after 900.
    for begun_ms in range(1000, 6000, 500):
        seen.saw("a1", SILENT, begun_ms, begun_ms + 500.0)
        seen.saw("a1", SERVES, begun_ms + 900.0, begun_ms + 900.0)
        assert seen.view(begun_ms + 999.0).unserved_ms == 0
        seen.saw("a1", SILENT, begun_ms + 500.0, begun_ms + 1000.0)
        # It counts from the last good answer, not from before it.
        view = seen.view(begun_ms + 1000.0)
        assert (view.unserved_ms, view.leader_unreached_ms) == (100, 100)


def test_a_site_that_is_left_after_it_served_nobody_has_failed_over() -> None:
    seen = sight()
    assert seen.view(1000.0).failover_ms == -1
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    for now_ms in (2000.0, 2450.0):
        seen.view(now_ms)
    seen.configured(11, "b", 2450.0)
    assert seen.view(2950.0).failover_ms == 500
    seen.saw("b1", SERVES, 2950.0, 2960.0)
    assert seen.view(3200.0).failover_ms == 750


def test_a_planned_switch_is_no_failover() -> None:
    seen = sight()
    seen.saw("a1", ELSEWHERE, 1250.0, 1260.0)
    seen.configured(11, "b", 1800.0)
    assert seen.view(2000.0).failover_ms == -1


def test_a_planned_switch_back_ends_the_memory_of_a_failover() -> None:
    seen = sight()
    seen.saw("a1", SILENT, 1250.0, 1750.0)
    seen.view(2450.0)
    seen.configured(11, "b", 2450.0)
    seen.saw("b1", SERVES, 2500.0, 2510.0)
    seen.configured(12, "a", 4000.0)
    assert seen.view(4000.0).failover_ms == -1


def test_how_long_a_leader_has_led_is_known_only_of_those_that_were_seen_to_begin() -> None:
    seen = sight()
    assert seen.view(1000.0).led_ms == -1
    seen.led("a2", 8, 1500.0)
    assert seen.view(2000.0).led_ms == 500
