"""The machines that nodes run on, as far as drills harm them: their disks and wall clocks.

A disk is harmed through a file that the node's store looks at (node/store/faults.py), a clock
through one that libfaketime looks at. Both are off unless asked for: they cost time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from deploy.lab import faketime
from deploy.lab.folder import ClusterError, Folder
from node.store.faults import DiskFault


class Machines:
    """The machines of one cluster's nodes.

    `faulty_disks`: disks can be harmed. `movable_clocks`: clocks can. Both together raise
    `ClusterError`: a slow disk sleeps, and Debian 12's libfaketime breaks that.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        faulty_disks: bool,
        movable_clocks: bool,
        say: Callable[[str], None],
    ) -> None:
        if faulty_disks and movable_clocks:
            raise ClusterError("disks that can be harmed or clocks that can: not both at once")
        self._folder = folder
        self._faulty_disks = faulty_disks
        self._movable_clocks = movable_clocks
        self._say = say
        self._library: Path | None = None

    def prepare(self) -> None:
        """Have what it takes before anything is started. Raises `FaketimeMissing`."""
        if self._movable_clocks:
            self._faketime()

    def harm_disk(self, node: str, fault: DiskFault) -> None:
        """From now on the disk of `node` misbehaves so. Raises `ClusterError`."""
        if not self._faulty_disks:
            raise ClusterError(f"the disk of {node} cannot be harmed: not started for that")
        self._folder.write(self._folder.disk_fault(node), msgspec.json.encode(fault))

    def mend_disk(self, node: str) -> None:
        """The disk of `node` is well again."""
        self._folder.disk_fault(node).unlink(missing_ok=True)

    def set_clock(self, node: str, offset_s: int) -> None:
        """The wall clock of `node` goes so many seconds ahead (below 0: behind), within two
        seconds. Raises `ClusterError`."""
        if not self._movable_clocks:
            raise ClusterError(f"the clock of {node} cannot be moved: not started for that")
        self._folder.write(self._folder.clock(node), faketime.moved_by(offset_s))

    def command(self, node: str, command: Sequence[str]) -> Sequence[str]:
        """The command of a node's program on its machine. Raises `FaketimeMissing`."""
        if not self._movable_clocks:
            return command
        clock = self._folder.clock(node)
        if not clock.exists():
            self.set_clock(node, 0)
        return (*faketime.under(self._faketime(), clock), *command)

    def _faketime(self) -> Path:
        if self._library is None:
            self._library = faketime.find(say=self._say)
        return self._library
