"""Looking through a fetched snapshot before it may be installed (M4)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from node.core.messages import Offer
from node.store import rows, space
from node.store.problems import SnapshotDamaged, StoreDamaged
from node.store.schema import FORMAT_VERSION, SNAPSHOT_APPLICATION_ID, Meta, read_meta

_HEADER: Final = b"SQLite format 3\0"


def check(file: Path, offer: Offer, cluster_id: str) -> None:
    """Raises `SnapshotDamaged` naming what is wrong; reads the whole file, changes nothing.

    Whole and in order; of `cluster_id`; at the offer's index, with its epoch and chain hash; every
    row with its checksum, and as many as were written. Raises `OSError` (ENOSPC) where it is sound,
    but there is no room to install it: it can stay until there is.
    """
    try:
        _check_header(file)
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            _check_structure(connection)
            meta = read_meta(connection)
            check_offer(meta, offer, cluster_id)
            rows.check_tallies(connection, meta.tallies)
        finally:
            connection.close()
    except (apsw.Error, StoreDamaged) as problem:
        raise SnapshotDamaged(f"{file}: {problem}") from problem
    except OSError as problem:
        raise SnapshotDamaged(f"{file}: cannot be read: {problem.strerror}") from problem
    # Its rows and their index, in the write-ahead log and then in the database.
    space.check_room(file.parent, 3 * file.stat().st_size, "to install a snapshot")


def _check_header(file: Path) -> None:
    with file.open("rb") as stream:
        header = stream.read(32)
    if not header.startswith(_HEADER):
        raise StoreDamaged("this is not the header of a snapshot")
    # SQLite would take a file that lacks whole pages at its end for one not yet grown.
    page = int.from_bytes(header[16:18], "big")
    size, pages = file.stat().st_size, int.from_bytes(header[28:32], "big")
    if size != (page if page > 1 else 65536) * pages:
        raise StoreDamaged(f"{size} bytes, but {pages} pages of {page} were written")


def _check_structure(connection: apsw.Connection) -> None:
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application != SNAPSHOT_APPLICATION_ID:
        raise StoreDamaged(f"application id {application}: not a snapshot")
    if version != FORMAT_VERSION:
        raise StoreDamaged(f"format version {version}: this node reads version {FORMAT_VERSION}")
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise StoreDamaged("SQLite's integrity check: " + "; ".join(problems))


def check_offer(meta: Meta, offer: Offer, cluster_id: str) -> None:
    """A snapshot's meta row is that of `offer`, of this cluster. Raises `StoreDamaged`."""
    if not cluster_id:
        raise StoreDamaged("this disk belongs to no cluster yet, so it can take no ledger")
    if meta.cluster_id != cluster_id:
        raise StoreDamaged(f"is of cluster {meta.cluster_id!r}, not of {cluster_id!r}")
    if not meta.applied_index == meta.prune_index == offer.index:
        raise StoreDamaged(f"stands at index {meta.applied_index}, but {offer.index} was offered")
    if meta.prune_epoch != offer.entry_epoch:
        raise StoreDamaged(
            f"entry {offer.index} is of epoch {meta.prune_epoch}, not {offer.entry_epoch}"
        )
    if meta.base_hash != offer.hash:
        raise StoreDamaged(
            f"the chain hash at {offer.index} is {meta.prune_hash}, but {offer.hash.hex()} was "
            "offered: another history"
        )
