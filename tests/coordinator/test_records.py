"""The keys and records under /kessai/<cluster>/."""

from __future__ import annotations

import pytest

from coordinator.records import Keys, LeaderRecord, NodeRecord, RecordError


def test_keys_of_one_cluster_are_under_its_prefix() -> None:
    keys = Keys("tokyo")
    assert keys.configuration == "/kessai/tokyo/configuration"
    assert keys.leader == "/kessai/tokyo/leader"
    assert keys.node("a") == "/kessai/tokyo/nodes/a"
    assert keys.events == "/kessai/tokyo/events/"


@pytest.mark.parametrize("name", ["", "a/b"])
def test_names_that_would_leave_their_place_are_refused(name: str) -> None:
    with pytest.raises(RecordError):
        Keys(name)
    with pytest.raises(RecordError):
        Keys("tokyo").node(name)


def test_the_leader_record_is_canonical_and_takes_its_epoch_from_the_reader() -> None:
    record = LeaderRecord("a", "d", "east", "h:1", "life.1", epoch=99)
    data = record.to_json()
    assert data == b'{"disk":"d","endpoint":"h:1","node":"a","nonce":"life.1","site":"east"}'
    assert LeaderRecord.from_json(data, 7) == LeaderRecord("a", "d", "east", "h:1", "life.1", 7)


def test_the_node_record_survives_the_way_there_and_back() -> None:
    record = NodeRecord("a", "d", "east", "h:1", "h:2", 12, "ok")
    assert NodeRecord.from_json(record.to_json()) == record


def test_a_newer_nodes_extra_field_is_ignored() -> None:
    record = NodeRecord("a", "d", "east", "h:1", "h:2", 12, "ok")
    data = record.to_json().replace(b"{", b'{"colour":"blue",')
    assert NodeRecord.from_json(data) == record


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"node":1}', b"\xff"])
def test_anything_else_is_no_record(data: bytes) -> None:
    with pytest.raises(RecordError):
        LeaderRecord.from_json(data, 1)
    with pytest.raises(RecordError):
        NodeRecord.from_json(data)
