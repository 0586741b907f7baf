"""A day in sentences."""

from __future__ import annotations

import re

from loadtest.sim.happening import Kind
from loadtest.sim.tales.story import AGAIN_MS, Story
from node.core.inputs import SwitchAsked
from tests.loadtest.sim.watched import Watched

PAIRS = {"a": ["a1", "a2"], "b": ["b1", "b2"]}


def sentences(story: Story) -> list[str]:
    """The day without its times."""
    return [line[11:] for line in story.lines()]


def test_an_election_and_a_failover_are_told_from_beginning_to_end() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    world.elect("a1")
    world.crash("a1", refuse=True)
    world.run_until(lambda: bool(world.serving()))
    told = sentences(story)
    (ended,) = (i for i, line in enumerate(told) if line.startswith("a1 is gone"))
    before, after = told[:ended], told[ended:]
    assert "a1 wins epoch 6 and asks a2, b1, b2 to promise" in before
    assert "b2 promises epoch 6 to a1, with a log up to 0 of epoch 0" in before
    assert before[-1] == "a1 serves, epoch 6 from index 1"
    assert "a2 campaigns: a1 refuses connections, agreed by 1" in after
    assert "b1 promises epoch 7 to a2, with a log up to 1 of epoch 6" in after
    assert after[-1] == "a2 serves, epoch 7 from index 2"


def test_a_switch_is_told_and_nothing_is_said_of_proposals_when_there_were_none() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    world.elect("a1")
    world.step("a1", SwitchAsked("b"))
    world.run_until(lambda: world.serving() == ["b1"])
    told = sentences(story)
    assert "a1 switches the site: site b is to be active, led by b1" in told
    assert not any("becomes of" in line for line in told)


def test_what_a_leader_must_leave_open_is_told() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    world.elect("a1")
    world.work(1)
    world.propose("a1")
    world.expire("a1")
    world.watch("a1")
    assert "a1 does not know what becomes of 3 to 3" in sentences(story)


def test_a_suffix_that_goes_is_told_with_what_takes_its_place() -> None:
    story = Story()
    world = Watched({"a": ["a1", "a2", "a3"]}, story)
    world.elect("a1")
    world.isolate("a1")
    world.propose("a1")
    world.propose("a1")
    world.run_until(lambda: world.serving() in (["a2"], ["a3"], ["a1", "a2"], ["a1", "a3"]), 5_000)
    world.heal()
    world.run(500)
    assert any(
        line.startswith("a1 drops its log after 1 and takes what epoch")
        for line in sentences(story)
    )


def test_a_day_of_nothing_but_heartbeats_and_payments_is_short() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    world.elect("a1")
    begun = len(story.lines())
    for _ in range(40):
        world.work(2)
        world.tell(Kind.ANSWERED, "t0000", "ok: sale ¥1,200, from a1, attempt 1")
    told = sentences(story)[begun:]
    assert not [line for line in told if "drops its log" not in line and "hear" not in line]
    assert sum(int(line.split()[2]) for line in told if line.startswith("terminals hear")) == 40
    assert len(told) < 15


def test_what_is_said_again_is_counted() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    for _ in range(3):
        world.now += AGAIN_MS / 2
        world.tell(Kind.LOST, "a1>a2", "Fence")
        world.tell(Kind.LOST, "a1>a2", "Append")
    world.now += 2 * AGAIN_MS
    world.tell(Kind.LOST, "a1>a2", "Fence")
    assert story.lines()[-2:] == [
        "    1.000  Fence is lost on a1>a2 (3 times, until 3.000)",
        "    7.000  Fence is lost on a1>a2",
    ]


def test_every_kind_of_happening_has_a_sentence() -> None:
    story = Story()
    world = Watched(PAIRS, story)
    kinds = [kind for kind in Kind if kind is not Kind.SILENT]  # which the replica tells
    for kind in kinds:
        world.tell(kind, "somebody", "snapshot")
    told = sentences(story)[len(world.nodes) :]
    assert len(told) == len(kinds)
    assert all(re.search("somebody|etcd is|hear", line) for line in told)
