"""Rounds: the echo and the settlements in turns, and what came of them, as numbers.

In turns, because the machine is never equally quiet for long: a ratio compares two rounds of one
turn, and every turn begins with another target, so that a drift favours nobody. Only what is being
measured runs. A cluster without load is not free (heartbeats, probes, leases), and whatever it used
would be taken from the others; to pause it would let its leases run out. So each target is started
for its part of a turn, made whole, warmed up, measured and stopped; its data stays.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

import grpc.aio
import psutil

from loadtest.bench import load
from loadtest.bench.load import BenchError, Sample
from node.rpc.server import open_channel

MODES: Final[Mapping[str, Callable[[grpc.aio.Channel, str, int, float], Awaitable[Sample]]]] = {
    "unary": load.unary,
    "stream": load.stream,
}

CLIENT: Final = "client"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a leader has counted so far; `revision` changes with the in-sync sets."""

    settled: int
    fsyncs: int
    revision: int


@dataclass(frozen=True, slots=True)
class Ground:
    """A target that may be measured now: where it listens, the process numbers of its parts, and
    its counters if it has any."""

    address: str
    processes: Mapping[str, Sequence[int]]
    counters: Callable[[], Counters] | None = None


Ready = Callable[[], Ground]
"""Returns once the target may be measured (a cluster: every replica of every site in sync), or
raises `BenchError`. Called before every round: the leader may have changed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to measure; it runs within the block of `at_work`."""

    name: str
    at_work: Callable[[], AbstractAsyncContextManager[Ready]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one target. Processor time is in microseconds an answer, by part.

    `sets_changed`: a replica fell out of sync or came back in this round; it is counted all the
    same, since what made that happen also made it slow.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    settlements_per_fsync: float | None
    sets_changed: bool = False


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
    """A mode at one number in flight: every round of every target, the base's first."""

    mode: str
    in_flight: int
    rounds: Mapping[str, Sequence[Measured]]

    def ratio(self, name: str, to: str) -> Spread:
        """Rate of `name` over rate of `to`, turn by turn."""
        pairs = zip(self.rounds[name], self.rounds[to], strict=True)
        return Spread.of([ours.rate / theirs.rate for ours, theirs in pairs])

    def ratios(self) -> list[tuple[str, str, Spread]]:
        """Every target to each that stands before it: (name, to, ratio)."""
        names = list(self.rounds)
        return [
            (name, to, self.ratio(name, to))
            for number, name in enumerate(names)
            for to in names[:number]
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "mode": self.mode,
            "in_flight": self.in_flight,
            "ratios": [
                {"of": name, "to": to, **asdict(ratio)} for name, to, ratio in self.ratios()
            ],
            "rounds": {
                name: [asdict(each) for each in measured] for name, measured in self.rounds.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """All that was measured. `idle_cores`: what each target used without load, turn by turn."""

    comparisons: Sequence[Comparison]
    idle_cores: Mapping[str, Sequence[float]]

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "comparisons": [each.as_json() for each in self.comparisons],
            "idle_cores": {name: list(cores) for name, cores in self.idle_cores.items()},
        }


@dataclass(frozen=True, slots=True)
class Lengths:
    """How often and how long: turns, seconds of a round, seconds of warming up that do not count
    (each target, each turn), seconds without load."""

    rounds: int
    seconds: float
    warm_up: float
    idle: float = 1.0


async def measure(
    ground: Ground, mode: str, in_flight: int, seconds: float, prefix: str
) -> Measured:
    """One round on a channel of its own. `prefix` makes its keys unlike any other round's.

    Raises `BenchError` where an answer does not count, or a process ended.
    """
    parts = {**ground.processes, CLIENT: (psutil.Process().pid,)}
    async with open_channel(ground.address) as channel:
        await channel.channel_ready()
        counted = ground.counters() if ground.counters else None
        before = _cpu_by_part(parts)
        sample = await MODES[mode](channel, prefix, in_flight, seconds)
        after = _cpu_by_part(parts)
    per_fsync, changed = None, False
    if ground.counters and counted:
        now = ground.counters()
        per_fsync = (now.settled - counted.settled) / max(1, now.fsyncs - counted.fsyncs)
        changed = now.revision != counted.revision
    if not sample.answers:
        raise BenchError(f"{ground.address} gave no answer in {seconds} s")
    return Measured(
        rate=sample.rate,
        p50_ms=sample.percentile(0.50),
        p99_ms=sample.percentile(0.99),
        cpu_us={part: 1e6 * (after[part] - before[part]) / sample.answers for part in parts},
        settlements_per_fsync=per_fsync,
        sets_changed=changed,
    )


async def idle_cores(ground: Ground, seconds: float) -> float:
    """The processor cores that a target uses without load."""
    before, begun = _cpu_by_part(ground.processes), perf_counter()
    await asyncio.sleep(seconds)
    after, took = _cpu_by_part(ground.processes), perf_counter() - begun
    return (sum(after.values()) - sum(before.values())) / took


async def compare(
    targets: Sequence[Target],
    *,
    modes: Sequence[str],
    in_flight: Sequence[int],
    lengths: Lengths,
    say: Callable[[str], None],
) -> Compared:
    """All modes and numbers in flight, all targets (the first is the base) in turns.

    Raises `BenchError`.
    """
    results: dict[tuple[str, int], dict[str, list[Measured]]] = {
        (mode, many): {target.name: [] for target in targets}
        for mode in modes
        for many in in_flight
    }
    idle: dict[str, list[float]] = {target.name: [] for target in targets}
    prefixes = map(prefix_of, range(36**3))
    for turn in range(lengths.rounds):
        for target in rotated(targets, turn):
            async with target.at_work() as ready:
                idle[target.name].append(await idle_cores(ready(), lengths.idle))
                if lengths.warm_up > 0:
                    for mode in modes:
                        await measure(
                            ready(), mode, max(in_flight), lengths.warm_up, next(prefixes)
                        )
                for (mode, many), into in results.items():
                    measured = await measure(ready(), mode, many, lengths.seconds, next(prefixes))
                    into[target.name].append(measured)
        for (mode, many), into in results.items():
            rates = "  ".join(f"{name} {each[-1].rate:,.0f}/s" for name, each in into.items())
            say(f"turn {turn + 1}/{lengths.rounds}  {mode} {many:>4} in flight  {rates}")
    found = [Comparison(mode, many, into) for (mode, many), into in results.items()]
    return Compared(found, idle)


def rotated(targets: Sequence[Target], turn: int) -> list[Target]:
    """The targets in the order of this turn: each begins as often as the others."""
    at = turn % len(targets)
    return [*targets[at:], *targets[:at]]


def prefix_of(number: int) -> str:
    """Three letters a round: no two share a terminal, so no key is used twice."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "B" + digits[number // 1296] + digits[number // 36 % 36] + digits[number % 36]


def _cpu_by_part(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {part: _cpu_s(pids) for part, pids in parts.items()}


def _cpu_s(pids: Iterable[int]) -> float:
    spent = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess as problem:
            raise BenchError(f"process {pid} ended while it was measured: see its log") from problem
        spent += float(times.user + times.system)
    return spent
