"""The configuration record and its arithmetic (docs/protocol.md, "Words")."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.configuration import (
    Configuration,
    ConfigurationError,
    ReplicaId,
    is_takeover_quorum,
    is_write_quorum,
    majority,
    quorum_index,
    takeover_size,
)

A = tuple(ReplicaId(f"a{n}", f"da{n}") for n in range(1, 6))
B = tuple(ReplicaId(f"b{n}", f"db{n}") for n in range(1, 6))


def configured(a: int, b: int, copies_min: int = 1) -> Configuration:
    """`a` replicas in the active site, `b` in the standby."""
    return Configuration("cluster", "a", {"a": frozenset(A[:a]), "b": frozenset(B[:b])}, copies_min)


def test_majority_of_nothing_asks_for_nothing() -> None:
    assert [majority(size) for size in range(6)] == [0, 1, 2, 2, 3, 3]


def test_takeover_quorum_of_nothing_cannot_be_had() -> None:
    assert [takeover_size(size) for size in range(6)] == [None, 1, 1, 2, 2, 3]
    assert not is_takeover_quorum(configured(3, 0), "b", A + B)
    assert not is_takeover_quorum(configured(3, 0), "elsewhere", A + B)


@pytest.mark.parametrize("a", range(1, 6))
@pytest.mark.parametrize("b", range(6))
def test_every_takeover_quorum_meets_every_write_quorum(a: int, b: int) -> None:
    configuration = configured(a, b)
    everybody = A[:a] + B[:b]
    writes = [
        set(some)
        for size in range(len(everybody) + 1)
        for some in combinations(everybody, size)
        if is_write_quorum(configuration, some)
    ]
    smallest = min(len(write) for write in writes)
    assert smallest == configuration.copies() == majority(a) + majority(b)
    for site, members in (("a", A[:a]), ("b", B[:b])):
        for size in range(len(members) + 1):
            for some in combinations(members, size):
                if is_takeover_quorum(configuration, site, some):
                    assert all(write & set(some) for write in writes if len(write) == smallest)


def test_replicas_outside_the_sets_count_for_nothing() -> None:
    configuration = configured(3, 0)
    strangers = (*A[3:], *B, ReplicaId("a2", "another"), ReplicaId("a3", "another"))
    assert not is_write_quorum(configuration, (A[0], *strangers))
    assert not is_takeover_quorum(configuration, "a", (A[0], *strangers))
    assert is_write_quorum(configuration, A[:2])


def test_a_write_quorum_needs_both_sites() -> None:
    configuration = configured(3, 2)
    assert not is_write_quorum(configuration, (*A[:3], B[0]))
    assert not is_write_quorum(configuration, (A[0], *B[:2]))
    assert is_write_quorum(configuration, (*A[1:3], *B[:2]))


def test_quorum_index_is_the_highest_on_a_write_quorum() -> None:
    configuration = configured(3, 0)
    assert quorum_index(configuration, {A[0]: 9, A[1]: 5, A[2]: 3}) == 5
    assert quorum_index(configuration, {A[0]: 9}) == 0
    assert quorum_index(configured(3, 2), {A[0]: 9, A[1]: 8, B[0]: 7, B[1]: 2}) == 2
    assert quorum_index(configured(1, 0), {A[0]: 4, A[1]: 9}) == 4


@given(
    a=st.integers(1, 5),
    b=st.integers(0, 5),
    durable=st.dictionaries(st.sampled_from(A + B), st.integers(0, 9)),
)
def test_quorum_index_agrees_with_is_write_quorum(
    a: int, b: int, durable: dict[ReplicaId, int]
) -> None:
    configuration = configured(a, b)
    index = quorum_index(configuration, durable)
    if index:
        assert is_write_quorum(configuration, [r for r, at in durable.items() if at >= index])
    assert not is_write_quorum(configuration, [r for r, at in durable.items() if at > index])


def test_sites_and_members() -> None:
    configuration = configured(2, 1)
    assert configuration.active_set == {A[0], A[1]}
    assert configuration.members == {A[0], A[1], B[0]}
    assert configuration.site_of(B[0]) == "b"
    assert configuration.site_of(B[1]) is None
    assert configuration.with_set("b", ()).members == {A[0], A[1]}


def test_a_replica_is_written_node_slash_disk() -> None:
    assert str(A[0]) == "a1/da1"
    assert ReplicaId.parse("a1/da1") == A[0]
    for wrong in ("", "a1", "a1/", "/da1"):
        with pytest.raises(ValueError, match="node/disk"):
            ReplicaId.parse(wrong)


@pytest.mark.parametrize(
    ("cluster", "active", "copies_min", "problem"),
    [
        ("", "a", 1, "cluster id"),
        ("cluster", "a", 0, "copies_min"),
        ("cluster", "b", 1, "empty"),
        ("cluster", "elsewhere", 1, "empty"),
    ],
)
def test_a_configuration_that_breaks_its_own_rules_is_refused(
    cluster: str, active: str, copies_min: int, problem: str
) -> None:
    sets = {"a": frozenset(A[:3]), "b": frozenset[ReplicaId]()}
    with pytest.raises(ConfigurationError, match=problem):
        Configuration(cluster, active, sets, copies_min)


def test_the_record_survives_etcd() -> None:
    configuration = configured(3, 2, 2)
    assert Configuration.from_json(configuration.to_json()) == configuration
    assert configuration.to_json() == Configuration.from_json(configuration.to_json()).to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"7",
        b"null",
        b'{"cluster_id": "c", "active_site": "a", "in_sync": [], "copies_min": 1}',
        b'{"cluster_id": "c", "active_site": "a", "in_sync": {"a": ["x"]}, "copies_min": 1}',
        b'{"cluster_id": "c", "active_site": "a", "in_sync": {"a": []}, "copies_min": 1}',
        b'{"cluster_id": "c", "active_site": [], "in_sync": {"a": ["a/b"]}, "copies_min": 1}',
        b'{"cluster_id": "c", "active_site": "a", "in_sync": {"a": ["a/b"]}, "copies_min": "2"}',
        b'{"cluster_id": "c", "active_site": "a", "in_sync": {"a": ["a/b"]}}',
    ],
)
def test_what_is_no_configuration_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Configuration.from_json(data)
