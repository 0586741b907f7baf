"""What the store can say no with: refused at start, failed while running, asked for the past."""

from __future__ import annotations

from pathlib import Path


class StoreRefused(Exception):
    """A data folder that must not be used as it is; nothing in it was changed.

    `file` is the file or folder at fault, `problem` what is wrong with it and where.
    """

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


class StoreFull(StoreRefused):
    """The disk has no room left. Nothing is wrong with what is on it.

    Once there is room again, `Store.open` works, and all that was vouched for is there: whoever
    meets this waits and tries again.
    """


class StoreFailed(Exception):
    """The store met an error while running and has stopped: it vouches for nothing more."""


class StoreDamaged(Exception):
    """A row whose bytes are not the ones that were written. It stops the store (`StoreFailed`)."""


class StoreClosed(Exception):
    """The store was closed before it could answer."""


class SnapshotFailed(Exception):
    """A snapshot could not be made. The store goes on; ask again later."""


class SnapshotDamaged(Exception):
    """A fetched snapshot that must not be installed: not whole, or not what was offered (M4)."""


class Breach(Exception):
    """The store was asked for something the protocol forbids, such as dropping a settled entry.

    It stops the store: going on could only make it worse (M2).
    """


class IndexPassed(Exception):
    """An audit or export at an index below the one applied: the past is not kept."""

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"index {asked} has passed: the ledger stands at {current}")
        self.asked = asked
        self.current = current
