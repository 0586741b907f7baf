"""deploy/audit: all replicas at one index, whether they move, stand still, differ or are gone."""

from __future__ import annotations

from deploy.audit import audit
from tests.deploy.fake_replica import FakeReplica, serving
from tests.deploy.small import free_addresses


def test_a_quiet_cluster_is_audited_where_it_stands() -> None:
    with serving(*(FakeReplica(name) for name in ("a1", "a2", "a3"))) as endpoints:
        found = audit(endpoints)
    assert found.ok
    assert found.index == 40
    assert {each.node for each in found.replicas} == {"a1", "a2", "a3"}
    assert all(each.rederived and each.index == 40 for each in found.replicas)


def test_a_busy_cluster_is_audited_a_little_ahead() -> None:
    moving = [FakeReplica(name, applied=100, rate=300) for name in ("a1", "a2", "a3")]
    with serving(*moving) as endpoints:
        found = audit(endpoints, rederive=False)
    assert found.ok
    assert found.index > 100
    assert len({each.chain_hash for each in found.replicas}) == 1


def test_a_cluster_that_falls_quiet_meanwhile_is_asked_again() -> None:
    # Moving while the index is chosen, it stops before it gets there.
    slowing = [FakeReplica(name, applied=0, rate=200, stop_at=80) for name in ("a1", "a2")]
    with serving(*slowing) as endpoints:
        found = audit(endpoints)
    assert found.ok
    assert found.index <= 80


def test_another_history_is_found() -> None:
    replicas = (FakeReplica("a1"), FakeReplica("a2", fork_at=30), FakeReplica("a3"))
    with serving(*replicas) as endpoints:
        found = audit(endpoints)
    assert not found.ok
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "chain hash differs",
        "ledger digest differs",
    ]
    assert "a2" in found.problems[0]


def test_what_a_replica_finds_wrong_in_itself_is_told() -> None:
    with serving(FakeReplica("a1"), FakeReplica("a2", problem="7 is not 8")) as endpoints:
        found = audit(endpoints)
    assert not found.ok
    assert found.problems == ("a2: 7 is not 8",)


def test_a_silent_node_is_no_proof() -> None:
    with serving(FakeReplica("a1"), FakeReplica("a2")) as endpoints:
        (nobody,) = free_addresses(1)
        found = audit({**endpoints, "a3": nobody})
    assert not found.ok
    assert {each.node for each in found.replicas} == {"a1", "a2"}
    assert list(found.silent) == ["a3"]


def test_a_replica_that_stays_behind_does_not_keep_the_others_from_being_compared() -> None:
    replicas = (FakeReplica("a1"), FakeReplica("a2"), FakeReplica("a3", applied=12))
    with serving(*replicas) as endpoints:
        found = audit(endpoints)
    assert not found.ok
    assert {each.node for each in found.replicas} == {"a1", "a2"}
    assert found.silent == {"a3": "stands at 12, not at 40"}


def test_a_replica_that_is_catching_up_is_named_and_no_agreement() -> None:
    slow = FakeReplica("b1", applied=0, rate=5)
    with serving(FakeReplica("a1"), FakeReplica("a2"), slow) as endpoints:
        found = audit(endpoints)
    assert not found.ok
    assert found.problems == ()
    assert {each.node for each in found.replicas} == {"a1", "a2"}
    assert list(found.silent) == ["b1"]
    assert found.silent["b1"].startswith("is catching up: at ")


def test_with_nobody_there_it_is_not_ok() -> None:
    (nobody,) = free_addresses(1)
    found = audit({"a1": nobody})
    assert not found.ok
    assert found.replicas == ()
