"""The signs of the rules, judged by the tests of the rules: each shows its rule at work."""

from __future__ import annotations

import inspect
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from loadtest.sim.happening import Glance, Step
from loadtest.sim.observed import observing
from loadtest.sim.tales.coverage import Coverage
from loadtest.sim.tales.rules import RULES, UNSIGNED
from node.core import Replica
from node.core.inputs import Input
from node.core.outputs import Output
from tests.node.core import (
    test_following,
    test_leading,
    test_progress,
    test_promises,
    test_promotion,
    test_reads,
    test_reconfigure,
    test_snapshots,
    test_switching,
    test_takeover,
)

MODULES: tuple[ModuleType, ...] = (
    test_following,
    test_leading,
    test_progress,
    test_promises,
    test_promotion,
    test_reads,
    test_reconfigure,
    test_snapshots,
    test_switching,
    test_takeover,
)

ELSEWHERE = {"C1", "C2", "C3", "D6", "E2", "E4", "E5", "M5", "R2", "S3", "T9", "W1", "X5"}
"""Rules whose tests have other names, or are not the core's: see test_coverage."""

NO_SIGN = (
    test_following.test_M2_an_agreeing_suffix_beyond_the_append_is_kept,
    test_following.test_M1_the_commit_index_is_bounded_by_what_was_matched,
    test_leading.test_T8_an_older_view_of_the_key_does_not_end_it,
    test_progress.test_D5_a_conflict_below_the_match_is_not_a_rolled_back_disk,
    test_promises.test_D3_a_promise_made_by_an_append_is_part_of_its_write,
    test_promises.test_W2_an_older_configuration_is_not_news,
    test_reads.test_R1_an_ack_of_another_epoch_proves_nothing,
    test_reads.test_R1_a_fenced_leader_answers_no_read,
    test_reconfigure.test_S4_a_change_that_was_never_sent_may_be_given_up,
    test_reconfigure.test_S6_nothing_silent_and_nothing_new_is_no_change,
    test_snapshots.test_M4_what_the_log_has_already_is_not_fetched,
    test_snapshots.test_M4_a_snapshot_of_an_epoch_that_is_over_is_not_installed,
    test_following.test_T1_silence_alone_is_not_enough_to_campaign,
    test_takeover.test_T3_a_winner_that_is_no_member_any_more_resigns,
    test_takeover.test_T4_promises_from_outside_the_set_do_not_count,
    test_promotion.test_X4_a_fence_at_or_below_the_promise_is_refused,
)
"""Tests in which it comes near, and the rule does not get to what its sign says."""


def rule_tests() -> dict[str, list[Callable[[], None]]]:
    """The core's tests by the rule in their name; those that need nothing given."""
    found = defaultdict(list)
    for module in MODULES:
        for name, function in vars(module).items():
            named = re.match(r"test_([A-Z]\d)_", name)
            if named and not inspect.signature(function).parameters:
                found[named[1]].append(function)
    return found


RULE_TESTS = rule_tests()


def watch(monkeypatch: pytest.MonkeyPatch, listener: Callable[[Step], None]) -> None:
    """Have every replica of those tests watched."""
    lives: dict[str, int] = {}

    def on_step(
        replica: Replica, given: Input, before: Glance, after: Glance, output: Output
    ) -> None:
        identity = replica.state.identity
        life = lives.setdefault(f"{identity.replica}/{identity.life}", len(lives))
        node = identity.replica.node
        listener(Step(0.0, node, life, given, before, after, output))

    watched = observing(on_step, lambda _: None)
    monkeypatch.setattr("tests.node.core.solo.Replica", watched)
    monkeypatch.setattr("tests.node.core.world.Replica", watched)


def seen_in(test: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The signs of rules in a test."""
    coverage = Coverage()
    with monkeypatch.context() as patch:
        watch(patch, coverage)
        test()
    return coverage.rules


def test_every_numbered_rule_has_a_sign() -> None:
    protocol = Path(__file__).parents[3] / "docs" / "protocol.md"
    named = set(re.findall(r"^(?:- )?\*\*([A-Z]\d+)\b", protocol.read_text("utf-8"), re.MULTILINE))
    assert named == RULES.keys() | UNSIGNED.keys()
    assert not RULES.keys() & UNSIGNED.keys()


@pytest.mark.parametrize("rule", sorted(set(RULES) - ELSEWHERE))
def test_some_test_of_a_rule_shows_its_sign(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(seen_in(test, monkeypatch)[rule] for test in RULE_TESTS[rule])


@pytest.mark.parametrize("test", NO_SIGN, ids=lambda test: test.__name__)
def test_what_is_not_the_rule_at_work_is_no_sign(
    test: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = test.__name__.split("_")[1]
    assert rule in RULES
    assert not seen_in(test, monkeypatch)[rule]
