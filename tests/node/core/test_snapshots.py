"""Catching up by snapshot (M4), what may be pruned, and donors whose logs begin late (T5)."""

from __future__ import annotations

import pytest

from node.core import Timings
from node.core.inputs import (
    Applied,
    FenceAsked,
    LeaderSeen,
    Loaded,
    Persisted,
    Proposed,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
)
from node.core.messages import Ack, Append, Entries, Fence, Fetch, Mismatch, Offer, Promise
from node.core.outputs import Install, Load, Output, Resign
from tests.node.core.solo import A1, A2, A3, B1, B2, TWO_SITES, Solo, append, chain, sent, until
from tests.node.core.world import World, events, payloads

SMALL = Timings(log_keep_entries=2, entries_in_memory=4, append_bytes=40)
THREE = {"a": ["a1", "a2", "a3"]}
TEN = chain(*[5] * 10)
OFFER = Offer(7, 10, 5, TEN[9].hash)


def installs(output: Output) -> list[Install]:
    """The snapshots an output installs."""
    return [write for write in output.persist if isinstance(write, Install)]


def offered(solo: Solo, offer: Offer = OFFER) -> Output:
    """a2, which leads epoch 7, offers a snapshot."""
    if solo.state.promised < 7:
        solo.hear(A2, append(7))
        solo.persist()
    return solo.hear(A2, offer)


# -- M4: the receiver ----------------------------------------------------------------------------


def test_M4_an_offer_is_fetched_and_installed_in_one_durable_step() -> None:
    solo = Solo(chain(5), promised=5, applied=1)
    out = offered(solo)
    assert out.fetch_snapshot == [("a2", OFFER)]
    assert not out.persist
    out = solo.feed(SnapshotFetched(OFFER))
    (install,) = installs(out)
    assert out.persist == [install]
    assert install.offer == OFFER
    log = solo.state.log
    assert (log.base_index, log.last_index, log.last_hash) == (10, 10, OFFER.hash)
    assert (solo.state.commit, solo.state.applied, solo.state.pruned) == (10, 10, 10)
    assert solo.state.durable_index == 1
    solo.persist()
    assert solo.state.durable_index == 10


def test_M4_it_keeps_its_own_promise_disk_and_configuration_revision() -> None:
    solo = Solo(chain(5), promised=5, revision=9)
    offered(solo)
    (install,) = installs(solo.feed(SnapshotFetched(OFFER)))
    assert (install.promised, install.configuration_revision) == (7, 9)
    assert solo.state.me == A1


def test_M4_a_snapshot_of_an_epoch_that_is_over_is_not_installed() -> None:
    """What was acknowledged since would be gone, and what was given up might come back (X4)."""
    solo = Solo(chain(5), promised=5)
    offered(solo)
    (first,) = chain(5)
    solo.hear(A3, append(12, chain(12, after=first), after=first))
    assert sent(solo.persist(), Ack, "a3") == [Ack(12, 1, 2)]
    out = solo.feed(SnapshotFetched(OFFER))
    assert not out.persist
    assert "is over" in out.events[-1].detail
    assert solo.state.log.last_index == 2
    assert solo.state.fetching is None


def test_M4_nor_is_one_that_comes_after_a_fence() -> None:
    """The vow has said where the log ends (D3)."""
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.feed(FenceAsked(1, 12))
    assert not solo.feed(SnapshotFetched(OFFER)).persist
    assert solo.state.log.last_index == 1


def test_M4_the_offer_of_a_new_leader_takes_the_place_of_one_that_is_over() -> None:
    """It does not wait for a file that would not be installed."""
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.hear(A3, append(12))
    later = Offer(12, 11, 7, b"\7" * 32)
    assert solo.hear(A3, later).fetch_snapshot == [("a3", later)]
    assert not solo.feed(SnapshotMissed(OFFER, "cancelled")).events
    assert installs(solo.feed(SnapshotFetched(later)))


def test_M4_while_one_is_being_installed_no_other_is_fetched() -> None:
    """Fetching removes the files of other offers, which this one still needs."""
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.feed(SnapshotFetched(OFFER))
    later = Offer(7, 20, 7, b"\7" * 32)
    assert not solo.hear(A2, later).fetch_snapshot
    solo.persist()
    assert solo.hear(A2, later).fetch_snapshot == [("a2", later)]


def test_M4_nothing_is_vouched_for_before_the_snapshot_is_on_disk() -> None:
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.feed(SnapshotFetched(OFFER))
    assert not sent(solo.hear(A2, append(7, after=TEN[9])), Ack)
    assert not sent(solo.hear(A3, Fence(12, 5)), Promise)
    (promise,) = sent(solo.persist(), Promise, "a3")
    assert promise == Promise(12, 5, 10, 10, 10)


def test_M4_the_log_goes_on_from_it() -> None:
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.feed(SnapshotFetched(OFFER))
    more = chain(7, after=TEN[9])
    out = solo.hear(A2, append(7, more, after=TEN[9], commit=11))
    assert payloads(out.apply) == [more[0].payload]
    assert sent(solo.persist(), Ack)[-1] == Ack(7, 1, 11)


def test_M4_an_offer_of_another_epoch_than_the_promised_one_is_not_fetched() -> None:
    solo = Solo(chain(5), promised=9)
    assert not offered(solo).fetch_snapshot
    assert not offered(solo, Offer(11, 10, 5, OFFER.hash)).fetch_snapshot


def test_M4_what_the_log_has_already_is_not_fetched() -> None:
    assert not offered(Solo(TEN, promised=5)).fetch_snapshot
    assert not offered(Solo(TEN, promised=5, applied=10)).fetch_snapshot
    longer = Solo((), base=chain(*[5] * 14)[13], promised=5, applied=14)
    longer.hear(A2, append(7))
    assert not offered(longer).fetch_snapshot


def test_M4_a_snapshot_older_than_what_is_committed_here_is_not_installed() -> None:
    """While it was on its way the log has got there, and beyond."""
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.hear(A2, append(7, TEN[1:], after=TEN[0], commit=10))
    assert not solo.feed(SnapshotFetched(OFFER)).persist
    assert solo.state.log.last_index == 10
    assert solo.state.fetching is None


def test_M4_a_longer_log_of_an_older_epoch_does_not_keep_the_snapshot_away() -> None:
    """What it has beyond the commit index is another's, and would be replaced anyhow."""
    stale = chain(*[3] * 14)
    solo = Solo(stale, promised=5, applied=1)
    offered(solo)
    assert installs(solo.feed(SnapshotFetched(OFFER)))
    assert solo.state.durable_index == 1
    assert solo.state.log.last_index == 10


def test_M4_a_late_completion_of_what_was_dropped_vouches_for_nothing() -> None:
    """As D2: the old suffix reaches the disk, then the snapshot replaces it."""
    solo = Solo(promised=3)
    stale = chain(*[3] * 14)
    solo.hear(A3, append(3, stale))
    old = solo.last_write
    offered_before_sync = Offer(7, 10, 5, TEN[9].hash)
    solo.hear(A2, append(7))
    solo.hear(A2, offered_before_sync)
    solo.feed(SnapshotFetched(offered_before_sync))
    solo.feed(Persisted(old))
    assert solo.state.durable_index == 0
    solo.persist()
    assert solo.state.durable_index == 10


def test_M4_one_fetch_at_a_time_and_another_after_it_was_missed() -> None:
    solo = Solo(chain(5), promised=5)
    offered(solo)
    later = Offer(7, 9, 5, TEN[8].hash)
    assert not solo.hear(A2, later).fetch_snapshot
    solo.feed(SnapshotMissed(later, "another's"))
    assert not solo.hear(A2, later).fetch_snapshot
    assert "cut" in solo.feed(SnapshotMissed(OFFER, "cut")).events[-1].detail
    assert solo.hear(A2, later).fetch_snapshot == [("a2", later)]


def test_M4_a_file_nobody_asked_for_is_not_installed() -> None:
    solo = Solo(chain(5), promised=5)
    offered(solo)
    assert not solo.feed(SnapshotFetched(Offer(7, 9, 5, TEN[8].hash))).persist


def test_M4_a_file_that_comes_to_a_leader_is_forgotten_and_the_next_one_fetched() -> None:
    solo = Solo(chain(5), promised=5)
    offered(solo)
    solo.win(11)
    assert not installs(solo.feed(SnapshotFetched(OFFER)))
    solo.hear(A2, append(13))
    solo.persist()
    again = Offer(13, 10, 5, OFFER.hash)
    assert solo.hear(A2, again).fetch_snapshot == [("a2", again)]


# -- M4: the leader ------------------------------------------------------------------------------


def pruned_leader(*, keep: int = 2) -> Solo:
    """a1 serves at 21; its log on disk begins after 18, its memory later; a3 was never heard."""
    old = chain(*[3] * 20)
    timings = Timings(log_keep_entries=keep, entries_in_memory=4)
    solo = Solo((), base=old[19], promised=3, applied=20, timings=timings, pruned=18)
    solo.win(10)
    solo.persist()
    solo.hear(A2, Promise(10, 3, 20, 20))
    solo.persist()
    leader = solo.leader
    solo.hear(A2, Ack(10, leader.round, 21))
    solo.feed(Applied(21))
    assert solo.replica.serving
    return solo


def wanting(solo: Solo) -> Output:
    """a3 says where its log ends; what it needs is read from disk, and is not there."""
    (load,) = solo.hear(A3, Mismatch(10, solo.leader.round, 5)).load
    return solo.feed(Loaded(load, ()))


def test_M4_who_needs_pruned_entries_is_made_a_snapshot_and_offered_it() -> None:
    solo = pruned_leader()
    assert wanting(solo).make_snapshot == ["a3"]
    assert solo.leader.peers["a3"].feed_state == "snapshot"
    out = solo.feed(SnapshotMade("a3", 20, 3, b"h" * 32))
    assert sent(out, Offer, "a3") == [Offer(10, 20, 3, b"h" * 32)]
    assert not solo.feed(Proposed(1, b"x")).load


def test_M4_it_is_offered_again_while_it_is_needed() -> None:
    solo = pruned_leader()
    wanting(solo)
    made = 0
    for _ in range(40):
        solo.hear(A2, Ack(10, solo.leader.round, 21))
        solo.hear(A3, Mismatch(10, solo.leader.round, 5))
        made += len(solo.tick(50).make_snapshot)
    assert made == 1


def test_M4_after_it_the_peer_is_fed_from_the_log() -> None:
    solo = pruned_leader()
    wanting(solo)
    solo.feed(SnapshotMade("a3", 20, 3, b"h" * 32))
    out = solo.hear(A3, Mismatch(10, solo.leader.round, 20))
    assert solo.leader.peers["a3"].feed_state == "streaming"
    (fed,) = sent(out, Append, "a3")
    assert isinstance(fed, Append)
    assert (fed.prev_index, len(fed.entries)) == (20, 1)


def test_M4_a_snapshot_made_for_another_disk_is_not_offered_to_the_new_one() -> None:
    solo = pruned_leader()
    wanting(solo)
    other = type(A3)("a3", "another")
    solo.hear(other, Ack(10, solo.leader.round, 21))
    assert not sent(solo.feed(SnapshotMade("a3", 20, 3, b"h" * 32)), Offer)


def settled(solo: Solo, count: int, *, a3: bool = False) -> int:
    """So many entries more, on the disks of a1 and a2, applied. Returns what a tick prunes."""
    for ticket in range(count):
        solo.leader.propose(ticket, b"x", solo.now)
    last = solo.state.log.last_index
    solo.persist()
    solo.hear(A2, Ack(10, solo.leader.round, last))
    if a3:
        solo.hear(A3, Ack(10, solo.leader.round, last))
    solo.feed(Applied(last))
    return solo.tick(10).prune


def test_M4_what_follows_an_offered_snapshot_is_kept_and_its_last_entry_too() -> None:
    """What is read from disk for the peer begins with the entry before, which it must match."""
    solo = pruned_leader()
    solo.leader.configuration = solo.configuration.with_set("a", {A1, A2})
    wanting(solo)
    solo.feed(SnapshotMade("a3", 22, 10, b"h" * 32))
    assert settled(solo, 20) == 21
    solo.hear(A3, Mismatch(10, solo.leader.round, 22))
    assert settled(solo, 1) > 30


def test_M4_what_is_kept_for_a_peer_that_never_installs_its_snapshot_is_bounded() -> None:
    """It answers, and has no room for the file: the leader's disk must not fill for its sake."""
    solo = pruned_leader()
    solo.leader.configuration = solo.configuration.with_set("a", {A1, A2})
    wanting(solo)
    solo.feed(SnapshotMade("a3", 22, 10, b"h" * 32))
    pruned = 0
    for _ in range(30):
        solo.hear(A3, Mismatch(10, solo.leader.round, 5))
        pruned = max(pruned, settled(solo, 10))
    assert 22 < pruned < solo.state.log.last_index - 100


def test_M4_nothing_is_kept_for_a_peer_that_is_silent() -> None:
    solo = pruned_leader()
    solo.leader.configuration = solo.configuration.with_set("a", {A1, A2})
    wanting(solo)
    solo.feed(SnapshotMade("a3", 22, 10, b"h" * 32))
    solo.now += 2_000
    assert settled(solo, 20) > 30


# -- pruning -------------------------------------------------------------------------------------


def test_pruning_the_floor_is_what_every_member_of_both_sites_has() -> None:
    solo = Solo.of_two_sites(timings=SMALL)
    leader = solo.serve(10)
    for ticket in range(9):
        solo.feed(Proposed(ticket, b"x"))
    solo.persist()
    for peer, index in ((A2, 10), (B1, 10), (B2, 4)):
        solo.hear(peer, Ack(10, leader.round, index))
    solo.feed(Applied(solo.state.commit))
    out = solo.tick(60)
    assert {a.floor for a in sent(out, Append) if isinstance(a, Append)} == {4}
    assert out.prune == 2


def test_pruning_while_a_set_changes_the_floor_is_that_of_both_configurations() -> None:
    """b2, which left, keeps what it needs until it has left; so does b2 when it comes back."""
    for target, was in (
        (TWO_SITES.with_set("b", {B1}), TWO_SITES),
        (TWO_SITES, TWO_SITES.with_set("b", {B1})),
    ):
        solo = Solo.of_two_sites(configuration=was, timings=SMALL)
        leader = solo.serve(10)
        leader.begin_change(target, "test", solo.now)
        for ticket in range(9):
            leader.propose(ticket, b"x", solo.now)
        solo.persist()
        for peer, index in ((A2, 10), (B1, 10), (B2, 3)):
            solo.hear(peer, Ack(10, leader.round, index))
        (floor,) = {a.floor for a in sent(solo.tick(60), Append) if isinstance(a, Append)}
        assert floor == 3


def test_pruning_never_above_what_is_applied() -> None:
    solo = Solo(TEN, promised=5, applied=4, timings=SMALL)
    out = solo.hear(A2, Append(7, 1, 10, 5, TEN[9].hash, (), 10, floor=10))
    assert out.prune == 2
    solo.feed(Applied(10))
    out = solo.hear(A2, Append(7, 1, 10, 5, TEN[9].hash, (), 10, floor=10))
    assert out.prune == 8


def test_pruning_never_above_the_floor_and_worth_its_transaction() -> None:
    timings = Timings(log_keep_entries=4)
    solo = Solo(TEN, promised=5, applied=10, timings=timings)
    assert solo.hear(A2, Append(7, 1, 10, 5, TEN[9].hash, (), 10, floor=4)).prune == 0
    assert solo.hear(A2, Append(7, 1, 10, 5, TEN[9].hash, (), 10, floor=7)).prune == 3
    assert solo.hear(A2, Append(7, 1, 10, 5, TEN[9].hash, (), 10, floor=7)).prune == 0


def test_pruning_who_is_to_be_admitted_has_what_others_may_have_pruned() -> None:
    """b2 is close, and behind what the others were told they may prune: not yet."""
    solo = Solo.of_two_sites(configuration=TWO_SITES.with_set("b", {B1}), timings=SMALL)
    leader = solo.serve(10)
    for _ in range(20):
        leader.propose(1, b"x", solo.now)
        solo.persist()
        last = solo.state.log.last_index
        for peer in (A2, B1):
            solo.hear(peer, Ack(10, leader.round, last))
        solo.hear(B2, Ack(10, leader.round, last - 1))
        solo.feed(Applied(last))
        told = leader.floor_told
        solo.tick(50)
        if leader.change is not None:
            break
    assert leader.change is not None
    assert leader.peers["b2"].match >= told


def test_pruned_everywhere_and_a_returning_node_comes_back_by_snapshot_then_log() -> None:
    world = World(THREE, timings=SMALL)
    world.elect("a1")
    world.crash("a3")
    world.run(2_000)
    for _ in range(60):
        world.propose("a1")
        world.run(10)
    assert world.nodes["a1"].disk.pruned > 20
    assert world.nodes["a2"].disk.pruned > 20
    world.restart("a3")
    world.run_until(lambda: A3 in world.registry.configuration.active_set, 3_000)
    assert any("installing" in told for told in events(world.nodes["a3"], "snapshot"))
    world.propose("a1")
    world.run(100)
    assert world.nodes["a3"].disk.entries == world.nodes["a1"].disk.entries


def test_a_slow_fetch_under_load_needs_one_snapshot_only() -> None:
    """Entries go on leaving memory and disk while it is on its way."""
    world = World(THREE, timings=SMALL)
    world.elect("a1")
    world.crash("a3")
    world.run(2_000)
    for _ in range(60):
        world.propose("a1")
        world.run(10)
    world.restart("a3")
    world.slow_fetches.add("a3")
    for _ in range(100):
        world.propose("a1")
        world.run(10)
    world.slow_fetches.clear()
    for _ in until(lambda: A3 in world.registry.configuration.active_set):
        world.propose("a1")
        world.run(10)
    told = events(world.nodes["a3"], "snapshot")
    assert [word.split()[0] for word in told] == ["fetching", "installing"]


# -- T5: donors with pruned logs -----------------------------------------------------------------


def fetching_from(promise: Promise, own: Solo) -> Output:
    """a1 wins; a2 promises that; what a1 does."""
    own.win(10)
    own.persist()
    return own.hear(A2, promise)


def test_T5_the_fetch_begins_where_the_donors_log_begins() -> None:
    solo = Solo(TEN[:6], promised=5, applied=2)
    (fetch,) = sent(fetching_from(Promise(10, 5, 10, 10, 5), solo), Fetch)
    assert fetch == Fetch(10, 5, 5, TEN[4].hash)
    solo.hear(A2, Entries(10, 5, True, TEN[5:], 10))
    assert solo.leader.start_index == 11


def test_T5_it_begins_at_the_own_commit_index_where_the_donor_has_that() -> None:
    solo = Solo(TEN[:6], promised=5, applied=4)
    (fetch,) = sent(fetching_from(Promise(10, 5, 10, 10, 3), solo), Fetch)
    assert isinstance(fetch, Fetch)
    assert fetch.prev_index == 4


def test_T5_a_log_that_begins_after_the_own_end_cannot_be_taken_and_another_must_lead() -> None:
    """a2 came back by a snapshot at 8; a1 ends at 6, and nobody else is there."""
    solo = Solo(TEN[:6], promised=5, applied=4)
    out = fetching_from(Promise(10, 5, 10, 10, 8), solo)
    assert out.ask_registry == [Resign(10)]
    assert solo.replica.role.role == "follower"
    solo.feed(LeaderSeen(0, "", "", 11))
    begun = solo.now
    assert solo.next_campaign()
    assert solo.now - begun >= solo.state.timings.suspicion_ms


def test_T5_such_a_donor_is_passed_over_if_a_quorum_remains_without_it() -> None:
    solo = Solo(TEN[:6], promised=5, applied=4)
    solo.win(10)
    solo.persist()
    stranger = type(A1)("a4", "da4")
    solo.hear(stranger, Promise(10, 5, 10, 10, 8))
    solo.hear(A2, Promise(10, 5, 5, 5))
    assert solo.leader.start_index == 7


@pytest.mark.parametrize(
    "reply",
    [
        Entries(10, 5, False, (), 10),
        Entries(10, 5, True, TEN[5:], 10),
    ],
)
def test_T5_another_entry_where_the_donors_log_begins_is_no_breach(reply: Entries) -> None:
    """Beyond the own commit index the own log may be anything: another must lead."""
    stale = TEN[:2] + chain(4, 4, 4, 4, after=TEN[1])
    solo = Solo(stale, promised=5, applied=2)
    assert sent(fetching_from(Promise(10, 5, 10, 10, 5), solo), Fetch)
    out = solo.hear(A2, reply)
    assert out.ask_registry == [Resign(10)]
    assert solo.replica.role.role == "follower"


def test_T5_a_donor_reads_from_disk_what_is_not_pruned() -> None:
    solo = Solo((), base=TEN[9], promised=7, applied=10, pruned=5)
    out = solo.hear(A2, Fetch(7, 5, 5, TEN[4].hash))
    assert out.load == [Load("a2", 6, 7, fetch=True)]


def test_T5_two_in_sync_one_of_them_by_snapshot_and_the_longer_log_leads() -> None:
    """a2 lags; a3 was admitted by a snapshot beyond a2's end; a1 dies."""
    world = World(THREE, timings=SMALL)
    world.elect("a1")
    world.crash("a3")
    world.lose_disk("a3")
    world.run(2_000)
    for _ in range(60):
        world.propose("a1")
        world.run(10)
    world.restart("a3")
    world.slow_disks.add("a2")
    world.run(600)
    world.crash("a1", refuse=True)
    world.slow_disks.clear()
    world.run_until(lambda: bool(world.serving()), 10_000)
    assert b"p60" in payloads(world.witness.committed.values())


@pytest.mark.parametrize("offered", [20, 21])
def test_M4_a_peer_that_has_what_it_is_offered_already_is_fed_on(offered: int) -> None:
    """It does not answer the offer. That it matched what memory begins with must do."""
    solo = pruned_leader()
    wanting(solo)
    solo.feed(SnapshotMade("a3", offered, 3, b"h" * 32))
    base = solo.state.log.base_index
    assert base == 20
    out = solo.hear(A3, Ack(10, solo.leader.round, base))
    assert not out.load
    assert solo.leader.peers["a3"].feed_state == "streaming"
    (fed,) = sent(out, Append, "a3")
    assert isinstance(fed, Append)
    assert (fed.prev_index, len(fed.entries)) == (20, 1)
