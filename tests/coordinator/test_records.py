"""The keys and records under /kessai/<cluster>/."""

from __future__ import annotations

import pytest

from coordinator.records import (
    EventRecord,
    Keys,
    LeaderRecord,
    NodeRecord,
    NodeSight,
    Reach,
    RecordError,
    ReportRecord,
)


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


def test_events_sort_by_time_then_source_then_serial() -> None:
    keys = Keys("tokyo")
    said = [
        keys.event(999, "a1", "2"),
        keys.event(1000, "a1", "1"),
        keys.event(1000, "a1", "2"),
        keys.event(1000, "b1", "1"),
        keys.event(1_700_000_000_000, "a1", "1"),
    ]
    assert said == sorted(said)
    assert all(key.startswith(keys.events) for key in said)


@pytest.mark.parametrize(
    ("at_ms", "source", "serial"), [(-1, "a", "1"), (1, "", "1"), (1, "a/b", "1"), (1, "a", "")]
)
def test_an_event_without_time_source_or_serial_has_no_key(
    at_ms: int, source: str, serial: str
) -> None:
    with pytest.raises(RecordError):
        Keys("tokyo").event(at_ms, source, serial)


def test_each_place_reports_under_its_own_key() -> None:
    keys = Keys("tokyo")
    assert keys.report("witness") == "/kessai/tokyo/reports/witness"
    for name in ("", "a/b"):
        with pytest.raises(RecordError):
            keys.report(name)


def test_event_and_report_survive_the_way_there_and_back() -> None:
    event = EventRecord(1, "a1", "a", "kind", 7, 12, "because")
    assert EventRecord.from_json(event.to_json()) == event
    report = ReportRecord(
        place="b",
        source="cb",
        sequence=3,
        at_ms=4,
        mode="manual",
        revision=5,
        active_site="a",
        unserved_ms=6,
        awaited=False,
        leader="a1",
        epoch=7,
        led_ms=-1,
        leader_unreached_ms=8,
        failover_ms=10,
        nodes=(NodeSight("a1", "a", Reach.STALLS, 9, "NO_QUORUM"),),
        etcd="h:1",
        etcd_ok=True,
        etcd_away_ms=0,
        says="nothing to do",
        proposal="",
    )
    assert ReportRecord.from_json(report.to_json()) == report
    for data in (b"{}", report.to_json().replace(b'"stalls"', b'"sleeps"')):
        with pytest.raises(RecordError):
            ReportRecord.from_json(data)
    with pytest.raises(RecordError):
        EventRecord.from_json(b'{"at_ms": "1"}')
