"""Troubles wait for their moment, find their victims, and end in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.sim.happening import Happened, Kind
from loadtest.sim.network import Manners
from loadtest.sim.setup import Setup
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.striking import Striking
from loadtest.sim.weather.troubles import At, Cue, Part, Trouble, What, When
from node.core import Timings
from tests.loadtest.sim.stage import Stage, configuration


def play(stage: Stage, *troubles: Trouble) -> Striking:
    return Striking(stage.world, troubles)


def happen(stage: Stage, kind: Kind, who: str) -> None:
    stage.tell(Happened(stage.timeline.now, kind, who))


def links(stage: Stage) -> set[tuple[str, str]]:
    return set(stage.network.cut)


def test_at_its_time_and_over_after_its_time() -> None:
    stage = Stage()
    play(stage, Trouble(At(100), What.CRASH, Part.LEADER, 50))
    stage.timeline.run(99)
    assert stage.log == []
    stage.timeline.run(149)
    assert stage.log == ["a1 crash"]
    stage.timeline.run(151)
    assert stage.log == ["a1 crash", "a1 start"]


def test_on_its_cue_and_never_within_the_step() -> None:
    stage = Stage()
    striking = play(stage, Trouble(Cue(Moment.WOKEN, 2, 5.0, 100.0), What.PAUSE, Part.CUED, 10))
    happen(stage, Kind.WAKE, "a2")  # before its time
    stage.timeline.run(200)
    happen(stage, Kind.WAKE, "a2")
    happen(stage, Kind.WAKE, "a3")
    assert stage.log == []
    stage.timeline.run(300)
    assert stage.log == ["a3 pause", "a3 wake"]
    happen(stage, Kind.WAKE, "a3")
    happen(stage, Kind.WAKE, "a3")
    stage.timeline.run(400)
    assert len(striking.struck) == 1
    assert striking.struck[0].at_ms == 205


def test_nothing_strikes_or_heals_once_it_is_calm() -> None:
    stage = Stage()
    play(
        stage,
        Trouble(At(10), What.CRASH, Part.LEADER, 100),
        Trouble(At(60), What.CRASH, Part.STANDBY, 100),
        Trouble(Cue(Moment.WOKEN), What.CRASH, Part.CUED, 100),
    )
    stage.timeline.run(50)
    happen(stage, Kind.PHASE, "calm")
    happen(stage, Kind.WAKE, "a2")
    stage.timeline.run(500)
    assert stage.log == ["a1 crash"]


@pytest.mark.parametrize(
    ("part", "pick", "name"),
    [
        (Part.LEADER, 0, "a1"),
        (Part.CUED, 0, "a2"),
        (Part.PARTNER, 0, "a3"),
        (Part.FOLLOWER, 0, "a3"),
        (Part.STANDBY, 0, "b1"),
        (Part.STANDBY, 4, "b2"),
        (Part.COORDINATOR, 1, "watch-b"),
    ],
)
def test_who_has_a_part(part: Part, pick: int, name: str) -> None:
    stage = Stage()
    striking = play(stage, Trouble(Cue(Moment.DOWN), What.PAUSE, part, 10, pick))
    happen(stage, Kind.CRASH, "a2")
    stage.timeline.run(5)
    assert striking.struck[0].names == (name,)


def test_those_who_run_come_first() -> None:
    stage = Stage()
    stage.nodes["a2"].up = False
    striking = play(stage, Trouble(At(1), What.CRASH, Part.FOLLOWER, 10))
    stage.timeline.run(5)
    assert striking.struck[0].names == ("a3",)


def test_the_sites_are_those_that_etcd_names() -> None:
    stage = Stage()
    stage.record = configuration("b")
    play(
        stage,
        Trouble(At(1), What.SWITCH, Part.STANDBY_SITE),
        Trouble(At(2), What.PROMOTE, Part.STANDBY_SITE),
        Trouble(At(3), What.HANDOVER, Part.LEADER),
    )
    stage.timeline.run(5)
    assert stage.log == ["switch a", "promote a", "handover"]


def test_where_there_is_no_standby_nobody_is_struck() -> None:
    stage = Stage(Setup({"a": ("a1", "a2", "a3")}, 1, Timings()))
    striking = play(stage, Trouble(At(1), What.SWITCH, Part.STANDBY_SITE))
    stage.timeline.run(5)
    assert stage.log == []
    assert striking.struck[0].names == ()


def test_power_comes_back_one_machine_after_the_other() -> None:
    stage = Stage()
    play(stage, Trouble(At(1), What.POWER, Part.ACTIVE_SITE, 10, much=100))
    stage.timeline.run(50)
    assert stage.log == ["a1 crash", "a2 crash", "a3 crash", "a1 start"]
    stage.timeline.run(250)
    assert stage.log[4:] == ["a2 start", "a3 start"]


def test_who_was_asked_to_stop_is_begun_again_when_it_has_left() -> None:
    stage = Stage()
    play(stage, Trouble(At(1), What.STOP, Part.LEADER, 10))
    stage.timeline.run(300)
    assert stage.log == ["a1 stop"]
    stage.nodes["a1"].up = False
    stage.timeline.run(600)
    assert stage.log == ["a1 stop", "a1 start"]


def test_a_disk_is_never_lost_that_the_cluster_cannot_do_without() -> None:
    stage = Stage()
    stage.nodes["a2"].lose_disk()
    striking = play(
        stage,
        Trouble(At(1), What.LOSE_DISK, Part.LEADER, 10),
        Trouble(At(2), What.LIE, Part.FOLLOWER, 10, pick=1),
        Trouble(At(3), What.LOSE_DISK, Part.STANDBY, 10),
    )
    stage.timeline.run(50)
    assert [each.names for each in striking.struck] == [(), (), ("b1",)]


def test_a_disk_that_lies_has_forgotten_at_the_end() -> None:
    stage = Stage()
    play(stage, Trouble(At(1), What.LIE, Part.LEADER, 10))
    stage.timeline.run(5)
    assert stage.log == ["a1 lies"]
    stage.timeline.run(50)
    assert stage.log == ["a1 lies", "a1 crash", "a1 start"]


def test_one_liar_at_a_time_where_two_are_needed() -> None:
    stage = Stage()
    striking = play(
        stage,
        Trouble(At(1), What.LIE, Part.LEADER, 100),
        Trouble(At(2), What.LIE, Part.FOLLOWER, 100),
    )
    stage.timeline.run(50)
    assert [each.names for each in striking.struck] == [("a1",), ()]


def test_what_befalls_disks_clocks_and_etcd() -> None:
    stage = Stage()
    play(
        stage,
        Trouble(At(1), What.DISK_SLOW, Part.LEADER, 2, much=40),
        Trouble(At(4), What.DISK_FULL, Part.LEADER, 1),
        Trouble(At(6), What.DISK_ERROR, Part.LEADER),
        Trouble(At(7), What.LEASE_ENDS, Part.LEADER),
        Trouble(At(8), What.COMPACT, Part.ETCD),
        Trouble(At(9), What.SWITCH_OFF, Part.TERMINAL, 1),
        Trouble(At(11), What.CLOCK_JUMP, Part.LEADER, much=-2_000),
        Trouble(At(12), What.CLOCK_DRIFT, Part.LEADER, much=0.25),
    )
    stage.timeline.run(50)
    assert stage.log == [
        "a1 slow 40",
        "a1 slow 0",
        "a1 full True",
        "a1 full False",
        "a1 fails",
        "expire a1",
        "compact",
        "off",
        "on",
        "a1 crash",
        "a1 start",
    ]
    assert (stage.nodes["a1"].clock_error_ms, stage.nodes["a1"].clock_rate) == (-2_000, 1.25)


def test_etcd_is_back_when_nobody_keeps_it_away() -> None:
    stage = Stage()
    play(
        stage,
        Trouble(At(1), What.ETCD_AWAY, Part.ETCD, 10),
        Trouble(At(5), What.ETCD_AWAY, Part.ETCD, 20),
    )
    stage.timeline.run(20)
    assert "etcd back" not in stage.log
    stage.timeline.run(30)
    assert stage.log[-1] == "etcd back"


def test_an_etcd_that_answers_nobody_does_so_for_a_while() -> None:
    stage = Stage()
    play(stage, Trouble(At(1), What.UNHEARD, Part.ETCD, 10))
    stage.timeline.run(5)
    assert stage.etcd.manners.answer_lost == 1.0
    stage.timeline.run(20)
    assert stage.etcd.manners == stage.setup.etcd
    assert stage.log == []


def cut(what: What, part: Part = Part.LEADER, when: When | None = None) -> set[tuple[str, str]]:
    stage = Stage()
    play(stage, Trouble(when or At(1), what, part, 10))
    happen(stage, Kind.CRASH, "a2")
    stage.timeline.run(5)
    cut = links(stage)
    stage.timeline.run(50)
    assert links(stage) == set()
    return cut


def test_which_links_are_cut() -> None:
    others = ["a2", "a3", "b1", "b2", "b3"]
    assert cut(What.DUMB) == {("a1", other) for other in others}
    assert cut(What.DEAF) == {(other, "a1") for other in others}
    assert cut(What.CUT_OFF) == cut(What.DUMB) | cut(What.DEAF)
    assert cut(What.CUT_ETCD) == {("a1", "etcd"), ("etcd", "a1")}
    assert cut(What.DEAF_TO_ETCD) == {("etcd", "a1")}
    assert cut(What.CUT_PARTNER, Part.CUED, Cue(Moment.DOWN)) == {("a2", "a1")}


def test_a_site_is_cut_off_from_the_other_or_from_everybody() -> None:
    between = cut(What.CUT_SITES, Part.ACTIVE_SITE)
    assert len(between) == 18
    assert ("a1", "a2") not in between
    isolated = cut(What.ISOLATE, Part.ACTIVE_SITE)
    assert between < isolated
    assert {("a1", "etcd"), ("t0000", "a3"), ("watch-w", "a1"), ("etcd", "watch-a")} < isolated
    assert ("watch-a", "a1") not in isolated


def test_terminals_and_those_who_see_what_they_see_are_cut_off() -> None:
    outside = cut(What.CUT_TERMINALS)
    assert {("t0000", "a1"), ("a1", "t0001"), ("watch-a", "a1")} < outside
    assert all("a1" in link for link in outside)
    assert not any("etcd" in link or "a2" in link for link in outside)


def test_a_link_is_whole_when_nobody_cuts_it() -> None:
    stage = Stage()
    play(
        stage,
        Trouble(At(1), What.CUT_OFF, Part.LEADER, 10),
        Trouble(At(2), What.DUMB, Part.LEADER, 20),
    )
    stage.timeline.run(15)
    assert links(stage) == {("a1", other) for other in ("a2", "a3", "b1", "b2", "b3")}
    stage.timeline.run(30)
    assert links(stage) == set()


def test_bad_links_are_bad_for_as_long_as_it_says() -> None:
    stage = Stage()
    play(stage, Trouble(At(1), What.LAGGING, Part.LEADER, 10, much=80))
    stage.timeline.run(5)
    assert stage.network.special["a1", "etcd"] == replace(
        Manners(), least_ms=40.0, most_ms=80.0, late_ms=240.0
    )
    stage.timeline.run(20)
    assert stage.network.special == {}
