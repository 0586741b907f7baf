"""Faults of the store: a log that lost its end, and reads of what is on disk alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from loadtest.drill.planted.fault import Fault
from loadtest.sim.planted.plant import Change, Plant
from node.ledger import queries
from node.store import Recovered, Store, recovery
from node.store.highwater import HighWater
from node.store.plan import End
from node.store.rows import NO_CHANGES, ReadRows
from node.store.schema import Meta, read_meta

DROPPED: Final = 16
"""Entries. Of the last few nobody may have been told: no more than that many batches are under way
at once (node.settings.Limits). With fewer dropped, a loss would be a matter of luck."""

_verify: Final = recovery.verify


def _verify_what_is_left(
    connection: Any, disk: Path, high_water: HighWater, entries_in_memory: int
) -> tuple[Recovered, Meta, End]:
    meta = read_meta(connection)
    last = high_water.mark.index
    kept = max(meta.prune_index, meta.applied_index, last - DROPPED)
    if kept < last:
        connection.execute("DELETE FROM log WHERE idx > ?", (kept,)).fetchall()
        chain = recovery.hash_at(connection, meta, kept)
        assert chain is not None, "what is kept ends with an entry"
        high_water.cover(meta.promised, kept, chain)
    return _verify(connection, disk, high_water, entries_in_memory)


def _inquire_the_disk(store: Store, key: str) -> queries.Inquiry | None:
    with store._readers.borrow() as connection:
        return queries.inquire(ReadRows(connection, NO_CHANGES), key)


FAULTS: Final = (
    Fault(
        Plant(
            "loses-its-tail",
            "D5",
            "a log comes back from a restart without its last entries, and its high-water record "
            "says that they never were",
            (Change(recovery, "verify", _verify_what_is_left),),
        ),
        "power-lost-early",
        "lost_approval",
    ),
    Fault(
        Plant(
            "reads-the-disk-alone",
            "R1",
            "an inquiry is answered without what is applied and not written yet",
            (Change(Store, "inquire", _inquire_the_disk),),
        ),
        "business",
        "stale_read",
    ),
)
