"""Prometheus metrics of one node: plain counters on the hot path, made into families when scraped.

The objects of the client library cost microseconds and a lock each time; a settlement touches
three of them. So the hot path adds to lists and dicts of its own, on the event loop, and a scrape,
on the same loop, turns them into metric families. Everything else is read from the node's status
at the moment of the scrape.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from node.engine import NodeStatus
from node.ledger.commands import Outcome, Service

LATENCY_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BATCH_COMMANDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROLES: Final = ("unconfigured", "follower", "campaigning", "takeover", "leader", "silent")
DEGRADED: Final = "degraded"

SCRAPE_DEADLINE_S: Final = 5.0
SCRAPE_BYTES: Final = 8192


class Histogram:
    """Counts by bucket. `bounds` are upper bounds, rising; one bucket more takes what is above."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative counts by upper bound as Prometheus wants them, and the sum of all values."""
        rows: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(float(bound)), float(total)))
        return rows, self._sum


class Metrics(Collector):
    """One node's numbers. Everything is called on the event loop.

    `status` is the engine's picture of the node; `fsyncs` how many fsyncs the store has made, and
    the seconds they took together.
    """

    def __init__(
        self, status: Callable[[], NodeStatus], fsyncs: Callable[[], tuple[int, float]]
    ) -> None:
        self._status = status
        self._fsyncs = fsyncs
        self._settled: Counter[tuple[int, int]] = Counter()
        self._latency = Histogram(LATENCY_S)
        self._refused: Counter[str] = Counter()
        self._batches = Histogram(BATCH_COMMANDS)
        self._takeovers = 0
        self._snapshot_sent = 0
        self._snapshot_received = 0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def settled(self, service: int, outcome: int, seconds: float) -> None:
        """A receipt left for `service` (0: a close of all), `seconds` after its request came."""
        self._settled[service, outcome] += 1
        self._latency.observe(seconds)

    def refused(self, reason: str) -> None:
        """A request got no receipt."""
        self._refused[reason] += 1

    def batch(self, commands: int) -> None:
        """A batch of so many commands was proposed as one entry."""
        self._batches.observe(commands)

    def takeover(self) -> None:
        """This node became leader."""
        self._takeovers += 1

    def snapshot_sent(self, size: int) -> None:
        """So many bytes of a snapshot left for a peer."""
        self._snapshot_sent += size

    def snapshot_received(self, size: int) -> None:
        """So many bytes of a snapshot came."""
        self._snapshot_received += size

    def describe(self) -> Iterable[Metric]:
        """Nothing to say before the first scrape; keeps registration from making one."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Every family, as of now."""
        yield from self._traffic()
        now = self._status()
        yield from self._replication(now)
        yield from self._sites(now)

    def _traffic(self) -> Iterable[Metric]:
        settled = CounterMetricFamily(
            "kessai_settlements",
            "Receipts given, by service and outcome",
            labels=("service", "outcome"),
        )
        for (service, outcome), count in sorted(self._settled.items()):
            settled.add_metric((_service(service), Outcome(outcome).name.lower()), count)
        yield settled
        buckets, total = self._latency.buckets()
        yield HistogramMetricFamily(
            "kessai_settlement_seconds",
            "From decoded request to receipt",
            buckets=buckets,
            sum_value=total,
        )
        refused = CounterMetricFamily(
            "kessai_refused", "Requests that got no receipt, by reason", labels=("reason",)
        )
        for reason, count in sorted(self._refused.items()):
            refused.add_metric((reason.lower(),), count)
        yield refused
        buckets, total = self._batches.buckets()
        yield HistogramMetricFamily(
            "kessai_batch_commands", "Commands in one log entry", buckets=buckets, sum_value=total
        )

    def _replication(self, now: NodeStatus) -> Iterable[Metric]:
        for name, text, value in (
            ("kessai_epoch", "The promised epoch", now.epoch),
            ("kessai_commit_index", "Last index known to be on a write quorum", now.commit_index),
            ("kessai_applied_index", "Last index in the ledger", now.applied_index),
            ("kessai_last_index", "Last index in the log", now.last_index),
            ("kessai_serving", "1 while this node settles", now.serving),
            ("kessai_prune_index", "The log begins after this index", now.prune_index),
            ("kessai_manoeuvre", "1 while a manoeuvre is under way", bool(now.manoeuvre)),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        role = GaugeMetricFamily("kessai_role", "1 for the node's role", labels=("role",))
        for name in ROLES:
            role.add_metric((name,), float(now.role == name))
        yield role
        lag = GaugeMetricFamily("kessai_peer_lag", "Entries behind the leader", labels=("peer",))
        connected = GaugeMetricFamily(
            "kessai_peer_connected", "1 while its stream stands", labels=("peer",)
        )
        for peer in now.peers:
            lag.add_metric((peer.node,), peer.lag)
            connected.add_metric((peer.node,), float(peer.connected))
        yield lag
        yield connected
        yield CounterMetricFamily(
            "kessai_takeovers", "Leaderships begun by this process", value=self._takeovers
        )
        yield CounterMetricFamily(
            "kessai_applied_commands", "Commands applied since start", value=now.settled
        )
        count, seconds = self._fsyncs()
        yield SummaryMetricFamily(
            "kessai_fsync_seconds", "Time in fsync", count_value=count, sum_value=seconds
        )

    def _sites(self, now: NodeStatus) -> Iterable[Metric]:
        in_sync = GaugeMetricFamily(
            "kessai_in_sync_replicas",
            "Replicas that count, in the active and in the standby site",
            labels=("site",),
        )
        in_sync.add_metric(("active",), len(now.in_sync))
        in_sync.add_metric(("standby",), len(now.standby_in_sync))
        yield in_sync
        yield GaugeMetricFamily(
            "kessai_degraded",
            "1 while the standby site does not count",
            value=float(now.mode == DEGRADED),
        )
        snapshots = CounterMetricFamily(
            "kessai_snapshot_bytes", "Bytes of snapshots, by direction", labels=("direction",)
        )
        snapshots.add_metric(("sent",), self._snapshot_sent)
        snapshots.add_metric(("received",), self._snapshot_received)
        yield snapshots


class Endpoint:
    """An HTTP listener that answers `GET /metrics`, on the node's own loop, and nothing else."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._server: asyncio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on `host:port` (port 0: any) and say which port it became. Raises `OSError`."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.start_server(self._answer, host, int(port), limit=SCRAPE_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SCRAPE_DEADLINE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._page(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # not a scraper, or gone: nobody to tell
        finally:
            writer.close()

    def _page(self, head: bytes) -> bytes:
        target = head.split(b" ", 2)[:2]
        if target[0] != b"GET":
            return _response("405 Method Not Allowed", b"GET only\n", "text/plain")
        if len(target) < 2 or target[1].split(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"see /metrics\n", "text/plain")
        return _response("200 OK", generate_latest(self._registry), CONTENT_TYPE_LATEST)


def _response(status: str, body: bytes, content_type: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _service(number: int) -> str:
    return Service(number).name.lower() if number else "all"
