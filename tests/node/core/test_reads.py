"""Reads that must be current (R1): proof of leadership after the question, and the ledger at it."""

from __future__ import annotations

from node.core.inputs import Applied, Inquired, Proposed
from node.core.messages import Ack, Append, Promise
from node.core.outputs import ReadReady, ReadRefused
from node.core.reads import Reads
from tests.node.core.solo import A2, A3, Solo, sent, until
from tests.node.core.world import World


def test_R1_an_ack_under_way_from_before_the_question_does_not_count() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.tick(50)
    before = leader.round
    solo.feed(Inquired(1), ms=0.5)  # too early for another round
    assert not solo.hear(A2, Ack(10, before, 1)).answer
    assert not solo.hear(A3, Ack(10, before, 1)).answer
    solo.tick(10)
    assert leader.round > before
    assert solo.hear(A2, Ack(10, leader.round, 1)).answer == [ReadReady(1)]


def test_R1_a_question_starts_a_round_of_its_own() -> None:
    solo = Solo()
    leader = solo.serve(10)
    before = leader.round
    out = solo.feed(Inquired(1), ms=20)
    assert len(sent(out, Append)) == 2
    assert leader.round == before + 1


def test_R1_a_write_quorum_must_answer() -> None:
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.isolate("a1")
    world.now += 10
    read = world.inquire("a1")
    world.run(300)
    assert ReadReady(read) not in world.nodes["a1"].answers
    world.cut.clear()
    world.run(100)
    assert ReadReady(read) in world.nodes["a1"].answers


def test_R1_both_sites_must_answer() -> None:
    world = World({"a": ["a1", "a2"], "b": ["b1", "b2"]})
    world.elect("a1")
    world.isolate("b2")
    world.now += 10
    read = world.inquire("a1")
    world.run(300)
    assert ReadReady(read) not in world.nodes["a1"].answers
    world.cut.clear()
    world.run(100)
    assert ReadReady(read) in world.nodes["a1"].answers


def test_R1_both_quorums_must_answer_while_a_set_changes() -> None:
    """From {a1 a2 a3} to {a1 a2}, judged when answering: a3's answer is not enough any more."""
    solo = Solo()
    leader = solo.serve(10)
    for _ in until(lambda: leader.change is not None):
        solo.hear(A2, Ack(10, leader.round, 1))
        solo.tick(50)
    solo.feed(Inquired(1), ms=20)
    assert not solo.hear(A3, Ack(10, leader.round, 1)).answer
    assert solo.hear(A2, Ack(10, leader.round, 1)).answer == [ReadReady(1)]


def test_R1_a_change_that_begins_while_a_read_waits_is_counted_too() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.tick(1450)
    solo.hear(A2, Ack(10, leader.round, 1))
    solo.feed(Inquired(1), ms=45)
    solo.tick(20)
    assert leader.change is not None
    assert not solo.hear(A3, Ack(10, leader.round, 1)).answer
    assert solo.hear(A2, Ack(10, leader.round, 1)).answer == [ReadReady(1)]


def test_R1_the_ledger_must_stand_at_the_commit_index_of_that_moment() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    solo.hear(A2, Ack(10, leader.round, 2))
    assert solo.state.commit == 2
    solo.feed(Inquired(1), ms=20)
    assert not solo.hear(A2, Ack(10, leader.round, 2)).answer
    assert solo.feed(Applied(2)).answer == [ReadReady(1)]


def test_R1_epoch_start_must_be_committed() -> None:
    solo = Solo()
    leader = solo.lead(10)
    assert solo.feed(Inquired(1)).answer == [ReadRefused(1, "")]
    solo.persist()
    solo.hear(A2, Ack(10, leader.round, 1))
    assert solo.feed(Inquired(2)).answer == [ReadRefused(2, "")]
    solo.feed(Applied(1))
    assert not solo.feed(Inquired(3), ms=20).answer
    assert solo.hear(A2, Ack(10, leader.round, 1)).answer == [ReadReady(3)]


def test_R1_an_ack_of_another_epoch_proves_nothing() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Inquired(1), ms=20)
    assert not solo.hear(A2, Ack(9, leader.round, 1)).answer
    assert not solo.hear(A2, Promise(10, 10, 1, 1)).answer


def test_R1_a_fenced_leader_answers_no_read() -> None:
    """a1 sleeps, a2 takes over and commits more; a1 wakes with a question: it must not answer."""
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.pause("a1")
    world.run_until(lambda: bool(world.serving()), 5_000)
    world.propose(world.serving()[0])
    world.run(50)
    waiting = world.select(target="a1")
    for packet in waiting:
        world.packets.remove(packet)
    world.nodes["a1"].news.clear()
    world.wake("a1")
    read = world.inquire("a1")
    world.run(200)
    assert ReadReady(read) not in world.nodes["a1"].answers
    assert ReadRefused(read, "") in world.nodes["a1"].answers


def test_R1_one_round_serves_all_reads_that_came_before_it() -> None:
    reads = Reads()
    reads.add(1, 4, 10)
    reads.add(2, 4, 10)
    reads.add(3, 5, 12)
    assert len(reads) == 3
    assert reads.next_round == 6
    assert reads.ready(4, 99) == []
    assert reads.ready(5, 99) == [1, 2]
    assert reads.ready(6, 11) == []
    assert reads.ready(6, 12) == [3]
    assert reads.next_round == 0


def test_R1_reads_left_are_drained_in_order() -> None:
    reads = Reads()
    reads.add(1, 4, 10)
    reads.add(2, 5, 10)
    assert reads.drain() == [1, 2]
    assert not reads
