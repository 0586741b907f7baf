"""The benchmark counts every answer once, compares like with like, and trusts no refusal."""

from __future__ import annotations

import asyncio
import json
import os
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest
from click.testing import CliRunner

from deploy.lab.processes import HOME
from loadtest.bench import echo, load
from loadtest.bench.command import bench
from loadtest.bench.front import BurstEngine
from loadtest.bench.load import BenchError, Sample
from loadtest.bench.rounds import (
    Comparison,
    Counters,
    Ground,
    Lengths,
    Measured,
    Ready,
    Spread,
    Target,
    compare,
    idle_cores,
    measure,
)
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


def target(
    name: str,
    address: str,
    order: list[str] | None = None,
    counters: Callable[[], Counters] | None = None,
) -> Target:
    """A server of this very process as a target; its start and stop go to `order`."""
    told = [] if order is None else order

    @asynccontextmanager
    async def at_work() -> AsyncIterator[Ready]:
        told.append(name)
        yield lambda: Ground(address, {"server": (os.getpid(),)}, counters)
        told.append(f"/{name}")

    return Target(name, at_work)


async def test_rounds_are_taken_in_turns_and_compared_in_pairs() -> None:
    said: list[str] = []
    counted = iter(
        [Counters(0, 0, 5), Counters(300, 10, 5), Counters(300, 10, 5), Counters(600, 20, 6)]
    )
    async with serving(echo.handler()) as base, serving(front()) as tried:
        found = await compare(
            [target("echo", base), target("front", tried, counters=lambda: next(counted))],
            modes=["unary"],
            in_flight=[4],
            lengths=Lengths(rounds=2, seconds=0.1, warm_up=0.0, idle=0.05),
            say=said.append,
        )
    (comparison,) = found.comparisons
    ours = comparison.rounds["front"]
    assert len(ours) == len(comparison.rounds["echo"]) == len(said) == 2
    assert [each.settlements_per_fsync for each in ours] == [30.0, 30.0]
    assert [each.sets_changed for each in ours] == [False, True]
    assert all(each.settlements_per_fsync is None for each in comparison.rounds["echo"])
    assert set(ours[0].cpu_us) == {"server", "client"}
    (ratio,) = comparison.as_json()["ratios"]
    assert (ratio["of"], ratio["to"]) == ("front", "echo")
    assert ratio["median"] == comparison.ratio("front", "echo").median
    assert {name: len(cores) for name, cores in found.idle_cores.items()} == {
        "echo": 2,
        "front": 2,
    }


async def test_one_target_runs_at_a_time_and_every_turn_begins_with_another_one() -> None:
    order: list[str] = []
    async with serving(echo.handler()) as address:
        found = await compare(
            [target(name, address, order) for name in ("x", "y", "z")],
            modes=["unary"],
            in_flight=[2, 3],
            lengths=Lengths(rounds=3, seconds=0.02, warm_up=0.02, idle=0.0),
            say=lambda line: None,
        )
    turns = ("xyz", "yzx", "zxy")
    assert order == [word for turn in turns for name in turn for word in (name, f"/{name}")]
    # Warming up is not counted.
    for comparison in found.comparisons:
        assert [len(rounds) for rounds in comparison.rounds.values()] == [3, 3, 3]


async def test_what_a_target_uses_without_load_is_measured() -> None:
    idle = Ground("nowhere", {"server": (1,)})
    assert await idle_cores(idle, 0.1) < 1.0
    busy = Ground("nowhere", {"server": (os.getpid(),)})

    async def work() -> None:
        for _ in range(30):
            sum(range(200_000))
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    assert await idle_cores(busy, 0.3) > 0.05
    await working


async def test_a_process_that_ends_ends_the_measurement() -> None:
    async with serving(echo.handler()) as address:
        gone = Ground(address, {"server": (2**22 - 1,)})
        with pytest.raises(BenchError, match="ended"):
            await measure(gone, "unary", 1, 0.05, "GONE")


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


def test_the_ratio_is_taken_turn_by_turn() -> None:
    def measured(*rates: float) -> list[Measured]:
        return [Measured(rate, 1.0, 2.0, {}, None) for rate in rates]

    comparison = Comparison(
        "unary",
        64,
        {"echo": measured(100, 200), "3": measured(75, 100), "6": measured(50, 50)},
    )
    assert comparison.ratios() == [
        ("3", "echo", Spread(0.625, 0.5, 0.75)),
        ("6", "echo", Spread(0.375, 0.25, 0.5)),
        ("6", "3", Spread((50 / 75 + 0.5) / 2, 0.5, 50 / 75)),
    ]


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
        (comparison,) = json.loads(result.stdout)["rates"]["comparisons"]
        assert (comparison["mode"], comparison["in_flight"]) == ("unary", 4)
        assert comparison["ratios"][0]["least"] > 0
    else:
        assert "unary, 4 in flight" in result.stdout
        assert "front to echo" in result.stdout


# --- a real cluster -------------------------------------------------------------------------------

TOPOLOGY = """
cluster = "bench-smoke"
active_site = "a"
copies_min = 2

[[sites]]
name = "a"

[[sites.nodes]]
name = "a1"
terminals = "127.0.0.1:17801"
peers = "127.0.0.1:17811"
metrics = "127.0.0.1:17821"

[[sites.nodes]]
name = "a2"
terminals = "127.0.0.1:17802"
peers = "127.0.0.1:17812"
metrics = "127.0.0.1:17822"

[[sites.nodes]]
name = "a3"
terminals = "127.0.0.1:17803"
peers = "127.0.0.1:17813"
metrics = "127.0.0.1:17823"

[[etcd]]
name = "e1"
place = "a"
client = "127.0.0.1:17831"
peers = "127.0.0.1:17841"
"""


def _alive(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE


def test_a_real_cluster_is_measured_beside_the_echo(tmp_path: Path) -> None:
    file = tmp_path / "smoke.toml"
    file.write_text(TOPOLOGY)
    before = {child.pid for child in psutil.Process().children()}
    lengths = ["--rounds", "1", "--seconds", "1", "--warm-up", "0.2"]
    what = ["--topology", str(file), "--in-flight", "16", "--mode", "unary", "--json"]
    result = CliRunner().invoke(bench, [*lengths, *what])
    assert result.exit_code == 0, result.output
    (comparison,) = json.loads(result.stdout)["rates"]["comparisons"]
    rounds = comparison["rounds"]["3 replicas"]
    assert len(rounds) == len(comparison["rounds"]["echo"]) == 1
    assert all(each["rate"] > 0 and each["settlements_per_fsync"] >= 1 for each in rounds)
    assert set(rounds[0]["cpu_us"]) == {"leader", "followers in a", "etcd", "client"}
    (ratio,) = comparison["ratios"]
    assert (ratio["of"], ratio["to"]) == ("3 replicas", "echo")
    assert {child.pid for child in psutil.Process().children() if _alive(child)} <= before
    assert not list(HOME.glob("bench-*/run/*.json"))
