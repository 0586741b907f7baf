"""What the store's tests share: a log to write, a listener that remembers, a disk as left."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from node.core.messages import GENESIS_HASH, Entry, Offer, chain_hash
from node.core.outputs import Install, Write
from node.ledger.commands import Command, Receipt, Service, Type, encode_batch, idempotency_key
from node.store import Recovered, SnapshotFile, Store

WAIT_S = 20.0
DATABASE = "disk/settlement.db"
STAMP_MS = 1_700_000_000_000
"""Entry n of `log` is stamped n ms later."""


def sale(stan: int, terminal: str = "T0000001", amount_minor: int = 1200) -> Command:
    """A credit sale."""
    return Command(
        key=idempotency_key(terminal, 20261123, stan, Type.SALE),
        fingerprint=stan.to_bytes(16, "big"),
        merchant="M000001",
        terminal=terminal,
        service=Service.CREDIT,
        brand="VISA",
        type=Type.SALE,
        amount_minor=amount_minor,
        currency="JPY",
        business_date=20261123,
        stan=stan,
        card_token="tok_0001",
        card_last4="4242",
    )


def log(
    count: int, *, commands: int = 2, epoch: int = 1, after: Entry | None = None
) -> list[Entry]:
    """`count` entries of `commands` sales each, chained after `after`."""
    first, chain = (after.index + 1, after.hash) if after else (1, GENESIS_HASH)
    entries = []
    for index in range(first, first + count):
        sales = tuple(sale(epoch * 100_000 + index * commands + n) for n in range(commands))
        payload = encode_batch(STAMP_MS + index, sales)
        chain = chain_hash(chain, index, epoch, payload)
        entries.append(Entry(index, epoch, payload, chain))
    return entries


class Ear:
    """A listener that remembers what it heard, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard = threading.Condition()
        self.number = 0
        self.index = 0
        self.receipts: list[tuple[int, tuple[Receipt, ...]]] = []
        self.failures: list[str] = []
        self.order: list[str] = []
        self.on_applied: Callable[[int], None] = lambda index: None
        self.on_failed: Callable[[], None] = lambda: None

    def persisted(self, number: int) -> None:
        with self.heard:
            self.number = number
            self.order.append(f"persisted {number}")
            self.heard.notify_all()

    def applied(self, index: int, receipts: list[tuple[int, tuple[Receipt, ...]]]) -> None:
        self.on_applied(index)
        with self.heard:
            self.index = index
            self.receipts += receipts
            self.order.append(f"applied {index}")
            self.heard.notify_all()

    def failed(self, reason: str) -> None:
        with self.heard:
            self.failures.append(reason)
            self.order.append("failed")
            self.on_failed()
            self.heard.notify_all()

    def until(self, met: Callable[[Ear], bool]) -> None:
        """Waits; fails the test when it takes too long or the store fails meanwhile."""
        with self.heard:
            self.heard.wait_for(lambda: met(self) or bool(self.failures), WAIT_S)
            assert met(self), f"heard {self.order}, failures {self.failures}"

    def until_failed(self) -> str:
        """Waits for the store's failure and returns its reason."""
        with self.heard:
            assert self.heard.wait_for(lambda: bool(self.failures), WAIT_S)
            return self.failures[0]


def opened(folder: Path, **options: object) -> tuple[Store, Ear, Recovered]:
    """A started store and its listener."""
    store, recovered = Store.open(folder, node="a1", **options)  # type: ignore[arg-type]
    ear = Ear()
    store.start(ear)
    return store, ear, recovered


def settle(store: Store, ear: Ear, entries: list[Entry], *, first_number: int = 1) -> None:
    """Writes and applies entries one commit each, and waits for the last."""
    for number, entry in enumerate(entries, first_number):
        store.write(Write(number, entry.epoch, 1, None, (entry,)))
        store.apply([entry])
        ear.until(lambda e, n=number, i=entry.index: e.number >= n and e.index >= i)  # type: ignore[misc]


def crash_image(folder: Path, to: Path) -> Path:
    """The disk as it would be found if the process died now, with no write under way."""
    shutil.copytree(folder, to)
    return to


def settled_and_flushed(folder: Path, count: int) -> tuple[Store, Ear, list[Entry]]:
    """A store of cluster "tokyo" that has settled `count` entries, all its rows on disk."""
    store, ear, _ = opened(folder)
    store.bind_cluster("tokyo")
    entries = log(count)
    settle(store, ear, entries)
    store.audit(0, False).result(WAIT_S)
    return store, ear, entries


def pruned_to(store: Store, index: int) -> None:
    """Waits until the log begins after `index`."""
    until = time.monotonic() + WAIT_S
    while store.prune_index != index:
        assert time.monotonic() < until, f"pruned to {store.prune_index}, not to {index}"
        time.sleep(0.002)


def reopened(folder: Path) -> Recovered:
    """What the disk says of itself at the next start."""
    store, recovered = Store.open(folder, node="a1")
    store.close()
    return recovered


def fetched(
    store: Store, made: SnapshotFile, *, number: int, promised: int = 1, revision: int = 1
) -> tuple[Install, Path]:
    """Brings a snapshot to `store` as if it had been fetched; what to install, and from where."""
    offer = Offer(9, made.index, made.epoch, made.hash)
    part = store.snapshot_part(made.index, made.hash)
    part.write_bytes(made.path.read_bytes())
    store.check_snapshot(part, offer)
    return Install(number, promised, revision, offer), part
