"""Opening a simulated disk: what node/store/recovery.py finds out of a real one, and refuses."""

from __future__ import annotations

from pathlib import Path

from loadtest.sim.storage.disk import SimDisk
from node.core.messages import chain_hash
from node.store import FULL, Recovered, StoreFull, StoreRefused
from node.store.highwater import lost


def recover(disk: SimDisk, entries_in_memory: int) -> Recovered:
    """What `disk` says of its replica, verified as by node/store/recovery.py.

    Raises `StoreRefused` for a disk that lost something it vouched for (D5), `StoreFull`.
    """
    file, meta, mark = Path(disk.disk_id), disk.meta, disk.mark
    last = len(disk.entries)
    chain = disk.place(disk.pruned)[1]
    for entry in disk.entries[disk.pruned :]:
        chain = chain_hash(chain, entry.index, entry.epoch, entry.payload)
        if entry.hash != chain:
            raise StoreRefused(
                file, f"log: entry {entry.index} does not have the hash its content gives"
            )
    if problem := lost(mark, disk.promised, last):
        raise StoreRefused(file, problem)
    if mark.index >= disk.pruned and disk.place(mark.index)[1] != mark.hash:
        raise StoreRefused(file, f"log: entry {mark.index} is not the one that was vouched for")
    if disk.is_full:
        raise StoreFull(file, f"cannot be written: {FULL}: make room, nothing else is wrong")
    base_index = max(disk.pruned, min(disk.applied, last - entries_in_memory))
    base_epoch, base_hash = disk.place(base_index)
    return Recovered(
        disk_id=disk.disk_id,
        cluster_id=meta.cluster_id,
        promised=meta.promised,
        configuration_revision=meta.configuration_revision,
        base_index=base_index,
        base_epoch=base_epoch,
        base_hash=base_hash,
        entries=tuple(disk.entries[base_index:]),
        applied_index=meta.applied_index,
        prune_index=meta.prune_index,
        prune_stamp_ms=meta.prune_stamp_ms,
    )
