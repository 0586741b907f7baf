"""One disk under the writer's hands: what a commit is, and in which order things become durable."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

import apsw
import msgspec

from node.core.messages import Entry
from node.core.outputs import Install
from node.store import installing, pruning
from node.store.highwater import HighWater
from node.store.plan import End, Plan
from node.store.recovery import hash_at
from node.store.rows import WriteRows
from node.store.schema import Meta

_INSERT: Final = "INSERT INTO log (idx, epoch, payload, hash) VALUES (?, ?, ?, ?)"


class Disk:
    """Database and high-water record. `meta` and `end` are where they stand; `commits` and
    `commit_seconds` count, `pages` is about how many the write-ahead log holds."""

    def __init__(
        self, connection: apsw.Connection, high_water: HighWater, meta: Meta, end: End
    ) -> None:
        self.meta = meta
        self.end = end
        self.rows = WriteRows(connection, meta.tallies)
        self.commits = 0
        self.commit_seconds = 0.0
        self.pages = 0
        self._connection = connection
        self._high_water = high_water

    def commit(self, plan: Plan) -> None:
        """Makes log and meta row what the plan says, and vouches for them (D2, D5).

        The high-water record is lowered before a cut and raised after the commit: a crash in
        between leaves it too low, never too high. Raises `apsw.Error`, `OSError`.
        """
        started = time.perf_counter()
        if len(plan.rows) == 1 and plan.cut_after is None and plan.meta is self.meta:
            # The common case: one statement is a transaction by itself.
            self._insert(plan.rows[0])
        else:
            self._execute("BEGIN IMMEDIATE")
            if plan.cut_after is not None:
                self._cut(plan, plan.cut_after)
            for row in plan.rows:
                self._insert(row)
            if plan.meta is not self.meta:
                self._update(plan.meta)
            started = time.perf_counter()
            self._execute("COMMIT")
        self.meta, self.end = plan.meta, plan.end
        assert plan.end.hash is not None, "a commit leaves the end of the log known"
        self._high_water.cover(plan.meta.promised, plan.end.index, plan.end.hash)
        self._count(started, 4 + len(plan.rows) + plan.size // 4096)

    def flush(self, applied: int) -> None:
        """Writes the ledger's changed rows, and the applied index that they make true."""
        if applied == self.meta.applied_index:
            return
        self._execute("BEGIN IMMEDIATE")
        written = self.rows.flush()
        meta = msgspec.structs.replace(self.meta, applied_index=applied, tallies=self.rows.tallies)
        self._update(meta)
        started = time.perf_counter()
        self._execute("COMMIT")
        self.meta = meta
        self.rows.clear()
        self._count(started, 4 + written // 4)

    def prune(self, count: int) -> None:
        """Drops the first `count` entries of the log; their effect is on disk in the ledger."""
        self._execute("BEGIN IMMEDIATE")
        meta = pruning.drop(self._connection, self.meta, count)
        self._update(meta)
        started = time.perf_counter()
        self._execute("COMMIT")
        self.meta = meta
        self._count(started, 4 + count // 4)

    def install(self, install: Install, file: Path) -> None:
        """Makes ledger and log those of the snapshot in `file`, and vouches for it (M4, D5).

        Nothing may wait for `flush`. The high-water record goes down first to what holds before
        and after, where it stands higher; it covers the snapshot at the end.
        """
        assert not self.rows.pending, "what is applied was written before"
        mark, offer = self._high_water.mark, install.offer
        if mark.index >= offer.index:
            applied = self.meta.applied_index
            chain = hash_at(self._connection, self.meta, applied)
            assert chain is not None, "what is applied is in the log"
            self._high_water.cover(mark.promised, applied, chain)
        started = time.perf_counter()
        meta = installing.replace(self._connection, install, file, self.meta)
        self.rows.forget(meta.tallies)
        self.meta, self.end = meta, End(offer.index, offer.hash)
        self._high_water.cover(meta.promised, offer.index, offer.hash)
        self._count(started, file.stat().st_size // 4096)

    def checkpoint(self) -> None:
        """Copies the write-ahead log into the database, so that it can start anew."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.pages = 0

    def roll_back(self) -> None:
        """Ends an open transaction; where that fails, SQLite has done it, or will at opening."""
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def close(self, *, tidy: bool) -> None:
        """`tidy`: empties the write-ahead log, too; else it stays for whoever looks into it."""
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0 if tidy else 1)
        self._connection.close()
        self._high_water.close()

    def _cut(self, plan: Plan, after: int) -> None:
        """Drops the log above `after`."""
        chain = hash_at(self._connection, self.meta, after)
        assert chain is not None, "a cut is never beyond the log"
        if plan.end.hash is None:
            plan.end = End(after, chain)
        mark = self._high_water.mark
        if after < mark.index:
            self._high_water.cover(mark.promised, after, chain)
        self._execute("DELETE FROM log WHERE idx > ?", after)

    def _update(self, meta: Meta) -> None:
        statement, bindings = meta.update()
        self._execute(statement, *bindings)

    def _insert(self, row: Entry) -> None:
        self._execute(_INSERT, row.index, row.epoch, row.payload, row.hash)

    def _count(self, started: float, pages: int) -> None:
        self.commit_seconds += time.perf_counter() - started
        self.commits += 1
        self.pages += pages

    def _execute(self, sql: str, *bindings: str | int | bytes) -> None:
        self._connection.execute(sql, bindings).fetchall()
