"""The judge is judged: each violation, made on purpose, is seen (witness.py)."""

from __future__ import annotations

import pytest

from coordinator.configuration import Configuration
from loadtest.sim.witness import Violation, Witness
from node.core.inputs import Proposed
from node.core.leader import Leader
from node.core.messages import Ack, Append, Mismatch, Offer, Promise
from node.core.outputs import ChangeConfiguration, Fenced, Output, ReadReady
from tests.node.core.solo import A1, A2, A3, Solo, append, chain
from tests.node.core.world import Disk, World


def test_the_witness_sees_two_entries_at_one_index() -> None:
    witness, solo = Witness(), Solo()
    witness.committed[1] = chain(3)[0]
    with pytest.raises(Violation, match="agreement"):
        witness.stepped("a1", 1, solo.replica, (), Output(apply=[chain(4)[0]]))


def test_the_witness_sees_a_follower_apply_what_no_leader_committed() -> None:
    with pytest.raises(Violation, match="which no leader committed"):
        Witness().stepped("a1", 1, Solo().replica, (), Output(apply=[chain(4)[0]]))


def test_the_witness_sees_a_leader_without_a_committed_entry() -> None:
    witness, solo = Witness(), Solo()
    solo.lead(10)
    witness.committed[1], witness.committed_by[1] = chain(3)[0], 9
    with pytest.raises(Violation, match="durability"):
        witness.stepped("a1", 1, solo.replica, (), Output())


def test_the_witness_bears_with_a_leader_in_name_that_was_overtaken() -> None:
    witness, solo = Witness(), Solo()
    solo.lead(10)
    witness.committed[1], witness.committed_by[1] = chain(3)[0], 11
    witness.stepped("a1", 1, solo.replica, (), Output())
    assert 10 in witness.start_logs


def test_the_witness_sees_two_leaders_of_one_epoch() -> None:
    witness, solo = Witness(), Solo()
    solo.lead(10)
    witness.stepped("a1", 1, solo.replica, (), Output())
    witness.stepped("a1", 1, solo.replica, (), Output())
    for name, life in (("a2", 1), ("a1", 2)):
        with pytest.raises(Violation, match="one leader an epoch"):
            witness.stepped(name, life, solo.replica, (), Output())


def test_the_witness_sees_a_fenced_leader_commit_behind_the_later_ones_back() -> None:
    witness, fenced, later = Witness(), Solo(), Solo()
    fenced.serve(10)
    witness.stepped("a1", 1, fenced.replica, (), Output(apply=[fenced.state.log.entry(1)]))
    fenced.feed(Proposed(1, b"x"))
    later.hear(A2, append(10, [fenced.state.log.entry(1)]))
    later.lead(12)
    witness.stepped("a2", 1, later.replica, (), Output())
    with pytest.raises(Violation, match="the leader of 12 is without it"):
        witness.stepped("a1", 1, fenced.replica, (), Output(apply=[fenced.state.log.entry(2)]))


def test_the_witness_sees_an_entry_of_an_older_epoch_committed_by_itself() -> None:
    witness, solo = Witness(), Solo()
    solo.hear(A2, append(9, chain(9)))
    solo.lead(10)
    witness.stepped("a1", 1, solo.replica, (), Output())
    old, start = solo.state.log.entry(1), solo.state.log.entry(2)
    with pytest.raises(Violation, match="T7"):
        witness.stepped("a1", 1, solo.replica, (), Output(apply=[old]))
    witness.stepped("a1", 1, solo.replica, (), Output(apply=[old, start]))


def test_the_witness_sees_an_ack_before_its_fsync() -> None:
    """In the world, by a replica that takes every write for durable at once."""
    world = World({"a": ["a1", "a2", "a3"]})
    world.elect("a1")
    world.propose("a1")
    state = world.replica("a2").state
    state.writes_persisted = state.writes_issued + 1
    with pytest.raises(Violation, match="D2"):
        world.deliver(world.select("a1", "a2", Append)[0])


def test_the_witness_sees_a_vow_whose_promise_is_not_on_disk() -> None:
    witness = Witness()
    for vow in (Promise(7, 0, 0, 0), Ack(7, 1, 0), Mismatch(7, 1, 0)):
        with pytest.raises(Violation, match="D3"):
            witness.sent(A2, vow, 6, ())


def test_the_witness_sees_a_promise_of_a_log_that_is_not_on_disk() -> None:
    with pytest.raises(Violation, match="D3"):
        Witness().sent(A2, Promise(7, 3, 2, 0), 7, chain(3))


def test_the_witness_sees_an_ack_of_an_entry_the_leader_does_not_have() -> None:
    witness, entries = Witness(), chain(3, 3)
    witness.sent(A2, append(7, after=entries[0]), 7, ())
    witness.sent(A2, Ack(7, 1, 1), 7, entries)
    with pytest.raises(Violation, match="M1"):
        witness.sent(A2, Ack(7, 1, 2), 7, entries)


def test_the_witness_sees_a_stale_read() -> None:
    witness, solo = Witness(), Solo()
    witness.committed[1] = chain(3)[0]
    witness.asked("a1", 1, 5)
    with pytest.raises(Violation, match="R1"):
        witness.stepped("a1", 1, solo.replica, (), Output(answer=[ReadReady(5)]))


def knowing(*epochs: int) -> Witness:
    """One that has seen these entries committed."""
    witness = Witness()
    for entry in chain(*epochs):
        witness.committed[entry.index], witness.committed_by[entry.index] = entry, entry.epoch
    return witness


def test_the_witness_sees_a_fence_answered_before_it_is_on_disk() -> None:
    with pytest.raises(Violation, match="D3"):
        Witness().fenced(A2, Fenced(1, Promise(9, 0, 0, 0)), 6, ())


def test_the_witness_sees_entries_pruned_that_a_member_lacks() -> None:
    witness = knowing(3, 3, 3)
    witness.pruned(A2, 3, {A2: chain(3, 3, 3)})
    with pytest.raises(Violation, match="does not have it"):
        witness.pruned(A2, 3, {A2: chain(3, 3, 3), A3: chain(3, 3)})
    with pytest.raises(Violation, match="does not have it"):
        witness.pruned(A2, 3, {A2: chain(3, 3, 3), A3: chain(3, 3, 2)})
    with pytest.raises(Violation, match="not committed"):
        witness.pruned(A2, 4, {A2: chain(3, 3, 3, 3)})


def test_the_witness_sees_a_snapshot_that_is_not_what_was_committed() -> None:
    witness, own = knowing(3, 3, 3), chain(3, 3, 3)
    good = Offer(5, 2, 3, own[1].hash)
    witness.installing(A2, 5, good, Disk("da2", promised=5))
    with pytest.raises(Violation, match="not what was committed"):
        witness.installing(A2, 5, Offer(5, 2, 3, own[2].hash), Disk("da2"))
    with pytest.raises(Violation, match="forget its promise"):
        witness.installing(A2, 5, good, Disk("da2", promised=6))
    with pytest.raises(Violation, match="drop 3"):
        witness.installing(A2, 5, good, Disk("da2", entries=list(own)))


def test_the_witness_sees_something_given_up_that_was_not_listed() -> None:
    own = chain(3, 3, 3)
    kept = {own[0].hash}
    with pytest.raises(Violation, match="X4: 2"):
        knowing(3, 3, 3).promoted(kept, own[2:], 9)
    witness = knowing(3, 3, 3)
    witness.promoted(kept, own[1:], 9)
    assert witness.last_committed == 1
    witness.stepped("a2", 1, Solo().replica, (), Output(apply=[own[1]]))  # by a disk left behind


def test_the_witness_sees_a_commit_that_is_not_on_a_write_quorum() -> None:
    own = chain(3, 3)
    sets = Configuration("c", "a", {"a": frozenset({A1, A2, A3})}, 2)
    witness = knowing(3, 3)
    witness.counted("a1", 2, sets, {A1: own, A2: own, A3: ()})
    with pytest.raises(Violation, match="write quorum: a1 commits 2, which is on a1/da1 only"):
        witness.counted("a1", 2, sets, {A1: own, A2: own[:1], A3: chain(3, 4)})


def test_the_witness_sees_a_set_that_lacks_what_is_committed() -> None:
    own = chain(3, 3)
    sets = Configuration("c", "a", {"a": frozenset({A1, A3})}, 1)
    Witness().configured(sets, {})
    witness = knowing(3, 3)
    witness.configured(sets, {A1: own, A2: (), A3: own})
    with pytest.raises(Violation, match="write quorum: the sets change at 2"):
        witness.configured(sets, {A1: own, A2: own, A3: own[:1]})


def test_the_witness_sees_a_leader_that_too_few_have_promised() -> None:
    sets = Configuration("c", "a", {"a": frozenset({A1, A2, A3})}, 2)
    witness = Witness()
    witness.won("a1", 7, sets, {A1: 7, A2: 9, A3: 3})
    with pytest.raises(Violation, match="T4: a1 leads 7, promised on a1/da1 only"):
        witness.won("a1", 7, sets, {A1: 7, A2: 6, A3: 3})


def test_the_witness_sees_new_sets_asked_for_that_lack_what_is_committed() -> None:
    own = chain(3, 3)
    change = ChangeConfiguration(1, 7, 4, Configuration("c", "a", {"a": frozenset({A1, A3})}, 1))
    witness = Witness()
    witness.changing("a1", 2, own[1].hash, change, {A1: own, A2: (), A3: own})
    with pytest.raises(Violation, match="S2: a1 asks for new sets, and has 2 on a1/da1 a2/da2"):
        witness.changing("a1", 2, own[1].hash, change, {A1: own, A2: own, A3: own[:1]})


def test_the_witness_sees_sets_that_the_leader_has_not_asked_for() -> None:
    mine, others = (Configuration("c", "a", {"a": frozenset({A1, other})}, 1) for other in (A2, A3))
    witness = Witness()
    witness.changes[7] = ChangeConfiguration(1, 7, 4, mine)
    witness.changed(7, 9, mine)
    with pytest.raises(Violation, match="E4"):
        witness.changed(7, 9, others)
    with pytest.raises(Violation, match="E4"):
        witness.changed(8, 9, mine)


def test_the_witness_sees_a_set_change_given_up_that_was_sent() -> None:
    witness, solo = Witness(), Solo()
    solo.serve(10)
    leader = solo.replica.role
    assert isinstance(leader, Leader)
    sent = ChangeConfiguration(1, 10, leader.revision, leader.configuration)
    witness.stepped("a1", 1, solo.replica, (), Output())
    with pytest.raises(Violation, match="S4"):
        witness.stepped("a1", 1, solo.replica, (), Output(ask_registry=[sent]))


def test_the_witness_sees_a_terminal_that_is_told_too_early() -> None:
    witness = Witness()
    witness.highest = 3
    witness.told("t0000", 3)
    with pytest.raises(Violation, match="C1: t0000 is told of 4"):
        witness.told("t0000", 4)


def test_the_witness_sees_a_read_that_nobody_was_asked_for() -> None:
    witness, solo = Witness(), Solo()
    solo.serve(10)
    acks = chain(10)
    witness.sent(A1, append(10, acks), 10, acks)
    witness.sent(A2, Ack(10, 1, 1), 10, acks)
    witness.asked("a1", 1, 5)
    with pytest.raises(Violation, match="R1: a1 answers a read, and since it was asked had a1"):
        witness.stepped("a1", 1, solo.replica, (), Output(answer=[ReadReady(5)]))
    witness.sent(A2, Ack(10, 2, 1), 10, acks)
    witness.stepped("a1", 1, solo.replica, (), Output(answer=[ReadReady(5)]))
