"""What the driver needs of those around it: disk, etcd, snapshots, whoever waits for answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
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
from node.ledger.commands import Command, Receipt
from node.ledger.queries import Inquiry
from node.ledger.refusals import Refusal
from node.store import AuditReport, SnapshotFile, Totals


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


class Reads(Protocol):
    """What the engine reads of the store. Each raises `StoreFailed` or `StoreClosed`."""

    @property
    def prune_stamp_ms(self) -> int:
        """The leader's time in the newest stamped entry that was pruned (C3)."""
        ...

    def inquire(self, key: str) -> Inquiry | None:
        """What became of an idempotency key."""
        ...

    def interim(self, terminal: str, service: int) -> Totals:
        """A terminal's totals since its last close, and as of when."""
        ...


class Figures(Protocol):
    """What a node's picture says of its store."""

    @property
    def fsyncs(self) -> int:
        """Commits made durable since the start."""
        ...

    @property
    def prune_index(self) -> int:
        """The log on disk begins after this index."""
        ...


class Books(Protocol):
    """What the archive reads of the store. Each raises `StoreFailed` or `StoreClosed`."""

    def audit(self, at_index: int, rederive: bool) -> Future[AuditReport]:
        """Log and ledger added up at exactly `at_index` (0: now). May hold `IndexPassed`."""
        ...

    def export(self, at_index: int) -> Iterator[str]:
        """Log and ledger at exactly `at_index` (0: now) as lines of JSON. Raises `IndexPassed`."""
        ...

    def read_log(self, first: int, max_bytes: int) -> tuple[Entry, ...]:
        """Entries from disk, from `first` on."""
        ...


class SnapshotFiles(Protocol):
    """What the snapshots' maker asks of the store (M4)."""

    def make_snapshot(self) -> Future[SnapshotFile]:
        """A copy of the ledger for a peer to fetch. Raises `StoreFailed` or `StoreClosed`."""
        ...

    def snapshot_part(self, index: int, chain: bytes) -> Path:
        """Where to put what is fetched for this offer together. Raises `OSError`."""
        ...

    def check_snapshot(self, path: Path, offer: Offer) -> None:
        """Read a fetched file through. Raises `SnapshotDamaged`, `OSError` for want of room."""
        ...

    def install(self, install: Install, path: Path) -> None:
        """Queue the durable step of `install`, from the checked file."""
        ...


class Disk(Storage, Reads, Figures, Books, SnapshotFiles, Protocol):
    """All that a node's programs need of its store."""

    def admit(self, commands: Sequence[Command]) -> list[Receipt | Refusal | None]:
        """What the ledger already says to each command."""
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
