"""Feeding a peer: what its answers prove (M1, M3), and what gives a rolled-back disk away (D5)."""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from node.core import Timings
from node.core.inputs import Loaded, Proposed
from node.core.messages import Ack, Append, Mismatch
from tests.node.core.solo import A2, A3, Solo, chain, sent


def test_M1_an_ack_of_another_epoch_counts_for_nothing() -> None:
    solo = Solo()
    leader = solo.lead(10)
    solo.persist()
    solo.hear(A2, Ack(9, 1, 1))
    solo.hear(A3, Ack(11, 1, 1))
    assert solo.state.commit == 0
    solo.hear(A2, Ack(10, 1, leader.start_index))
    assert solo.state.commit == 1


def test_M1_an_ack_of_another_disk_does_not_count_for_the_member() -> None:
    solo = Solo()
    leader = solo.lead(10)
    solo.persist()
    solo.hear(ReplicaId("a2", "another"), Ack(10, 1, leader.start_index))
    assert solo.state.commit == 0
    solo.hear(A2, Ack(10, 1, leader.start_index))
    assert solo.state.commit == 1


def test_M1_another_disk_starts_with_nothing_matched() -> None:
    solo = Solo()
    leader = solo.serve(10)
    assert leader.peers["a2"].match == 1
    solo.hear(ReplicaId("a2", "another"), Ack(10, leader.round, 0))
    assert leader.peers["a2"].match == 0
    assert leader.peers["a2"].round_acked == leader.round


def test_D5_a_disk_below_what_it_acknowledged_is_not_counted() -> None:
    solo = Solo()
    leader = solo.serve(10)
    for _ in range(4):
        solo.tick(50)
        solo.hear(A2, Mismatch(10, leader.round, 0))
    assert leader.peers["a2"].rolled_back
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    out = solo.hear(A2, Ack(10, leader.round, 2))
    assert solo.state.commit == 1
    assert leader.peers["a2"].match == 0
    assert not sent(out, Ack)


def test_D5_a_rolled_back_disk_does_not_prove_a_read() -> None:
    solo = Solo()
    leader = solo.serve(10)
    for _ in range(4):
        solo.tick(50)
        solo.hear(A2, Mismatch(10, leader.round, 0))
    assert leader.peers["a2"].rolled_back
    solo.tick(50)
    before = leader.peers["a2"].round_acked
    solo.hear(A2, Ack(10, leader.round, 1))
    assert leader.peers["a2"].round_acked == before


def test_D5_an_older_mismatch_that_crosses_an_ack_proves_nothing() -> None:
    solo = Solo()
    leader = solo.lead(10)
    early = leader.round
    solo.persist()
    solo.tick(50)
    solo.hear(A2, Ack(10, leader.round, 1))
    solo.hear(A2, Mismatch(10, early, 0))
    assert not leader.peers["a2"].rolled_back
    assert leader.peers["a2"].match == 1


def test_D5_a_conflict_below_the_match_is_not_a_rolled_back_disk() -> None:
    """A Mismatch hints far below the match when the peer's old suffix shares the match's epoch."""
    old = chain(3, 3, 3)
    solo = Solo(old, promised=3)
    leader = solo.lead(10)
    solo.persist()
    solo.hear(A2, Ack(10, leader.round, 3))
    for ticket in range(2):
        solo.feed(Proposed(ticket, b"x"))
    # a2 had 3.4 and 3.5 once; the Append of index 4 is lost, the next finds 3.4 before it.
    solo.tick(50)
    solo.hear(A2, Mismatch(10, leader.round, 0))
    assert not leader.peers["a2"].rolled_back
    assert leader.peers["a2"].match == 3
    out = solo.tick(50)
    probe = sent(out, Append, "a2")[0]
    assert isinstance(probe, Append)
    solo.hear(A2, Ack(10, probe.round, 3))
    out = solo.tick(50)
    assert not leader.peers["a2"].rolled_back
    assert leader.peers["a2"].next == leader.state.log.last_index + 1


def test_M3_appends_under_way_are_bounded() -> None:
    solo = Solo(timings=Timings(appends_under_way=3))
    leader = solo.serve(10)
    outs = [solo.feed(Proposed(ticket, b"x")) for ticket in range(6)] if leader else []
    assert [len(sent(out, Append, "a2")) for out in outs] == [1, 1, 1, 0, 0, 0]
    out = solo.hear(A2, Ack(10, leader.round, 2))
    (fed,) = sent(out, Append, "a2")
    assert isinstance(fed, Append)
    assert [entry.index for entry in fed.entries] == [5, 6, 7]


def test_M3_the_next_append_leaves_before_the_fsync_of_the_one_before() -> None:
    solo = Solo()
    solo.serve(10)
    first, second = solo.feed(Proposed(1, b"x")), solo.feed(Proposed(2, b"y"))
    assert sent(first, Append, "a2")
    assert sent(second, Append, "a2")
    assert solo.state.writes_persisted < solo.last_write


def test_M3_a_lost_append_is_sent_again_after_a_silence() -> None:
    solo = Solo()
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    solo.tick(10)
    solo.tick(solo.state.timings.retransmit_ms)
    assert leader.peers["a2"].probing
    out = solo.tick(50)
    (probe,) = sent(out, Append, "a2")
    assert isinstance(probe, Append)
    assert (probe.prev_index, probe.entries) == (1, ())
    out = solo.hear(A2, Ack(10, probe.round, 1))
    (again,) = sent(out, Append, "a2")
    assert isinstance(again, Append)
    assert [entry.payload for entry in again.entries] == [b"x"]


def test_M3_a_peer_far_behind_is_fed_from_disk() -> None:
    old = chain(*[3] * 6)
    solo = Solo(old[4:], base=old[3], applied=4, promised=3)
    leader = solo.lead(10)
    solo.persist()
    out = solo.hear(A2, Mismatch(10, leader.round, 2))
    (load,) = out.load
    assert (load.node, load.first, load.fetch) == ("a2", 2, False)
    out = solo.feed(Loaded(load, old[1:4]))
    fed = [message for message in sent(out, Append, "a2") if isinstance(message, Append)]
    assert (fed[0].prev_index, fed[0].prev_hash) == (2, old[1].hash)
    assert [entry.index for entry in fed[0].entries] == [3, 4]
    assert [entry.index for entry in fed[1].entries] == [5, 6, 7]


def test_M3_entries_so_large_that_one_at_a_time_is_read_are_fed_too() -> None:
    old = chain(*[3] * 6)
    solo = Solo(old[4:], base=old[3], applied=4, promised=3)
    leader = solo.lead(10)
    out = solo.hear(A2, Mismatch(10, leader.round, 1))
    fed: list[int] = []
    reads: list[int] = []
    for _ in range(6):
        for load in out.load:
            reads.append(load.first)
            out = solo.feed(Loaded(load, old[load.first - 1 : load.first]))
            fed += [
                entry.index
                for message in sent(out, Append, "a2")
                if isinstance(message, Append)
                for entry in message.entries
            ]
    assert reads == [1, 2, 3, 4]
    assert fed == [2, 3, 4, 5, 6, 7]


def test_M3_a_peer_with_nothing_is_fed_from_the_first_entry() -> None:
    old = chain(*[3] * 6)
    solo = Solo(old[4:], base=old[3], applied=4, promised=3)
    leader = solo.lead(10)
    out = solo.hear(A2, Mismatch(10, leader.round, 0))
    (load,) = out.load
    assert load.first == 1
    fed = sent(solo.feed(Loaded(load, old[:3])), Append, "a2")[0]
    assert isinstance(fed, Append)
    assert (fed.prev_index, len(fed.entries)) == (0, 3)
