"""Rounds: the echo and the settlement in turns, and what came of them, as numbers.

In turns, because the machine is never equally quiet for long: each ratio compares two rounds that
were neighbours.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import grpc.aio
import psutil

from loadtest.bench import load
from loadtest.bench.load import Sample
from node.rpc.server import open_channel

MODES: Final[Mapping[str, Callable[[grpc.aio.Channel, str, int, float], Awaitable[Sample]]]] = {
    "unary": load.unary,
    "stream": load.stream,
}

CLIENT: Final = "client"


@dataclass(frozen=True, slots=True)
class Target:
    """Something to measure: where it listens, whose processor time it costs, its counters.

    `counters` gives settlements applied and fsyncs made so far by the leader; None without any.
    """

    name: str
    address: str
    processes: Mapping[str, int]
    counters: Callable[[], tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one target. Processor time is in microseconds an answer, by process."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    settlements_per_fsync: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest over the rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mode at one number in flight: every round of both, and the ratio of their rates."""

    mode: str
    in_flight: int
    base: Sequence[Measured]
    tried: Sequence[Measured]

    @property
    def ratio(self) -> Spread:
        """Rate tried over rate of the base, round by round."""
        return Spread.of([b.rate / a.rate for a, b in zip(self.base, self.tried, strict=True)])

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "mode": self.mode,
            "in_flight": self.in_flight,
            "ratio": asdict(self.ratio),
            "base": [asdict(each) for each in self.base],
            "tried": [asdict(each) for each in self.tried],
        }


async def measure(
    target: Target, mode: str, in_flight: int, seconds: float, prefix: str
) -> Measured:
    """One round on a channel of its own. `prefix` makes its keys unlike any other round's."""
    processes = {name: psutil.Process(pid) for name, pid in target.processes.items()}
    processes[CLIENT] = psutil.Process()
    async with open_channel(target.address) as channel:
        await channel.channel_ready()
        counted = target.counters() if target.counters else None
        before = {name: _cpu_s(process) for name, process in processes.items()}
        sample = await MODES[mode](channel, prefix, in_flight, seconds)
        spent = {name: _cpu_s(process) - before[name] for name, process in processes.items()}
        per_fsync = None
        if target.counters and counted:
            settled, fsyncs = target.counters()
            per_fsync = (settled - counted[0]) / max(1, fsyncs - counted[1])
    return Measured(
        rate=sample.rate,
        p50_ms=sample.percentile(0.50),
        p99_ms=sample.percentile(0.99),
        cpu_us={name: 1e6 * cpu / sample.answers for name, cpu in spent.items()},
        settlements_per_fsync=per_fsync,
    )


async def compare(
    base: Target,
    tried: Target,
    *,
    modes: Sequence[str],
    in_flight: Sequence[int],
    rounds: int,
    seconds: float,
    warm_up: float,
    say: Callable[[str], None],
) -> list[Comparison]:
    """All modes and numbers in flight, base and tried in turns, `rounds` times over.

    Each target first runs `warm_up` seconds that are not counted. Raises `load.BenchError`.
    """
    results: dict[tuple[str, int], tuple[list[Measured], list[Measured]]] = {
        (mode, many): ([], []) for mode in modes for many in in_flight
    }
    # Three letters a round: no two share a terminal, so no key is used twice.
    numbers = iter(range(36**3))
    if warm_up > 0:
        for target in (base, tried):
            for mode in modes:
                await measure(target, mode, max(in_flight), warm_up, _prefix(next(numbers)))
    for turn in range(rounds):
        for (mode, many), pair in results.items():
            for target, into in zip((base, tried), pair, strict=True):
                into.append(await measure(target, mode, many, seconds, _prefix(next(numbers))))
            a, b = pair[0][-1], pair[1][-1]
            say(
                f"round {turn + 1}/{rounds}  {mode} {many:>4} in flight  "
                f"{base.name} {a.rate:,.0f}/s  {tried.name} {b.rate:,.0f}/s  "
                f"ratio {b.rate / a.rate:.2f}"
            )
    return [Comparison(mode, many, *pair) for (mode, many), pair in results.items()]


def _prefix(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "B" + digits[number // 1296] + digits[number // 36 % 36] + digits[number % 36]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
