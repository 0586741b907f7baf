"""One replica's disk: log, ledger and promises in SQLite, vouched for by a record beside it.

The only package that speaks to SQLite. From the outside in: `store` is the door; `writer` the
thread that works through what was asked (`work`, `plan`, `pictures`, `pruning`); `disk` and `rows`
commit it; `reader`, `snapshot`, `audit` and `export` look on. A ledger on its way to another
replica (M4) is made by `copying`, kept by `snapshots`, looked through by `checking` and put in
place by `installing`. `recovery` verifies a disk at start, `highwater` is the record beside it
(D5), `folder` says where the files are and puts a refused disk aside (D6), `space` tells a full
disk from a bad one; `faults` makes the disk misbehave in drills.
"""

from __future__ import annotations

from node.store.audit import AuditReport
from node.store.problems import (
    IndexPassed,
    SnapshotDamaged,
    SnapshotFailed,
    StoreClosed,
    StoreFailed,
    StoreFull,
    StoreRefused,
)
from node.store.recovery import Recovered
from node.store.snapshots import SnapshotFile
from node.store.space import FULL
from node.store.store import Store, Totals
from node.store.work import Listener

__all__ = [
    "FULL",
    "AuditReport",
    "IndexPassed",
    "Listener",
    "Recovered",
    "SnapshotDamaged",
    "SnapshotFailed",
    "SnapshotFile",
    "Store",
    "StoreClosed",
    "StoreFailed",
    "StoreFull",
    "StoreRefused",
    "Totals",
]
