"""deploy/fencing: what is decided once both sites were asked for a vow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.configuration import Configuration, ReplicaId
from coordinator.planning import SwitchRefused
from deploy.answers import Fenced
from deploy.fencing import Overtaken, check_loss, going, sides

SITES = {name: name[0] for name in ("a1", "a2", "a3", "b1", "b2", "b3")}


def replicas(*names: str) -> frozenset[ReplicaId]:
    """Replicas of these nodes, each on its first disk."""
    return frozenset(ReplicaId(name, f"d{name}") for name in names)


DEGRADED = Configuration("id", "a", {"a": replicas("a1", "a2", "a3"), "b": frozenset()}, 2)


def vow(node: str, epoch: int = 5, index: int = 10, commit: int = 9) -> Fenced:
    return Fenced(True, 0, f"d{node}", epoch, index, "00", commit)


def test_two_of_three_vows_hold_the_old_site_and_one_does_not() -> None:
    found = {name: vow(name) for name in ("a1", "a2", "b1")}
    assert sides(found, SITES, "b").holds(DEGRADED)
    del found["a1"]
    assert not sides(found, SITES, "b").holds(DEGRADED)


def test_the_vows_of_the_new_site_hold_nobody() -> None:
    assert not sides({name: vow(name) for name in ("b1", "b2", "b3")}, SITES, "b").holds(DEGRADED)


def test_a_vow_on_a_new_disk_does_not_count() -> None:
    found = {"a1": vow("a1"), "a2": replace(vow("a2"), disk_id="another")}
    assert not sides(found, SITES, "b").holds(DEGRADED)


def test_a_later_vow_means_that_somebody_was_elected_in_between() -> None:
    later = replace(vow("a2"), promised=False, promised_epoch=12)
    with pytest.raises(Overtaken, match="a later epoch"):
        sides({"a1": vow("a1"), "a2": later}, SITES, "b")


def test_the_list_is_asked_of_the_log_that_a_takeover_would_choose() -> None:
    found = {"a1": vow("a1", 5, 40, 39), "a2": vow("a2", 6, 12, 8), "a3": vow("a3", 6, 12, 11)}
    donors = sides(found, SITES, "b").donors()
    assert [node for node, _ in donors] == ["a3", "a2", "a1"]


def test_whoever_goes_on_is_the_new_set_and_the_old_disks_are_given_up() -> None:
    fencing = sides({name: vow(name) for name in ("a1", "a2", "b1", "b2")}, SITES, "b")
    goes = going(DEGRADED, "b", fencing, replicas("a3"))
    assert goes.ends.survivors == replicas("b1", "b2")
    assert goes.configuration.active_set == replicas("b1", "b2")
    assert goes.configuration.given_up == replicas("a1", "a2", "a3")


def test_without_anybody_in_the_new_site_nothing_goes_on() -> None:
    with pytest.raises(SwitchRefused, match="no replica of site b answers: start its nodes first"):
        going(DEGRADED, "b", sides({"a1": vow("a1")}, SITES, "b"), frozenset())


@pytest.mark.parametrize(
    ("configuration", "to", "words"),
    [
        (None, "b", "never initialised"),
        (DEGRADED, "a", "site a is the active one already"),
        (DEGRADED.with_set("b", replicas("b1", "b2")), "b", "nothing would be lost"),
    ],
)
def test_a_promotion_that_may_not_be_is_refused(
    configuration: Configuration | None, to: str, words: str
) -> None:
    with pytest.raises(SwitchRefused, match=words):
        check_loss(configuration, to)
    assert check_loss(DEGRADED, "b") == DEGRADED
