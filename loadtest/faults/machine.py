"""What may be done to the machine that a node runs on: its disk, its clock."""

from __future__ import annotations

import msgspec

from loadtest.faults.parts import Fault


class SlowDisk(Fault, frozen=True, tag="slow-disk"):
    """Every sync of a node's disk takes `delay_ms` longer."""

    delay_ms: int


class FullDisk(Fault, frozen=True, tag="full-disk"):
    """No room is left on a node's disk: every write is refused (ENOSPC)."""


class FailingDisk(Fault, frozen=True, tag="failing-disk"):
    """A node's disk fails every write and sync (EIO)."""


class WrongClock(Fault, frozen=True, tag="wrong-clock"):
    """A node's wall clock jumps by `offset_s` (its monotonic clock does not)."""

    offset_s: int


MachineFault = SlowDisk | FullDisk | FailingDisk | WrongClock


class Mend(msgspec.Struct, frozen=True):
    """Disk or clock are well again: what heals each of these."""

    of: MachineFault

    @property
    def target(self) -> str:
        """Whose fault it was."""
        return self.of.target
