"""Vows: what a promise obeys; nothing that vouches leaves before its fsync (D2, D3, W2)."""

from __future__ import annotations

from coordinator.configuration import Configuration
from node.core import Timings
from node.core.inputs import (
    Applied,
    ConfigurationSeen,
    Inquired,
    LeaderSeen,
    Loaded,
    Persisted,
    Proposed,
    StorageFailed,
    Won,
)
from node.core.messages import Ack, Append, Entries, Fence, Fetch, Mismatch, Promise, Refuse
from node.core.outputs import NotProposed, ReadRefused, Resign
from tests.node.core.solo import A2, A3, CONFIGURATION, REVISION, Solo, append, chain, sent, written


def test_D2_an_ack_waits_for_the_fsync_of_its_entries() -> None:
    solo = Solo(promised=7)
    out = solo.hear(A2, append(7, chain(7, 7)))
    assert not sent(out)
    out = solo.persist()
    assert sent(out) == [Ack(7, 1, 2)]


def test_D2_an_ack_of_an_empty_append_waits_for_every_write_before_it() -> None:
    solo = Solo(promised=7)
    entries = chain(7, 7)
    solo.hear(A2, append(7, entries))
    assert not sent(solo.hear(A2, append(7, after=entries[-1], round=2)))
    assert sent(solo.persist()) == [Ack(7, 1, 2), Ack(7, 2, 2)]


def test_D2_an_ack_of_a_repeated_append_waits_for_every_write_before_it() -> None:
    solo = Solo(promised=7)
    entries = chain(7, 7)
    solo.hear(A2, append(7, entries))
    assert not sent(solo.hear(A2, append(7, entries, round=2)))
    solo.persist()
    assert sent(solo.hear(A2, append(7, entries, round=3))) == [Ack(7, 3, 2)]


def test_D2_an_ack_waits_for_the_last_of_several_writes() -> None:
    solo = Solo(promised=7)
    entries = chain(7, 7, 7)
    solo.hear(A2, append(7, entries[:1]))
    first = solo.last_write
    solo.hear(A2, append(7, entries[1:], after=entries[0], round=2))
    assert sent(solo.feed(Persisted(first))) == [Ack(7, 1, 1)]
    assert sent(solo.persist()) == [Ack(7, 2, 3)]


def test_D2_a_late_completion_of_a_truncated_write_vouches_for_nothing() -> None:
    solo = Solo(promised=3)
    old = chain(3, 3, 3)
    solo.hear(A2, append(3, old))
    late = solo.last_write
    new = chain(5, 5, after=old[0])
    solo.hear(A3, append(5, new, after=old[0]))
    assert not sent(solo.feed(Persisted(late)))
    assert solo.state.durable_index == 1
    assert sent(solo.persist()) == [Ack(5, 1, 3)]
    assert solo.state.durable_index == 3


def test_D2_a_leaders_own_truncated_write_does_not_count_when_it_completes_late() -> None:
    """T5 replaces entries whose write is still under way: their fsync says nothing of the new."""
    old = chain(3)
    solo = Solo(old, promised=3)
    solo.hear(A2, append(3, chain(3, 3, after=old[0]), after=old[0]))
    late = solo.last_write
    solo.win(10)
    solo.persist()
    best = chain(4, 4, 4, after=old[0])
    solo.hear(A3, Promise(10, 4, 4, 1))
    solo.hear(A3, Entries(10, 0, True, old + best, 4))
    assert solo.leader.start_index == 5
    assert solo.state.durable_index == 1
    solo.feed(Persisted(late))
    assert solo.state.durable_index == 1


def test_D3_a_promise_waits_for_its_own_write() -> None:
    solo = Solo(promised=3)
    out = solo.hear(A2, Fence(7, REVISION))
    assert not sent(out)
    assert [write.promised for write in out.persist] == [7]
    assert sent(solo.persist()) == [Promise(7, 0, 0, 0)]


def test_D3_a_promise_waits_for_every_write_issued_before_it() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, append(3, chain(3, 3)))
    entries_write = solo.last_write
    solo.hear(A3, Fence(7, REVISION))
    assert not sent(solo.feed(Persisted(entries_write)), Promise)
    assert sent(solo.persist(), Promise) == [Promise(7, 3, 2, 0)]


def test_D3_a_promise_reports_every_write_issued_before_it() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, append(3, chain(3, 3, 3), commit=2))
    solo.hear(A3, Fence(7, REVISION))
    assert sent(solo.persist(), Promise) == [Promise(7, 3, 3, 2)]


def test_D3_messages_are_judged_against_the_promise_in_memory() -> None:
    solo = Solo(promised=3)
    solo.hear(A3, Fence(7, REVISION))
    out = solo.hear(A2, append(3, chain(3)))
    assert sent(out) == [Refuse(3, 7, REVISION)]
    assert solo.state.log.last_index == 0


def test_D3_a_promise_made_by_an_append_is_part_of_its_write() -> None:
    solo = Solo(promised=3)
    out = solo.hear(A2, append(7, chain(7)))
    only = written(out)
    assert (only.promised, len(only.entries)) == (7, 1)
    assert not sent(out)


def test_D3_an_empty_append_that_makes_a_promise_is_acknowledged_after_its_write() -> None:
    entries = chain(3)
    solo = Solo(entries, promised=3)
    out = solo.hear(A2, append(7, after=entries[0]))
    assert not sent(out)
    assert [write.promised for write in out.persist] == [7]
    assert sent(solo.persist()) == [Ack(7, 1, 1)]


def test_D3_a_mismatch_that_makes_a_promise_waits_for_its_write() -> None:
    solo = Solo(promised=3)
    out = solo.hear(A2, append(7, after=chain(7)[0]))
    assert not sent(out)
    assert [write.promised for write in out.persist] == [7]
    assert sent(solo.persist()) == [Mismatch(7, 1, 0)]


def test_D3_a_vow_to_a_leader_fenced_meanwhile_is_not_sent() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, append(3, chain(3)))
    solo.hear(A3, Fence(7, REVISION))
    assert [type(message) for message in sent(solo.persist())] == [Promise]


def test_fence_of_a_lower_epoch_is_refused() -> None:
    solo = Solo(promised=7)
    assert sent(solo.hear(A2, Fence(6, REVISION))) == [Refuse(6, 7, REVISION)]
    assert solo.state.promised == 7


def test_fence_of_the_promised_epoch_is_promised_again() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, Fence(7, REVISION))
    solo.persist()
    assert sent(solo.hear(A2, Fence(7, REVISION))) == [Promise(7, 0, 0, 0)]


def test_append_of_a_lower_epoch_is_refused_at_once() -> None:
    solo = Solo(promised=7)
    assert sent(solo.hear(A2, append(6, chain(6)))) == [Refuse(6, 7, REVISION)]


def test_fetch_is_answered_only_for_the_promised_epoch() -> None:
    entries = chain(3, 3)
    solo = Solo(entries, promised=7)
    fetch = Fetch(6, 1, 3, entries[0].hash)
    assert sent(solo.hear(A2, fetch)) == [Refuse(6, 7, REVISION)]
    fetch = Fetch(7, 1, 3, entries[0].hash)
    assert sent(solo.hear(A2, fetch)) == [Entries(7, 1, True, entries[1:], 2)]


def test_fetch_after_an_entry_that_is_not_here_is_answered_so() -> None:
    entries = chain(3, 3)
    solo = Solo(entries, promised=7)
    fetch = Fetch(7, 1, 3, chain(3, mark="x")[0].hash)
    assert sent(solo.hear(A2, fetch)) == [Entries(7, 1, False, (), 2)]


def test_fetch_from_below_memory_is_read_from_disk() -> None:
    entries = chain(*[3] * 6)
    solo = Solo(entries[4:], base=entries[3], applied=4, promised=7)
    out = solo.hear(A2, Fetch(7, 1, 3, entries[0].hash))
    (load,) = out.load
    assert (load.first, load.fetch) == (2, True)
    out = solo.feed(Loaded(load, entries[1:3]))
    assert sent(out) == [Entries(7, 1, True, entries[1:3], 6)]
    solo.hear(A3, Fence(8, REVISION))
    assert not sent(solo.feed(Loaded(load, entries[1:3])), Entries)


def test_W2_a_fence_below_the_highest_configuration_revision_seen_is_refused() -> None:
    solo = Solo(promised=3)
    out = solo.hear(A2, Fence(7, REVISION - 1))
    assert sent(out) == [Refuse(7, 3, REVISION)]
    assert solo.state.promised == 3
    assert solo.hear(A2, Fence(7, REVISION + 1)).persist


def test_W2_the_revision_seen_survives_a_restart() -> None:
    solo = Solo(promised=3)
    out = solo.feed(ConfigurationSeen(CONFIGURATION, 9))
    assert [write.configuration_revision for write in out.persist] == [9]
    again = Solo(promised=3, revision=9)
    assert sent(again.hear(A2, Fence(7, 8))) == [Refuse(7, 3, 9)]


def test_W2_an_older_configuration_is_not_news() -> None:
    solo = Solo(promised=3, revision=9)
    other = Configuration("cluster", "a", {"a": frozenset({A2})}, 1)
    solo.feed(ConfigurationSeen(other, 8))
    assert solo.state.configuration == CONFIGURATION
    assert solo.state.revision == 9


def test_E1_a_replica_of_no_cluster_promises_nothing() -> None:
    solo = Solo(configuration=None, revision=0)
    for message in (Fence(7, REVISION), append(7, chain(7)), Fetch(7, 0, 0, bytes(32))):
        out = solo.hear(A2, message)
        assert not out.persist
        assert not sent(out)
    assert solo.state.promised == 0
    solo.feed(ConfigurationSeen(CONFIGURATION, REVISION))
    solo.hear(A2, Fence(7, REVISION))
    assert sent(solo.persist(), Promise)


def test_a_failed_disk_silences_the_replica_for_good() -> None:
    solo = Solo(promised=3)
    solo.hear(A2, append(3, chain(3)))
    solo.feed(StorageFailed("no space"))
    assert solo.replica.role.role == "silent"
    outs = [
        solo.persist(),
        solo.hear(A3, Fence(7, REVISION)),
        solo.hear(A2, append(3, chain(3), round=2)),
        solo.tick(5000),
        solo.feed(LeaderSeen(0, "", "", 99)),
    ]
    assert not any(out.send or out.persist or out.ask_registry for out in outs)


def test_a_silent_replica_refuses_work_and_gives_a_won_key_back() -> None:
    solo = Solo(promised=3)
    solo.feed(StorageFailed("no space"))
    assert solo.feed(Proposed(1, b"x")).answer == [NotProposed(1, "")]
    assert solo.feed(Inquired(2)).answer == [ReadRefused(2, "")]
    assert solo.feed(Won("late", 9, CONFIGURATION, REVISION)).ask_registry == [Resign(9)]


def test_T9_a_leader_whose_disk_fails_gives_the_key_back_and_abandons() -> None:
    solo = Solo()
    solo.serve(10)
    solo.feed(Inquired(5))
    out = solo.feed(StorageFailed("no space"))
    assert out.abandon
    assert out.ask_registry == [Resign(10)]
    assert out.answer == [ReadRefused(5, "")]


def test_D1_a_promise_and_the_entries_are_one_write() -> None:
    solo = Solo(promised=3)
    out = solo.hear(A2, append(7, chain(7, 7), commit=2))
    assert len(out.persist) == 1
    assert out.apply == list(chain(7, 7))


def test_applied_entries_leave_memory_only_when_they_are_on_disk() -> None:
    solo = Solo(promised=3, timings=Timings(entries_in_memory=4))
    entries = chain(*[3] * 12)
    solo.hear(A2, append(3, entries[:4], commit=4))
    solo.persist()
    solo.hear(A2, append(3, entries[4:], after=entries[3], commit=12))
    solo.feed(Applied(12))
    assert solo.state.log.base_index == 4
    solo.persist()
    solo.feed(Applied(12))
    assert solo.state.log.base_index == 8
    assert solo.state.log.hash_at(8) == entries[7].hash
    assert isinstance(append(3), Append)
