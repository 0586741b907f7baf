"""Faults: whom each of them hits at this moment, and what undoes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.faults import (
    AnyFault,
    Cut,
    CutOff,
    FailingDisk,
    FullDisk,
    HandOver,
    Healing,
    Isolate,
    Kill,
    LoseDisk,
    Lossy,
    Mend,
    NobodyToHurt,
    Pause,
    PortDown,
    Restore,
    Resume,
    Slow,
    SlowDisk,
    Stage,
    Start,
    Stop,
    Switch,
    SwitchDown,
    WrongClock,
    cast,
    healing,
)

ONE_SITE = Stage("a2", ("a1", "a2", "a3"), ("e1", "e2", "e3"), frozenset(), frozenset())
A_NODES, B_NODES = ("a1", "a2", "a3"), ("b1", "b2", "b3")
TWO_SITES = Stage(
    "a2",
    A_NODES + B_NODES,
    ("e1", "e2", "e3"),
    frozenset(),
    frozenset(),
    sites={"a": A_NODES, "b": B_NODES},
    active="a",
    places=("a", "b", "witness"),
    etcd_leader="e1",
    switches={"a": 2, "b": 1},
)


@pytest.mark.parametrize(
    ("fault", "undone_by"),
    [
        (Kill("a1"), Start("a1")),
        (Stop("a1"), Start("a1")),
        (LoseDisk("b1"), Start("b1")),
        (Pause("e1"), Resume("e1")),
        (Start("a1"), None),
        (Resume("a1"), None),
        (HandOver("a1"), None),
        (Switch("site:b"), None),
    ],
)
def test_every_fault_of_a_program_carries_its_own_healing(
    fault: AnyFault, undone_by: Healing | None
) -> None:
    assert healing(fault) == undone_by


@pytest.mark.parametrize(
    "fault",
    [
        Cut("between-sites"),
        Cut("terminals-link:a", "to"),
        Isolate("site:a"),
        CutOff("a1", "peers", "from"),
        SwitchDown("switch:a/1"),
        PortDown("a1", 2),
        Lossy("switch:a/1", 0.3),
        Slow("between-sites", 100.0),
    ],
)
def test_a_fault_of_the_network_is_restored_as_it_was_done(
    fault: Cut | Isolate | CutOff | SwitchDown | PortDown | Lossy | Slow,
) -> None:
    assert healing(fault) == Restore(fault)
    assert Restore(fault).target == fault.target


@pytest.mark.parametrize(
    "fault", [SlowDisk("a1", 20), FullDisk("a1"), FailingDisk("a1"), WrongClock("a1", 3600)]
)
def test_a_fault_of_a_machine_is_mended_as_it_was_done(
    fault: SlowDisk | FullDisk | FailingDisk | WrongClock,
) -> None:
    assert healing(fault) == Mend(fault)
    assert Mend(fault).target == "a1"


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("leader", ("a2",)),
        ("follower", ("a1",)),
        ("all-etcd", ("e1", "e2", "e3")),
        ("etcd-member", ("e1",)),  # which one leads is not known
        ("a3", ("a3",)),
    ],
)
def test_parts_are_given_to_names(target: str, names: tuple[str, ...]) -> None:
    assert cast(target, ONE_SITE) == names


def test_a_follower_is_one_that_stands_and_preferably_was_left_alone() -> None:
    one_down = replace(ONE_SITE, down=frozenset({"a1"}), touched=frozenset({"a1"}))
    assert cast("follower", one_down) == ("a3",)
    healed = replace(ONE_SITE, touched=frozenset({"a1"}))
    assert cast("follower", healed) == ("a3",)
    all_touched = replace(ONE_SITE, touched=frozenset(ONE_SITE.nodes))
    assert cast("follower", all_touched) == ("a1",)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("active-site", ("site:a",)),
        ("standby-site", ("site:b",)),
        ("site:b", ("site:b",)),
        ("site:witness", ("site:witness",)),
        ("standby-node", ("b1",)),
        ("follower", ("a1",)),
        ("b2", ("b2",)),
        ("etcd-leader", ("e1",)),
        ("etcd-member", ("e2",)),
        ("between-sites", ("between-sites",)),
        ("terminals-link", ("terminals-link:a",)),
        ("terminals-link:b", ("terminals-link:b",)),
        ("switch-1", ("switch:a/1",)),
        ("switch-2", ("switch:a/2",)),
        ("all-switches", ("switch:a/1", "switch:a/2")),
        ("standby-switch-1", ("switch:b/1",)),
        ("standby-all-switches", ("switch:b/1",)),
        ("switch:a/2", ("switch:a/2",)),
    ],
)
def test_parts_with_two_sites(target: str, names: tuple[str, ...]) -> None:
    assert cast(target, TWO_SITES) == names


def test_after_a_switch_the_parts_have_changed_sides() -> None:
    switched = replace(TWO_SITES, leader="b1", active="b")
    assert cast("active-site", switched) == ("site:b",)
    assert cast("standby-node", switched) == ("a1",)
    assert cast("follower", switched) == ("b2",)
    assert cast("terminals-link", switched) == ("terminals-link:b",)
    assert cast("all-switches", switched) == ("switch:b/1",)
    assert cast("standby-switch-2", switched) == ("switch:a/2",)


def test_another_node_of_the_standby_site_is_taken_the_second_time() -> None:
    one_down = replace(TWO_SITES, down=frozenset({"b1"}), touched=frozenset({"b1"}))
    assert cast("standby-node", one_down) == ("b2",)
    all_down = replace(TWO_SITES, down=frozenset(B_NODES))
    with pytest.raises(NobodyToHurt, match="standby-node"):
        cast("standby-node", all_down)


def test_the_leading_member_of_etcd_is_taken_for_a_member_only_when_no_other_stands() -> None:
    alone = replace(TWO_SITES, down=frozenset({"e2", "e3"}))
    assert cast("etcd-member", alone) == ("e1",)


def test_without_a_second_site_there_is_no_standby() -> None:
    alone = replace(TWO_SITES, sites={"a": A_NODES}, places=("a",))
    for target in ("standby-site", "standby-node", "standby-switch-1"):
        with pytest.raises(NobodyToHurt, match="standby site"):
            cast(target, alone)
    with pytest.raises(NobodyToHurt, match="no part"):
        cast("site:b", alone)


@pytest.mark.parametrize(
    "target", ["switch:a/3", "switch:b/2", "switch:c/1", "standby-switch-2", "switch-3"]
)
def test_equipment_that_is_not_there_is_not_hurt(target: str) -> None:
    with pytest.raises(NobodyToHurt, match="has no switch"):
        cast(target, TWO_SITES)


@pytest.mark.parametrize("target", ["switch-1", "terminals-link", "active-site", "all-switches"])
def test_which_site_is_active_must_be_known(target: str) -> None:
    with pytest.raises(NobodyToHurt, match="which site is active"):
        cast(target, replace(TWO_SITES, active=""))


@pytest.mark.parametrize(
    "target",
    [
        "leader",
        "follower",
        "etcd-member",
        "etcd-leader",
        "chancellor",
        "switch:a",
        "switch-0",
        "terminals-link:c",
        "a",
    ],
)
def test_nobody_for_a_part_is_said(target: str) -> None:
    empty = Stage(None, (), (), frozenset(), frozenset(), sites={"a": ()}, active="a")
    with pytest.raises(NobodyToHurt):
        cast(target, empty)
