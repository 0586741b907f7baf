"""A program of the simulated centre that may end and begin again: one loop a life."""

from __future__ import annotations

from loadtest.sim.ground import Ground
from loadtest.sim.happening import Kind
from loadtest.sim.loop import VirtualLoop


class Process:
    """A host with one process after another; `loop` is that of the present one."""

    def __init__(self, name: str, site: str, ground: Ground) -> None:
        self.name = name
        self.site = site
        self.loop: VirtualLoop | None = None
        self.life = 0
        self.clock_error_ms = 0.0
        """By how much its wall clock is wrong."""
        self._ground = ground
        self._dead: list[VirtualLoop] = []  # swept up by nobody before the day is over

    @property
    def up(self) -> bool:
        """Does its process run (or stand still)?"""
        return self.loop is not None

    def pause(self) -> None:
        """The process stands still."""
        if self.loop is not None and not self.loop.paused:
            self.loop.pause()
            self._ground.happened(Kind.PAUSE, self.name)

    def wake(self) -> None:
        """The process goes on where it stopped."""
        if self.loop is not None and self.loop.paused:
            self._ground.happened(Kind.WAKE, self.name)
            self.loop.wake()

    def _live(self, rate: float = 1.0) -> VirtualLoop:
        """Another life begins, on a loop of its own. `rate`: see `VirtualLoop`."""
        self.life += 1
        ground = self._ground
        draw = ground.dice.of(f"loop {self.name}")
        self.loop = VirtualLoop(f"{self.name}.{self.life}", ground.timeline, draw, rate=rate)
        return self.loop

    def _die(self, why: str) -> None:
        """The present life is over."""
        if self.loop is not None:
            self.loop.kill()
            self._dead.append(self.loop)
            self.loop = None
            self._ground.happened(Kind.CRASH, self.name, why)

    def wall_ms(self) -> int:
        """Its wall clock, in Unix milliseconds."""
        return self._ground.wall_ms(self.clock_error_ms)
