"""The benchmark counts every answer once, compares like with like, and trusts no refusal."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import grpc
import grpc.aio
import psutil
import pytest
from click.testing import CliRunner

from loadtest.bench import echo, load
from loadtest.bench.command import bench
from loadtest.bench.front import BurstEngine
from loadtest.bench.load import BenchError, Sample
from loadtest.bench.rounds import Comparison, Measured, Spread, Target, compare
from node.metrics import Metrics
from node.rpc.server import build_server, listen, open_channel
from node.rpc.settlement import SettlementService


@asynccontextmanager
async def serving(handler: grpc.GenericRpcHandler) -> AsyncIterator[str]:
    """The address of a server with this handler."""
    server = build_server((handler,), services=(), health=None, message_bytes=65536)
    port = listen(server, "127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def front() -> grpc.GenericRpcHandler:
    """A node's front over an engine that answers in bursts."""
    engine = BurstEngine(2.0)
    return SettlementService(engine, Metrics(engine.status, lambda: (0, 0.0))).handler()


@pytest.mark.parametrize("drive", [load.unary, load.stream])
@pytest.mark.parametrize("handler", [echo.handler, front])
async def test_every_answer_is_timed_once(drive: object, handler: object) -> None:
    assert callable(drive)
    assert callable(handler)
    async with serving(handler()) as address, open_channel(address) as channel:
        sample = await drive(channel, "T", 8, 0.2)
    assert sample.answers == len(sample.latencies_ms) > 8
    assert min(sample.latencies_ms) > 0
    assert sample.rate == sample.answers / sample.seconds


async def test_rounds_are_taken_in_turns_and_compared_in_pairs() -> None:
    said: list[str] = []
    counted = iter([(0, 0), (300, 10), (300, 10), (600, 20)])
    async with serving(echo.handler()) as base, serving(front()) as tried:
        (comparison,) = await compare(
            Target("echo", base, {"server": os.getpid()}),
            Target("front", tried, {"server": os.getpid()}, lambda: next(counted)),
            modes=["unary"],
            in_flight=[4],
            rounds=2,
            seconds=0.1,
            warm_up=0.0,
            say=said.append,
        )
    assert len(comparison.base) == len(comparison.tried) == len(said) == 2
    assert [each.settlements_per_fsync for each in comparison.tried] == [30.0, 30.0]
    assert all(each.settlements_per_fsync is None for each in comparison.base)
    assert set(comparison.tried[0].cpu_us) == {"server", "client"}
    assert comparison.as_json()["ratio"]["median"] == comparison.ratio.median


@pytest.mark.parametrize("drive", [load.unary, load.stream])
async def test_a_refusal_stops_the_benchmark(drive: object) -> None:
    assert callable(drive)
    async with serving(front()) as address, open_channel(address) as channel:
        with pytest.raises(BenchError):
            await drive(channel, "a name too long", 2, 0.1)


def test_no_two_requests_share_a_key() -> None:
    source = load.requests("BAAA")
    keys = {(request.terminal_id, request.stan) for request in islice(source, 500)}
    assert len(keys) == 500


def test_the_ratio_is_taken_round_by_round() -> None:
    def measured(rate: float) -> Measured:
        return Measured(rate, 1.0, 2.0, {}, None)

    comparison = Comparison(
        "unary", 64, [measured(100), measured(200)], [measured(90), measured(100)]
    )
    assert comparison.ratio == Spread(0.7, 0.5, 0.9)


def test_percentiles_are_of_the_ranked_latencies() -> None:
    sample = Sample(4, 2.0, array("d", [4.0, 1.0, 3.0, 2.0]))
    assert sample.percentile(0.5) == 3.0
    assert sample.percentile(0.99) == 4.0
    assert Sample(0, 1.0, array("d")).percentile(0.5) == 0.0


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_command_measures_a_front_and_stops_what_it_started(flags: list[str]) -> None:
    before = {child.pid for child in psutil.Process().children()}
    lengths = ["--rounds", "1", "--seconds", "0.2", "--warm-up", "0"]
    what = ["--front", "1", "--in-flight", "4", "--mode", "unary"]
    result = CliRunner().invoke(bench, [*lengths, *what, *flags])
    assert result.exit_code == 0, result.output
    assert {child.pid for child in psutil.Process().children()} <= before
    if flags:
        (comparison,) = json.loads(result.stdout)
        assert (comparison["mode"], comparison["in_flight"]) == ("unary", 4)
        assert comparison["ratio"]["least"] > 0
    else:
        assert "unary, 4 in flight" in result.stdout
        assert "ratio" in result.stdout
