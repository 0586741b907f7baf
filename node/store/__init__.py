"""One replica's disk: log, ledger and promises in SQLite, vouched for by a record beside it.

The only package that speaks to SQLite. From the outside in: `store` is the door; `writer` the
thread that works through what was asked (`work`, `plan`, `pictures`); `disk` and `rows` commit it;
`reader`, `snapshot`, `audit` and `export` look on; `recovery` verifies a disk at start,
`highwater` is the record beside it (D5), `folder` says where the files are and puts a refused disk
aside (D6); `faults` makes the disk misbehave in drills.
"""

from __future__ import annotations

from node.store.audit import AuditReport
from node.store.problems import IndexPassed, StoreClosed, StoreFailed, StoreRefused
from node.store.recovery import Recovered
from node.store.store import Store
from node.store.work import Listener

__all__ = [
    "AuditReport",
    "IndexPassed",
    "Listener",
    "Recovered",
    "Store",
    "StoreClosed",
    "StoreFailed",
    "StoreRefused",
]
