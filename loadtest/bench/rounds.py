"""Rounds: the echo and the settlements in turns, and what came of them, as numbers.

In turns, because the machine is never equally quiet for long: each ratio compares two rounds of one
turn, and every turn begins with another target, so that a drift favours nobody. What is not being
measured goes on running without load (its leases would run out if it were paused), and what that
costs is measured in every round.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
    """A target that is ready for a round: where it listens now, and its counters if it has any."""

    address: str
    counters: Callable[[], Counters] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Something to measure.

    `ready` returns once it may be measured (a cluster: every replica of every site in sync), or
    raises `BenchError`. `processes` gives the process numbers it consists of now, by part.
    """

    name: str
    ready: Callable[[], Ground]
    processes: Callable[[], Mapping[str, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one target. Processor time is in microseconds an answer, by part.

    `idle_cores`: what all targets that were not measured used meanwhile, in processor cores.
    `sets_changed`: a replica fell out of sync or came back in this round; it is counted all the
    same, since what made that happen also made it slow.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    settlements_per_fsync: float | None
    idle_cores: float = 0.0
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


async def measure(
    target: Target,
    mode: str,
    in_flight: int,
    seconds: float,
    prefix: str,
    idle: Sequence[Target] = (),
) -> Measured:
    """One round on a channel of its own. `prefix` makes its keys unlike any other round's.

    Raises `BenchError` where an answer does not count or a process of `target` or `idle` ends.
    """
    ground = target.ready()
    parts = {**target.processes(), CLIENT: (psutil.Process().pid,)}
    others = [pid for each in idle for pids in each.processes().values() for pid in pids]
    async with open_channel(ground.address) as channel:
        await channel.channel_ready()
        counted = ground.counters() if ground.counters else None
        before, idle_before = _cpu_by_part(parts), _cpu_s(others)
        begun = perf_counter()
        sample = await MODES[mode](channel, prefix, in_flight, seconds)
        took = perf_counter() - begun
        after, idle_after = _cpu_by_part(parts), _cpu_s(others)
    per_fsync, changed = None, False
    if ground.counters and counted:
        now = ground.counters()
        per_fsync = (now.settled - counted.settled) / max(1, now.fsyncs - counted.fsyncs)
        changed = now.revision != counted.revision
    if not sample.answers:
        raise BenchError(f"{target.name} gave no answer in {seconds} s")
    return Measured(
        rate=sample.rate,
        p50_ms=sample.percentile(0.50),
        p99_ms=sample.percentile(0.99),
        cpu_us={part: 1e6 * (after[part] - before[part]) / sample.answers for part in parts},
        settlements_per_fsync=per_fsync,
        idle_cores=(idle_after - idle_before) / took,
        sets_changed=changed,
    )


async def compare(
    targets: Sequence[Target],
    *,
    modes: Sequence[str],
    in_flight: Sequence[int],
    rounds: int,
    seconds: float,
    warm_up: float,
    say: Callable[[str], None],
) -> list[Comparison]:
    """All modes and numbers in flight, all targets (the first is the base) in turns.

    Each target first runs `warm_up` seconds that are not counted. Raises `BenchError`.
    """
    results: dict[tuple[str, int], dict[str, list[Measured]]] = {
        (mode, many): {target.name: [] for target in targets}
        for mode in modes
        for many in in_flight
    }
    prefixes = iter(map(prefix_of, range(36**3)))
    if warm_up > 0:
        for target in targets:
            for mode in modes:
                await measure(target, mode, max(in_flight), warm_up, next(prefixes))
    for turn in range(rounds):
        for (mode, many), into in results.items():
            for target in rotated(targets, turn):
                idle = [each for each in targets if each is not target]
                measured = await measure(target, mode, many, seconds, next(prefixes), idle)
                into[target.name].append(measured)
            rates = "  ".join(f"{name} {each[-1].rate:,.0f}/s" for name, each in into.items())
            say(f"round {turn + 1}/{rounds}  {mode} {many:>4} in flight  {rates}")
    return [Comparison(mode, many, into) for (mode, many), into in results.items()]


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
