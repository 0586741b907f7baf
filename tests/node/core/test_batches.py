"""A standby fed in batches (X6): never counted, sent entries once in a while, and no trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from coordinator.configuration import Configuration, ReplicaId
from node.core import Timings
from node.core.inputs import Applied, Loaded, Proposed, SwitchAsked
from node.core.leader import Leader
from node.core.messages import Ack, Append, Entry, Fence, Mismatch, Suspect
from node.core.outputs import Campaign, ChangeConfiguration, Output
from tests.node.core.solo import A1, A2, B1, CONFIGURATION, Solo, chain, sent, until
from tests.node.core.world import World, events, payloads

LEGACY = {"a": ["a1", "a2"], "b": ["b1"]}
EVERY = {"b": 1000}
BESIDE = Configuration("cluster", "a", {"a": frozenset({A1, A2}), "b": frozenset()}, 1)
"""The standby does not count."""


def legacy() -> World:
    """a1 leads; a batch has just left for b1."""
    world = World(LEGACY, copies_min=1, batches=EVERY)
    world.elect("a1")
    wait_for_a_batch(world)
    return world


def wait_for_a_batch(world: World) -> None:
    peer = world.leading("a1").peers["b1"]
    due = peer.batch_at
    world.run_until(lambda: peer.batch_at > due, 2_000)
    world.settle()


def standby() -> tuple[Solo, Callable[[], Output]]:
    """a1 serves, and b1 has EpochStart; the other lets 50 ms pass in which a2 and b1 answer."""
    solo = Solo(
        peers={"a2": "a", "b1": "b"}, configuration=BESIDE, batches={"b": 1000}, timings=SMALL
    )
    leader = solo.serve(10)

    def work() -> Output:
        out = solo.tick(50)
        last = solo.state.log.last_index
        solo.persist()
        solo.hear(A2, Ack(10, leader.round, last))
        solo.feed(Applied(last))
        b1 = leader.peers["b1"]
        # As a replica would: it has what it was sent.
        answer = Ack(10, leader.round, b1.next - 1) if b1.match else Mismatch(10, leader.round, 0)
        out.send += solo.hear(B1, answer).send
        return out

    for _ in until(lambda: leader.peers["b1"].next == 2):
        work()
    solo.hear(B1, Ack(10, leader.round, 1))
    return solo, work


SMALL = Timings(log_keep_entries=2)


def entries_for(output: Output, node: str) -> list[int]:
    """The indexes of the entries that `node` is sent."""
    return [
        entry.index
        for message in sent(output, Append, node)
        if isinstance(message, Append)
        for entry in message.entries
    ]


def test_X6_entries_leave_for_it_once_in_a_batch_and_all_that_is_committed_with_them() -> None:
    solo, work = standby()
    sent_at: list[float] = []
    indexes: list[int] = []
    for _ in range(60):
        solo.feed(Proposed(1, b"x"))
        found = entries_for(work(), "b1")
        if found:
            sent_at.append(solo.now)
            indexes += found
    assert [later - before for before, later in pairwise(sent_at)] == [1000.0] * (len(sent_at) - 1)
    assert len(sent_at) >= 3
    assert indexes == list(range(indexes[0], indexes[-1] + 1))
    assert len(indexes) > 2 * 20 - 2  # twenty proposals between two batches


def test_X6_what_is_not_committed_is_no_part_of_a_batch() -> None:
    solo, _ = standby()
    solo.feed(Proposed(1, b"x"))
    solo.persist()
    for _ in range(40):
        out = solo.tick(50)
        solo.hear(B1, Ack(10, solo.leader.round, 1))
        assert entries_for(out, "b1") == []
    assert solo.state.commit == 1


def test_X6_heartbeats_in_between_carry_nothing_and_keep_it_quiet() -> None:
    world = legacy()
    leader = world.leading("a1")
    for _ in range(16):  # nine hundred ms: longer than the suspicion time
        world.propose("a1")
        world.run(50)
    b1 = world.nodes["b1"]
    assert leader.peers["b1"].match < world.witness.last_committed
    assert leader.peers["b1"].feed_state == "in batches"
    assert b"p1" not in payloads(b1.disk.entries)
    assert not events(b1, "campaign")
    wait_for_a_batch(world)
    assert b"p1" in payloads(b1.disk.entries)


def test_X6_a_batch_larger_than_an_append_goes_in_several() -> None:
    world = World(LEGACY, copies_min=1, batches=EVERY, timings=Timings(append_bytes=8))
    world.elect("a1")
    wait_for_a_batch(world)
    for _ in range(20):
        world.propose("a1", b"12345678")
        world.settle()
    end = world.witness.last_committed
    wait_for_a_batch(world)
    assert world.leading("a1").peers["b1"].match == end


def test_X6_it_is_never_admitted() -> None:
    world = legacy()
    world.run(5_000)
    assert world.leading("a1").peers["b1"].match == world.witness.last_committed
    assert world.registry.configuration.in_sync["b"] == frozenset()


def test_X6_nobody_waits_for_it_and_the_log_is_not_kept_for_it() -> None:
    solo, work = standby()
    leader = solo.leader
    for _ in range(3):
        work()  # just now it has everything, as somebody does who may be admitted
    for _ in range(10):
        solo.feed(Proposed(1, b"x"))
        solo.persist()
        solo.hear(A2, Ack(10, leader.round, solo.state.log.last_index))
        solo.feed(Applied(solo.state.log.last_index))
    solo.tick(50)
    assert solo.state.commit == 11
    assert leader.peers["b1"].match == 1
    assert solo.state.pruned == 9  # all that both of a have, but two
    assert leader.missing_quorum(solo.now) == ""


def test_X6_below_the_pruned_log_it_is_offered_a_snapshot_in_its_time() -> None:
    old = chain(*[3] * 20)
    solo = Solo(
        (),
        base=old[19],
        promised=3,
        applied=20,
        pruned=18,
        peers={"a2": "a", "b1": "b"},
        configuration=BESIDE,
        batches={"b": 1000},
        timings=SMALL,
    )
    leader = solo.lead(10)
    solo.persist()
    solo.hear(A2, Ack(10, leader.round, 21))
    out = solo.hear(B1, Mismatch(10, leader.round, 4))
    (load,) = out.load  # its first batch is what was committed when this epoch began
    assert load.node == "b1"
    assert solo.feed(Loaded(load, ())).make_snapshot == ["b1"]
    assert leader.peers["b1"].feed_state == "snapshot"


def far_behind() -> tuple[Solo, Leader, tuple[Entry, ...]]:
    """A leader of epoch 10 over twenty entries, of which its memory holds the last two."""
    old = chain(*[3] * 20)
    solo = Solo(
        old[18:],
        base=old[17],
        promised=3,
        applied=19,
        peers={"a2": "a", "b1": "b"},
        configuration=BESIDE,
        batches={"b": 1000},
    )
    return solo, solo.lead(10), old


def test_X6_entries_from_disk_end_where_the_batch_does() -> None:
    solo, leader, old = far_behind()
    assert leader.peers["b1"].until == 19
    out = solo.hear(B1, Mismatch(10, leader.round, 16))
    (load,) = out.load
    out = solo.feed(Loaded(load, old[15:18]))
    assert entries_for(out, "b1") == [17, 18, 19]  # 20 is not committed yet


def test_X6_what_is_read_from_disk_for_it_is_cut_to_the_batch_too() -> None:
    solo, leader, old = far_behind()
    leader.peers["b1"].until = 17  # the memory has been trimmed beyond it since
    (load,) = solo.hear(B1, Mismatch(10, leader.round, 15)).load
    assert entries_for(solo.feed(Loaded(load, old[14:18])), "b1") == [16, 17]


def test_X6_its_nodes_suspect_nobody_and_never_campaign() -> None:
    world = legacy()
    for name in LEGACY["a"]:
        world.crash(name, refuse=True)
    world.run(10_000)
    assert not events(world.nodes["b1"], "campaign")
    assert not [packet for packet in world.packets if isinstance(packet.message, Suspect | Fence)]
    assert not [r for r in world.requests if isinstance(r.ask, Campaign)]


def test_X6_a_planned_switch_to_it_is_refused_in_words() -> None:
    world = legacy()
    world.step("a1", SwitchAsked("b"))
    assert events(world.nodes["a1"], "switch") == [
        "refused: site b is fed in batches, every 1 s, and lags: it can take over with loss only"
    ]


def promoted() -> World:
    """p1 is in both sites, p2 in a alone when b takes over; then a comes back with new disks."""
    world = legacy()
    world.propose("a1")
    wait_for_a_batch(world)
    world.propose("a1")
    world.settle()
    promotion = world.begin_promotion("b")
    world.settle()
    assert world.promote(promotion)
    world.run_until(lambda: world.serving() == ["b1"], 5_000)
    for name in LEGACY["a"]:
        world.crash(name)
        world.lose_disk(name)
        world.restart(name)
    world.run_until(lambda: len(world.registry.configuration.in_sync["a"]) == 2, 5_000)
    return world


def test_X6_promoted_with_loss_it_lacks_what_came_since_the_last_batch() -> None:
    world = promoted()
    assert [p for p in payloads(world.witness.committed.values()) if p] == [b"p1"]


def test_X6_while_it_is_active_the_other_site_is_kept_in_sync_in_real_time() -> None:
    world = promoted()
    world.propose("b1", b"after")
    world.settle()
    assert all(b"after" in payloads(world.nodes[name].disk.entries) for name in LEGACY["a"])


def test_X6_after_the_switch_back_it_counts_until_it_is_taken_out_and_nobody_waits() -> None:
    world = promoted()
    world.step("b1", SwitchAsked("a"))
    world.run_until(lambda: bool(world.serving()) and world.serving()[0][0] == "a", 500)
    world.run_until(lambda: not world.registry.configuration.in_sync["b"], 500)
    (name,) = world.serving()
    assert events(world.nodes[name], "batches") == ["site b is fed in batches from here on (X6)"]
    assert not events(world.nodes[name], "alarm")
    world.run(100)
    before = world.leading(name).peers["b1"].match
    world.propose(name)
    world.settle()
    assert world.witness.last_committed == before + 1
    assert world.leading(name).peers["b1"].match == before
    assert world.leading(name).peers["b1"].feed_state == "in batches"


def test_X6_who_counts_is_fed_in_real_time_since_commits_wait_for_it() -> None:
    solo = Solo(
        peers={"a2": "a", "b1": "b"},
        configuration=Configuration(
            "cluster", "a", {"a": frozenset({A1, A2}), "b": frozenset({B1})}, 1
        ),
        batches={"b": 1000},
    )
    leader = solo.lead(10)
    solo.persist()
    out = solo.hear(B1, Mismatch(10, leader.round, 0))
    assert entries_for(out, "b1") == [1]
    assert leader.change is None
    changes = [
        ask
        for _ in range(3)
        for ask in (
            *solo.tick(50).ask_registry,
            *solo.hear(A2, Ack(10, leader.round, 1)).ask_registry,
            *solo.hear(B1, Ack(10, leader.round, 1)).ask_registry,
        )
    ]
    (change,) = changes
    assert isinstance(change, ChangeConfiguration)
    assert change.configuration == BESIDE


def test_X6_in_its_own_site_everybody_is_kept_in_sync_in_real_time() -> None:
    """As in a standby that has taken over: nobody there is taken out, or fed in batches."""
    solo = Solo(configuration=replace(CONFIGURATION, copies_min=1), batches={"a": 1000})
    leader = solo.serve(10)
    solo.feed(Proposed(1, b"x"))
    assert entries_for(solo.outputs[-1], "a2") == [2]
    solo.tick(50)
    assert leader.change is None


def test_X6_it_stays_counted_where_too_few_copies_would_be_left() -> None:
    """copies_min 2, and a1 is alone in a: b1 is the second copy, and is fed as such."""
    a1, b1 = ReplicaId("a1", "da1"), ReplicaId("b1", "db1")
    world = World({"a": ["a1"], "b": ["b1"]}, copies_min=1, batches=EVERY)
    both = Configuration("cluster", "a", {"a": frozenset({a1}), "b": frozenset({b1})}, 2)
    world.reconfigure(both)
    world.elect("a1")
    world.run(3_000)
    world.propose("a1")
    world.settle()
    assert world.registry.configuration == both
    assert b"p1" in payloads(world.witness.committed.values())
    assert b"p1" in payloads(world.nodes["b1"].disk.entries)
