"""What the driver needs of those around it: disk, etcd, snapshots, whoever waits for answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from coordinator.configuration import Configuration
from node.core.messages import Entry, Offer
from node.core.outputs import (
    Fenced,
    Install,
    NotProposed,
    Placed,
    ReadReady,
    ReadRefused,
    Write,
)
from node.ledger.commands import Receipt


class Storage(Protocol):
    """What the driver needs of the store (node/store)."""

    def write(self, write: Write) -> None:
        """Queue one durable step."""
        ...

    def prune(self, index: int) -> None:
        """Queue the removal of log entries up to `index`."""
        ...

    def apply(self, entries: Sequence[Entry]) -> None:
        """Queue committed entries for the ledger."""
        ...

    def read_log(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """Entries from disk, from `first` on."""
        ...


class Elections(Protocol):
    """What the driver asks of etcd (coordinator.session)."""

    def campaign(self, attempt: str, suspected: int, configuration_revision: int) -> None:
        """Try for the leader key."""
        ...

    def resign(self, epoch: int) -> None:
        """Delete the leader key of `epoch`."""
        ...

    def change_configuration(
        self, change: int, epoch: int, revision: int, configuration: Configuration
    ) -> None:
        """Send a guarded change of the in-sync sets."""
        ...

    def switch_site(
        self, change: int, epoch: int, revision: int, configuration: Configuration
    ) -> None:
        """Send a guarded switch of the active site."""
        ...


class Snapshots(Protocol):
    """Who makes, fetches and installs snapshots (node/driver/snapshots.py)."""

    def make(self, node: str) -> None:
        """Have one ready for `node`; `SnapshotMade` follows."""
        ...

    def fetch(self, node: str, offer: Offer) -> None:
        """Fetch this offer from `node`; `SnapshotFetched` or `SnapshotMissed` follows."""
        ...

    def install(self, install: Install) -> None:
        """Queue the durable step with the file that was fetched for it."""
        ...


class Waiters(Protocol):
    """Who waits for answers (node/driver/intake and engine)."""

    def on_placed(self, placed: Placed) -> None:
        """A batch has its index."""
        ...

    def on_not_proposed(self, refused: NotProposed) -> None:
        """A batch never reached the log."""
        ...

    def on_fenced(self, answer: Fenced) -> None:
        """A fence is on disk, or refused (X4)."""
        ...

    def on_read(self, answer: ReadReady | ReadRefused) -> None:
        """A read may be answered, or not here."""
        ...

    def on_receipts(self, receipts: Sequence[tuple[int, tuple[Receipt, ...]]]) -> None:
        """Entries were applied; each with one receipt a command."""
        ...

    def on_abandon(self) -> None:
        """The leadership is over (T9)."""
        ...

    def on_step(self) -> None:
        """Inputs have been taken: roles and indices may have moved."""
        ...
