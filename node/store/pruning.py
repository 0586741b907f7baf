"""Dropping the beginning of the log, a piece at a time, so that no settlement waits for it.

What is dropped is on disk in the ledger of this replica, and nobody who counts needs it any more
(the core says up to where). Rows, prune point and its hash go and move in one transaction; a crash
leaves the state before a piece or after it.
"""

from __future__ import annotations

import contextlib
from typing import Final

import apsw
import msgspec

from node.ledger.commands import PayloadError, decode_batch
from node.store.problems import StoreDamaged
from node.store.schema import Meta

ROWS: Final = 128
"""Entries dropped in one transaction: with full batches, a few megabytes of log."""

_STAMPED: Final = (
    "SELECT payload FROM log WHERE idx <= ? AND length(payload) > 0 ORDER BY idx DESC LIMIT 1"
)

POSTPONED_AT_MOST: Final = 4 * ROWS
"""A piece waits for a moment without work, until this many entries wait to be dropped."""


class Pruning:
    """How far the log may go, as asked so far."""

    def __init__(self) -> None:
        self._wanted = 0

    def ask(self, index: int) -> None:
        """Entries up to `index` are not needed any more."""
        self._wanted = max(self._wanted, index)

    def waiting(self, meta: Meta) -> int:
        """How many entries can be dropped now: never one that the ledger on disk lacks."""
        return max(0, min(self._wanted, meta.applied_index) - meta.prune_index)


def drop(connection: apsw.Connection, meta: Meta, count: int) -> Meta:
    """Deletes the first `count` rows of the log in the open transaction; returns the new meta row.

    Raises `StoreDamaged` when the entry that becomes the prune point is not there.
    """
    to = meta.prune_index + count
    found = connection.execute("SELECT epoch, hash FROM log WHERE idx = ?", (to,)).fetchall()
    if len(found) != 1:
        raise StoreDamaged(f"log: entry {to} is missing, and was to be the last one pruned")
    ((epoch, chain),) = found
    if not (isinstance(epoch, int) and isinstance(chain, bytes)):
        raise StoreDamaged(f"log: entry {to} has values of the wrong type")
    stamp_ms = stamp_at(connection, meta, to)
    connection.execute("DELETE FROM log WHERE idx <= ?", (to,)).fetchall()
    return msgspec.structs.replace(
        meta,
        prune_index=to,
        prune_epoch=epoch,
        prune_hash=chain.hex(),
        prune_stamp_ms=stamp_ms,
    )


def stamp_at(connection: apsw.Connection, meta: Meta, index: int) -> int:
    """The time stamped in the newest entry up to `index` that has one (C3): a leader that has only
    what is left of the log must not go back behind it."""
    for (payload,) in connection.execute(_STAMPED, (index,)):
        if isinstance(payload, bytes):
            with contextlib.suppress(PayloadError):
                return decode_batch(payload).stamp_ms
    return meta.prune_stamp_ms
