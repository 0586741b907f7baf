"""A node of the simulated cluster: its disk for good, its processes one after another."""

from __future__ import annotations

from typing import Final

from loadtest.sim.front import Front
from loadtest.sim.ground import Ground
from loadtest.sim.happening import Kind
from loadtest.sim.life import Life
from loadtest.sim.process import Process
from loadtest.sim.storage.disk import SimDisk
from loadtest.sim.storage.store import SimStore
from node.store import Recovered, StoreFull, StoreRefused

_ROOM_MS: Final = 500.0
"""How often a node that ran out of room looks whether there is some."""


class SimNode(Process):
    """A host with one disk at a time; `running` is its present life.

    `disks` are all that it ever had, the present one last; `clock_rate`: seconds of the monotonic
    clock of its *next* life a true second.
    """

    def __init__(self, name: str, ground: Ground) -> None:
        super().__init__(name, ground.setup.nodes[name], ground)
        self.clock_rate = 1.0
        self.returns = False
        """Does it begin again when a planned stop has ended? In the calm it does."""
        self.running: Life | None = None
        self.front = Front(self, ground.network)
        self.disks: list[SimDisk] = []
        self.disk = self._new_disk()

    def _new_disk(self) -> SimDisk:
        ground = self._ground
        disk = SimDisk(
            self.name,
            f"disk{len(self.disks) + 1}",
            ground.timeline,
            ground.dice.of(f"disk {self.name}"),
            ground.tell,
        )
        self.disks.append(disk)
        return disk

    def start(self) -> None:
        """A new life from what is on the disk. A disk that is refused is put aside (D6)."""
        if self.up:
            return
        loop = self._live(self.clock_rate)
        on = f"life {self.life} on {self.disk.disk_id}"
        self._ground.happened(Kind.RESTART, self.name, on)
        loop.enter(self._begin)

    def _begin(self) -> None:
        assert self.loop is not None
        try:
            store, recovered = self._open()
        except StoreFull:
            self.wait_for_room()
            return
        except StoreRefused as problem:
            self._ground.happened(Kind.DISK_REFUSED, self.name, str(problem))
            if not self.disk.lied:
                self._ground.broken("D5", f"a good disk was refused: {problem}")
            self.disk = self._new_disk()
            store, recovered = self._open()
        self.running = Life(self, self._ground, self.loop, store, recovered)

    def _open(self) -> tuple[SimStore, Recovered]:
        ground = self._ground
        assert self.loop is not None
        return SimStore.open(
            self.disk,
            node=self.name,
            loop=self.loop,
            draw=ground.dice.of(f"store {self.name}"),
            manners=ground.setup.disk,
            tell=ground.tell,
            entries_in_memory=ground.setup.timings.entries_in_memory,
        )

    def crash(self, why: str = "killed") -> None:
        """The process is gone, and with it all that was not synced."""
        if self.loop is None:
            return
        self.running = None
        self._die(why)
        self.disk.crash()
        self.front.reset()

    def stop(self) -> None:
        """A planned stop: it takes its leave, then its process ends."""
        life, loop = self.running, self.loop
        if life is None or loop is None:
            return

        async def leave() -> None:
            await life.leave()
            # Not from inside: a process that is gone runs nothing, not even the end of this.
            self._ground.timeline.after(0.0, ended, f"{self.name} ends")

        def ended() -> None:
            if self.running is life:
                self.crash("stopped")
                if self.returns:
                    self.start()

        loop.enter(lambda: loop.create_task(leave()))

    def lose_disk(self) -> None:
        """Everything on its disk is gone; it comes back as another replica (D6)."""
        self.crash("its disk is lost")
        self._ground.happened(Kind.DISK_LOST, self.name, self.disk.disk_id)
        self.disk = self._new_disk()

    # -- what befalls its disk -------------------------------------------------------------------

    def wait_for_room(self) -> None:
        """Its disk is full: the process ends, and begins again once there is room."""
        timeline, life = self._ground.timeline, self.life

        def look() -> None:
            if self.disk.is_full:
                timeline.after(_ROOM_MS, look, f"{self.name} looks for room")
            else:
                self.start()

        def end() -> None:
            if self.life == life:
                self.crash("no room on its disk")
                look()

        timeline.after(50.0, end, f"{self.name} ends for want of room")

    def has_lied(self, disk_id: str) -> bool:
        """Did one of its disks forget what it had synced? Only such a one may be called rolled
        back by its peers (D5)."""
        return any(disk.lied for disk in self.disks if disk.disk_id == disk_id)
