"""Putting a fetched snapshot in the place of ledger and log: rule M4, one durable step.

From the snapshot come the ledger, its index, epoch and chain hash, and the last time stamp. Disk
id, cluster id, promise and configuration revision are this replica's own. All of it is one
transaction: a crash leaves the replica as it was or as it will be.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import apsw
import msgspec

from node.core.outputs import Install
from node.store.problems import Breach, StoreDamaged
from node.store.schema import LEDGER_INDEX, TABLE_NUMBER, Meta, Tally, read_meta

_COUNT: Final = "SELECT tab, count(*), sum(crc) FROM ledger GROUP BY tab"


def permit(install: Install, meta: Meta, applied: int) -> None:
    """Raises `Breach` where the promise or something applied would go back."""
    if install.promised < meta.promised:
        raise Breach(f"promise {install.promised} is below {meta.promised}, the one on disk")
    if install.offer.index <= applied:
        raise Breach(f"a snapshot at {install.offer.index}, but {applied} is applied")


def replace(connection: apsw.Connection, install: Install, file: Path, meta: Meta) -> Meta:
    """Commits what `file` holds in the place of ledger and log; the meta row that is now on disk.

    Checked once more inside the transaction: the file is the one offered, and each of its rows
    arrived. Raises `StoreDamaged`, `apsw.Error`; nothing is changed then.
    """
    connection.execute("ATTACH ? AS fetched", (str(file),)).fetchall()
    try:
        connection.execute("BEGIN").fetchall()
        becomes = becoming(install, read_meta(connection, "fetched"), meta)
        # The index is built anew at the end, sorted, not one scattered key after the other.
        for statement in (
            "DROP INDEX main.ledger_key",
            "DELETE FROM main.ledger",
            "DELETE FROM main.log",
            "INSERT INTO main.ledger SELECT tab, key, value, crc FROM fetched.ledger",
            LEDGER_INDEX,
        ):
            connection.execute(statement).fetchall()
        _check_rows(connection, becomes)
        connection.execute(*becomes.update()).fetchall()
        connection.execute("COMMIT").fetchall()
    except BaseException:
        # Where this fails, too, SQLite rolls back when the file is opened next.
        with contextlib.suppress(apsw.Error):
            connection.execute("ROLLBACK").fetchall()
        raise
    finally:
        with contextlib.suppress(apsw.Error):
            connection.execute("DETACH fetched").fetchall()
    return becomes


def becoming(install: Install, fetched: Meta, meta: Meta) -> Meta:
    """The meta row after `install`, from that of the `fetched` snapshot and the one before.

    Raises `StoreDamaged` where the snapshot is not the one offered.
    """
    offer = install.offer
    if (fetched.applied_index, fetched.prune_epoch, fetched.base_hash) != (
        offer.index,
        offer.entry_epoch,
        offer.hash,
    ):
        raise StoreDamaged(f"the snapshot fetched for index {offer.index} is another one")
    return msgspec.structs.replace(
        meta,
        promised=install.promised,
        configuration_revision=max(meta.configuration_revision, install.configuration_revision),
        applied_index=offer.index,
        prune_index=offer.index,
        prune_epoch=offer.entry_epoch,
        prune_hash=offer.hash.hex(),
        prune_stamp_ms=fetched.prune_stamp_ms,
        tallies=fetched.tallies,
    )


def _check_rows(connection: apsw.Connection, meta: Meta) -> None:
    found = {
        number: Tally(int(rows), int(crc_sum) % 2**64)
        for number, rows, crc_sum in connection.execute(_COUNT)
    }
    for table, number in TABLE_NUMBER.items():
        if found.pop(number, Tally()) != meta.tallies.get(table, Tally()):
            raise StoreDamaged(f"ledger {table}: the snapshot's rows did not all arrive")
    if found:
        raise StoreDamaged("ledger: the snapshot has rows of no table")
