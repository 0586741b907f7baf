"""When troubles strike: each waits for its moment, strikes, and is over after its time.

Nothing strikes within a step: the step ends first, with all it sends and writes. When the calm
begins nothing strikes any more; what still lasts then is put right by the world.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.sim.happening import Happened, Kind, Told
from loadtest.sim.weather import prospects
from loadtest.sim.weather.blows import Blows
from loadtest.sim.weather.casting import NOBODY, cast
from loadtest.sim.weather.moments import Moment, moments, partner, place
from loadtest.sim.weather.troubles import At, Trouble, What

if TYPE_CHECKING:
    from loadtest.sim.world import World


@dataclass(slots=True)
class _Waiting:
    """A trouble that waits for its cue: `left` more such moments, from `since_ms` on."""

    trouble: Trouble
    after_ms: float
    since_ms: float
    left: int


@dataclass(frozen=True, slots=True)
class Struck:
    """A trouble that came: when, and whom it befell. Nobody, if nobody had the part, or if it would
    have left the cluster without hope."""

    at_ms: float
    trouble: Trouble
    names: tuple[str, ...]


class Striking:
    """A plan's troubles on their way to `world`: it listens there from the beginning.

    `struck` has those that have come, in order.
    """

    def __init__(self, world: World, troubles: Iterable[Trouble]) -> None:
        self.struck: list[Struck] = []
        self._world = world
        self._blows = Blows(world)
        self._waiting: dict[Moment, list[_Waiting]] = {}
        self._over = False
        for trouble in troubles:
            when = trouble.when
            if isinstance(when, At):
                self._expect(when.ms, trouble, "", "")
            else:
                waiting = _Waiting(trouble, when.after_ms, when.since_ms, when.nth)
                self._waiting.setdefault(when.moment, []).append(waiting)
        world.ground.listeners = (*world.ground.listeners, self.hear)

    def hear(self, told: Told) -> None:
        """A listener: cues are heard here, and the beginning of the calm."""
        if isinstance(told, Happened) and told.kind is Kind.PHASE:
            self._over = True
            self._waiting.clear()
        if not self._waiting:
            return
        for moment in moments(told):
            if moment in self._waiting:
                self._pass(moment, told)

    def _pass(self, moment: Moment, told: Told) -> None:
        now = self._world.timeline.now
        left: list[_Waiting] = []
        for each in self._waiting[moment]:
            each.left -= now >= each.since_ms
            if each.left:
                left.append(each)
            else:
                self._expect(now + each.after_ms, each.trouble, place(told), partner(told))
        if left:
            self._waiting[moment] = left
        else:
            del self._waiting[moment]

    def _expect(self, at_ms: float, trouble: Trouble, cued: str, other: str) -> None:
        def strike() -> None:
            if not self._over:
                self._strike(trouble, cued, other)

        self._world.timeline.at(at_ms, strike, f"trouble: {trouble.what}")

    def _strike(self, trouble: Trouble, cued: str, other: str) -> None:
        world, timeline = self._world, self._world.timeline
        victims = cast(world, trouble.victim, trouble.pick, cued, other)
        if trouble.what in (What.LOSE_DISK, What.LIE) and self._is_fatal(victims.names):
            victims = NOBODY
        self.struck.append(Struck(timeline.now, trouble, victims.names))
        if not victims.names:
            return
        heal = self._blows.strike(trouble, victims, other)

        def over() -> None:
            if not self._over:
                heal()

        if trouble.for_ms:
            timeline.after(trouble.for_ms, over, f"over: {trouble.what}")

    def _is_fatal(self, names: Collection[str]) -> bool:
        """Would the loss of these nodes' disks leave the cluster without hope? What it must do then
        is nothing, which no day is needed for."""
        configuration, _ = self._world.configuration()
        there = {
            disk
            for disk in prospects.disks(self._world)
            if disk.node not in names and not self._world.nodes[disk.node].disk.lied
        }
        return configuration is not None and bool(prospects.forlorn(configuration, there))
