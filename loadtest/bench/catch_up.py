"""A standby node is away while load goes on, and returns: how fast it takes in what it missed.

Once from the leader's log, once by snapshot (disk and memory then keep so few entries of the log
that what the node needs is gone when it returns). The steady load is judged before, while, after.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from deploy.control import Control, NodeStatus
from deploy.lab.processes import Cluster
from deploy.topology import Topology
from loadtest.bench import load
from loadtest.bench.beat import Beat, beat
from loadtest.bench.grounds import await_whole, of_its_own
from loadtest.bench.intake import Gap, Look, Moments, NeverCaughtUp, Return, Size, returned
from loadtest.bench.load import BenchError
from loadtest.bench.rounds import prefix_of
from node.rpc.server import open_channel
from proto import settlement_pb2 as pb

LOOK_EVERY_S: Final = 0.02
SIZE_EVERY_S: Final = 0.005  # a small snapshot is there in a tenth of a second
WITHIN_S: Final = 120.0
SNAPSHOT_FILES: Final = (
    "disk/snapshots/*.part"  # below a node's data folder; see node/store/snapshots.py
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to play. `rate`: steady payments a second. `window_s`: steady state before and after.

    `away_s`: how long the node is away; so long `in_flight` payments at a time are made besides, so
    that it misses much. `keep_entries`: what the log keeps in the part with snapshots.
    """

    rate: float
    window_s: float
    away_s: float
    in_flight: int
    times: int
    keep_entries: int


@dataclass(frozen=True, slots=True)
class CatchUp:
    """All returns, from the log and by snapshot."""

    rate: float
    from_log: Sequence[Return]
    by_snapshot: Sequence[Return]

    def as_json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "rate": self.rate,
            "from_log": [each.as_json() for each in self.from_log],
            "by_snapshot": [each.as_json() for each in self.by_snapshot],
        }


async def catch_up(topology: Topology, wanted: Wanted, say: Callable[[str], None]) -> CatchUp:
    """Play both parts, each on a cluster of its own. Raises `BenchError`."""
    keeps_little = msgspec.structs.replace(
        topology,
        limits=msgspec.structs.replace(
            topology.limits,
            log_keep_entries=wanted.keep_entries,
            entries_in_memory=wanted.keep_entries,
        ),
    )
    parts: list[list[Return]] = []
    for part, made_of in (("from the log", topology), ("by snapshot", keeps_little)):
        with of_its_own(made_of, say) as cluster:
            await asyncio.to_thread(cluster.start)
            parts.append([])
            for number in range(wanted.times):
                play = _Play(cluster, wanted, prefixes=(2 * number, 2 * number + 1))
                found = await play.run(by_snapshot=made_of is keeps_little)
                parts[-1].append(found)
                say(
                    f"{part} {number + 1}/{wanted.times}: {found.missed.entries:,} entries missed, "
                    f"counted again after {found.counted_s:.1f} s"
                )
    return CatchUp(wanted.rate, *parts)


class _Play:
    """One absence and one return."""

    def __init__(self, cluster: Cluster, wanted: Wanted, prefixes: tuple[int, int]) -> None:
        self._cluster = cluster
        self._wanted = wanted
        self._steady, self._filling = map(prefix_of, prefixes)

    async def run(self, *, by_snapshot: bool) -> Return:
        leader = await asyncio.to_thread(await_whole, self._cluster, WITHIN_S)
        node = away_node(self._cluster.topology, leader)
        beats: list[Beat] = []
        stop = asyncio.Event()
        async with open_channel(self._cluster.terminal_endpoints()[leader.node]) as channel:
            await channel.channel_ready()
            source: Iterator[pb.SettleRequest] = load.requests(self._steady)
            paying = asyncio.create_task(beat(channel, source, self._wanted.rate, stop, beats))
            try:
                with Control(self._cluster.control_endpoints()[leader.node]) as control:
                    looking = _Looking(control, leader.node, node, self._folder(node))
                    playing = asyncio.create_task(
                        self._play(looking, channel, node, by_snapshot=by_snapshot)
                    )
                    await asyncio.wait({paying, playing}, return_when=asyncio.FIRST_COMPLETED)
                    if not playing.done():
                        playing.cancel()
                        await paying  # it ended first, so it failed: say why
                        raise BenchError("the steady load ended before the node was back")
                    looks, missed, moments = await playing
            finally:
                stop.set()
                await asyncio.gather(paying, return_exceptions=True)
        try:
            sizes = [each for each in looking.sizes if each.at_s >= moments.return_s]
            return returned(looks, sizes, missed, moments, beats)
        except NeverCaughtUp as problem:
            raise BenchError(f"{node}: {problem}") from problem

    async def _play(
        self, looking: _Looking, channel: Any, node: str, *, by_snapshot: bool
    ) -> tuple[list[Look], Gap, Moments]:
        wanted, load_s = self._wanted, perf_counter()
        # Looked at all the time, also when there is nothing to see, so that the looking itself
        # costs the same before, while and after.
        await looking.until(lambda look: look.at_s >= load_s + wanted.window_s)
        stood, away_s = await looking.status(), perf_counter()
        await asyncio.to_thread(self._cluster.stop_node, node)
        await load.unary(channel, self._filling, wanted.in_flight, wanted.away_s)
        missed_by, gone = await self._dropped(looking, node, stood, by_snapshot=by_snapshot)
        return_s = perf_counter()
        await asyncio.to_thread(self._cluster.start_node, node, 0.0)
        looks = await looking.until(
            lambda look: look.counted and look.acked > gone.acked and look.near
        )
        counted_s = perf_counter()
        if by_snapshot:
            await asyncio.to_thread(self._must_have_skipped, node, missed_by)
        looks += await looking.until(lambda look: look.at_s >= counted_s + wanted.window_s)
        return looks, missed_by, Moments(load_s, away_s, return_s, perf_counter())

    async def _dropped(
        self, looking: _Looking, node: str, stood: NodeStatus, *, by_snapshot: bool
    ) -> tuple[Gap, Look]:
        """Wait until the node counts no more and the log is as the part needs it."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            look, status = await looking.look(), await looking.status()
            pruned = status.prune_index > look.acked
            if not look.counted and pruned == by_snapshot:
                missed = status.last_index - stood.last_index
                return Gap(missed, status.settled - stood.settled), look
            if pruned and not by_snapshot:
                raise BenchError(
                    f"the log no longer holds what {node} missed: be away for a shorter time"
                )
            if time.monotonic() >= deadline:
                raise BenchError(
                    f"{node} is still counted"
                    if look.counted
                    else f"the log still begins at {status.prune_index}, and {node} has "
                    f"{look.acked}: be away for longer"
                )
            await asyncio.sleep(LOOK_EVERY_S)

    def _must_have_skipped(self, node: str, missed: Gap) -> None:
        """Raise unless the node applied less than it had missed: only a snapshot spares it that."""
        status = self._cluster.statuses()[node]
        if status is None or status.settled >= missed.settlements:
            raise BenchError(
                f"{node} was fed from the log after all, not by snapshot: be away for longer"
            )

    def _folder(self, node: str) -> Path:
        return self._cluster.root / "data" / node


class _Looking:
    """Asks the leader about one node, outside of the event loop that times the payments."""

    def __init__(self, control: Control, leader: str, node: str, folder: Path) -> None:
        self._control = control
        self._leader = leader
        self._node = node
        self._folder = folder
        self.sizes: list[Size] = []

    async def status(self) -> NodeStatus:
        """The leader's status. Raises `BenchError` if it does not lead any more."""
        status = await asyncio.to_thread(self._control.status)
        if not status.serving:
            raise BenchError(f"{self._leader} leads no more ({status.reason}): measure again")
        return status

    async def look(self) -> Look:
        """The node as the leader sees it now."""
        status = await self.status()
        acked = next((peer.acked_index for peer in status.peers if peer.node == self._node), 0)
        return Look(
            perf_counter(),
            acked,
            status.last_index,
            any(each.partition("/")[0] == self._node for each in status.counted),
        )

    async def until(self, enough: Callable[[Look], bool]) -> list[Look]:
        """Look on until a look is enough. Raises `BenchError` when that takes too long."""
        deadline = time.monotonic() + WITHIN_S
        looks = [await self.look()]
        while not enough(looks[-1]):
            if time.monotonic() >= deadline:
                raise BenchError(f"{self._node} is not back after {WITHIN_S:.0f} s: {looks[-1]}")
            until = perf_counter() + LOOK_EVERY_S
            while perf_counter() < until:
                self.sizes.append(self._size())
                await asyncio.sleep(SIZE_EVERY_S)
            looks.append(await self.look())
        return looks

    def _size(self) -> Size:
        files = self._folder.glob(SNAPSHOT_FILES)
        return Size(perf_counter(), sum(_size(path) for path in files))


def away_node(topology: Topology, leader: NodeStatus) -> str:
    """The node that is sent away: one of the standby site; in one site, one that does not lead."""
    others = [node.name for node in topology.nodes if node.name != leader.node]
    if not others:
        raise BenchError("catching up needs a cluster of at least two nodes")
    standby = [name for name in others if topology.site_of(name) != leader.active_site]
    return (standby or others)[-1]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # it was put in place between the listing and now
