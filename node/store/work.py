"""What is put in the writer's queue, and what it calls back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.core.messages import Entry
from node.core.outputs import Install, Write
from node.ledger.commands import Receipt
from node.store.snapshot import Snapshot


class Listener(Protocol):
    """Called on the writer thread. It must return quickly and not call the store back."""

    def persisted(self, number: int) -> None:
        """Every write up to `number` is on disk, and so is the high-water record (D2, D5).

        Where it was an installation, the ledger stands at the offer's index from now on.
        """
        ...

    def applied(self, index: int, receipts: list[tuple[int, tuple[Receipt, ...]]]) -> None:
        """The ledger stands at `index`; the receipts of each entry since the last call.

        Before any fsync here: the entries are on a write quorum already. Reads on this store see
        their effect from now on.
        """
        ...

    def failed(self, reason: str) -> None:
        """The store met an error and has stopped; called once, and nothing is called after it.

        The reason begins with `node.store.space.FULL` where only room is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Apply:
    """Committed entries, next in order."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """Make `cluster_id` this disk's cluster."""

    cluster_id: str
    done: Future[None]


@dataclass(frozen=True, slots=True)
class Freeze:
    """A picture of everything at exactly the applied index `at_index`; 0: as it is now.

    `copying`: to be written to a file, which its connection can then have attached.
    """

    at_index: int
    done: Future[Snapshot]
    copying: bool = False


@dataclass(frozen=True, slots=True)
class Prune:
    """Drop the log up to `index`, when there is time."""

    index: int


@dataclass(frozen=True, slots=True)
class Replace:
    """Install the snapshot in `file`; `drain` waits for readers that may see rows of before."""

    install: Install
    file: Path
    drain: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Fail:
    """A reader met damage."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish what was asked before, then end."""


Work = Write | Apply | Bind | Freeze | Prune | Replace | Fail | Stop
