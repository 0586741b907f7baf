"""What a scrape shows, and who gets one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from node.engine import NodeStatus, PeerStatus
from node.metrics import Endpoint, Histogram, Metrics

PICTURE = NodeStatus(
    "n1",
    role="leader",
    epoch=7,
    commit_index=40,
    applied_index=39,
    last_index=41,
    serving=True,
    in_sync=("n1/d1", "n2/d2"),
    peers=(PeerStatus("n2", "d2", True, 40, 1, 12), PeerStatus("n3", "", False, 0, 41, -1)),
    settled=1234,
    mode="in sync",
    prune_index=12,
)


def read(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """The value of one sample now; None where there is none."""
    return registry.get_sample_value(name, labels)


def test_settlements_are_counted_by_service_and_outcome() -> None:
    metrics = Metrics(lambda: PICTURE, lambda: (0, 0.0))
    for outcome in (1, 1, 2):
        metrics.settled(4, outcome, 0.003)
    metrics.settled(0, 3, 0.2)
    name = "kessai_settlements_total"
    assert read(metrics.registry, name, service="e_money", outcome="approved") == 2
    assert read(metrics.registry, name, service="e_money", outcome="declined") == 1
    assert read(metrics.registry, name, service="all", outcome="mismatch") == 1


def test_latencies_and_batches_fall_into_buckets() -> None:
    metrics = Metrics(lambda: PICTURE, lambda: (0, 0.0))
    for seconds in (0.001, 0.0011, 7.0):
        metrics.settled(1, 1, seconds)
    metrics.batch(3)
    metrics.batch(64)
    bucket = "kessai_settlement_seconds_bucket"
    assert read(metrics.registry, bucket, le="0.001") == 1
    assert read(metrics.registry, bucket, le="0.002") == 2
    assert read(metrics.registry, bucket, le="5.0") == 2
    assert read(metrics.registry, bucket, le="+Inf") == 3
    assert read(metrics.registry, "kessai_settlement_seconds_count") == 3
    assert read(metrics.registry, "kessai_settlement_seconds_sum") == pytest.approx(7.0021)
    assert read(metrics.registry, "kessai_batch_commands_sum") == 67
    assert read(metrics.registry, "kessai_batch_commands_count") == 2


def test_refusals_are_counted_by_reason() -> None:
    metrics = Metrics(lambda: PICTURE, lambda: (0, 0.0))
    metrics.refused("BAD_INPUT")
    metrics.refused("BAD_INPUT")
    assert read(metrics.registry, "kessai_refused_total", reason="bad_input") == 2


def test_the_rest_is_the_node_as_it_is_at_the_scrape() -> None:
    picture, fsyncs = PICTURE, (10, 0.002)
    metrics = Metrics(lambda: picture, lambda: fsyncs)
    metrics.takeover()
    for name, value in (
        ("kessai_epoch", 7),
        ("kessai_commit_index", 40),
        ("kessai_applied_index", 39),
        ("kessai_last_index", 41),
        ("kessai_serving", 1),
        ("kessai_prune_index", 12),
        ("kessai_manoeuvre", 0),
        ("kessai_degraded", 0),
        ("kessai_takeovers_total", 1),
        ("kessai_applied_commands_total", 1234),
        ("kessai_fsync_seconds_count", 10),
        ("kessai_fsync_seconds_sum", 0.002),
    ):
        assert read(metrics.registry, name) == value, name
    assert read(metrics.registry, "kessai_role", role="leader") == 1
    assert read(metrics.registry, "kessai_role", role="follower") == 0
    assert read(metrics.registry, "kessai_peer_lag", peer="n3") == 41
    assert read(metrics.registry, "kessai_peer_connected", peer="n2") == 1
    picture, fsyncs = replace(PICTURE, role="follower", serving=False, peers=()), (11, 0.003)
    assert read(metrics.registry, "kessai_role", role="follower") == 1
    assert read(metrics.registry, "kessai_serving") == 0
    assert read(metrics.registry, "kessai_fsync_seconds_count") == 11
    assert read(metrics.registry, "kessai_peer_lag", peer="n3") is None


def test_two_nodes_in_one_process_share_nothing() -> None:
    one, other = (Metrics(lambda: PICTURE, lambda: (0, 0.0)) for _ in range(2))
    one.takeover()
    assert read(other.registry, "kessai_takeovers_total") == 0


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((1, 2))
    for value in (1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.buckets() == ([("1.0", 1.0), ("2.0", 3.0), ("+Inf", 4.0)], 7.5)


def test_both_sites_their_mode_and_what_is_under_way() -> None:
    picture = replace(
        PICTURE,
        standby_in_sync=("b1/d4", "b2/d5", "b3/d6"),
        manoeuvre="set change, sent: b3 is silent",
    )
    metrics = Metrics(lambda: picture, lambda: (0, 0.0))
    in_sync = "kessai_in_sync_replicas"
    assert read(metrics.registry, in_sync, site="active") == 2
    assert read(metrics.registry, in_sync, site="standby") == 3
    assert read(metrics.registry, "kessai_degraded") == 0
    assert read(metrics.registry, "kessai_manoeuvre") == 1
    picture = replace(picture, standby_in_sync=(), mode="degraded", manoeuvre="")
    assert read(metrics.registry, in_sync, site="standby") == 0
    assert read(metrics.registry, "kessai_degraded") == 1
    assert read(metrics.registry, "kessai_manoeuvre") == 0


def test_bytes_of_snapshots_are_counted_both_ways() -> None:
    metrics = Metrics(lambda: PICTURE, lambda: (0, 0.0))
    metrics.snapshot_sent(1000)
    metrics.snapshot_sent(24)
    metrics.snapshot_received(7)
    name = "kessai_snapshot_bytes_total"
    assert read(metrics.registry, name, direction="sent") == 1024
    assert read(metrics.registry, name, direction="received") == 7


async def ask(port: int, request: bytes) -> bytes:
    """Everything the endpoint answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_the_endpoint_answers_scrapers_and_nobody_else() -> None:
    metrics = Metrics(lambda: PICTURE, lambda: (0, 0.0))
    metrics.settled(1, 1, 0.003)
    endpoint = Endpoint(metrics.registry)
    port = await endpoint.start("127.0.0.1:0")
    try:
        page = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert page.startswith(b"HTTP/1.1 200 OK\r\n")
        head, _, body = page.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert b'kessai_settlements_total{outcome="approved",service="credit"} 1.0' in body
        assert (await ask(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert (await ask(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert (await ask(port, b"\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert await ask(port, b"GET /metrics") == b""
        assert await ask(port, b"x" * 20_000) == b""
    finally:
        await endpoint.stop()
