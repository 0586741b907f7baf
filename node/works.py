"""What settles inside a node, joined: its replica, driver, intake and engine over a store.

Nothing here knows of sockets or of the machine: the node's process wires it to gRPC, etcd and a
real disk, the simulator to its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from coordinator.configuration import ReplicaId
from node.core import Identity, Log, Replica, Timings
from node.core.inputs import HandoverAsked
from node.core.leader import Leader
from node.core.messages import Message
from node.core.outputs import Event
from node.driver.archive import Archive
from node.driver.driver import Driver
from node.driver.engine import QuorumLog
from node.driver.intake import Intake
from node.driver.picture import Picture
from node.driver.ports import Disk
from node.driver.snapshots import FetchFile, SnapshotMaker
from node.ledger.commands import PayloadError, decode_batch
from node.ledger.offering import offered_only
from node.settings import Settings
from node.store import Recovered

_TRIES: Final = 3
"""How often a leader that is to stop tries to hand over."""

_LOOKS: Final = 50
_LOOK_S: Final = 0.01


def make_replica(
    settings: Settings,
    recovered: Recovered,
    now: float,
    *,
    pruned: int,
    life: str,
    random: Callable[[], float],
    build: Callable[..., Replica] = Replica,
) -> Replica:
    """The replica this disk is, in a new life. `now` is the loop's time in milliseconds; its log
    begins after `pruned`; `life` is random, `random` draws from [0, 1).
    """
    timings, limits = settings.timings, settings.limits
    return build(
        Identity(
            ReplicaId(settings.node, recovered.disk_id),
            settings.site,
            {peer.node: peer.site for peer in settings.others},
            life,
            _batches(settings),
        ),
        Timings(
            heartbeat_ms=timings.heartbeat_ms,
            suspicion_ms=timings.suspicion_ms,
            eviction_ms=timings.eviction_ms,
            etcd_deadline_ms=timings.etcd_deadline_ms,
            handover_ms=timings.handover_ms,
            retransmit_ms=timings.retransmit_ms,
            append_bytes=limits.append_bytes,
            entries_in_memory=limits.entries_in_memory,
            log_keep_entries=limits.log_keep_entries,
        ),
        random,
        Log(recovered.base_index, recovered.base_epoch, recovered.base_hash, recovered.entries),
        now=now,
        promised=recovered.promised,
        revision=recovered.configuration_revision,
        applied=recovered.applied_index,
        bound=bool(recovered.cluster_id),
        pruned=pruned,
    )


def _batches(settings: Settings) -> dict[str, int]:
    """Each site that is fed in batches while it is the standby, and how often, in milliseconds."""
    every = {peer.site: peer.batch_every_ms for peer in settings.others}
    every[settings.site] = settings.batch_every_ms
    return {site: every_ms for site, every_ms in every.items() if every_ms}


@dataclass(frozen=True, slots=True)
class Works:
    """What settles inside a node, joined: the driver with whoever waits on it."""

    driver: Driver
    intake: Intake
    snapshots: SnapshotMaker
    picture: Picture
    engine: QuorumLog


def make_works(
    settings: Settings,
    replica: Replica,
    store: Disk,
    recovered: Recovered,
    *,
    loop: asyncio.AbstractEventLoop,
    readers: Executor,
    send: Callable[[str, Message], None],
    journal: Callable[[Event], None],
    say: Callable[[str, str], None],
    fetch_file: FetchFile,
    connected: Callable[[], Mapping[str, bool]],
    clock_ms: Callable[[], int],
) -> Works:
    """Join the driver of `replica` with intake, engine and snapshots, over `store`.

    `connected` says to which peers a stream stands; `clock_ms` is the wall clock. The driver has no
    elections yet, and does not tick.
    """
    limits = settings.limits
    driver = Driver(
        replica,
        store,
        send=send,
        journal=journal,
        loop=loop,
        readers=readers,
        append_bytes=limits.append_bytes,
    )
    snapshots = driver.snapshots = SnapshotMaker(store, fetch_file, driver.feed, say)
    terminals = {peer.node: peer.terminals for peer in settings.others}
    terminals[settings.node] = settings.terminals
    intake = Intake(
        loop=loop,
        admit=offered_only(settings.site, settings.services, store.admit),
        propose=driver.propose,
        may_propose=lambda: replica.accepting,
        prove=lambda: engine.prove(),
        leader_endpoint=lambda: engine.leader_endpoint(),
        clock_ms=clock_ms,
        waiting_commands=limits.waiting_commands,
        batch_commands=limits.batch_commands,
        batches_under_way=limits.batches_under_way,
        batch_interval_ms=limits.batch_interval_ms,
    )
    intake.last_stamp_ms = last_stamp_ms(recovered)
    picture = Picture(
        driver,
        store,
        terminals=terminals,
        connected=connected,
        snapshot=lambda: snapshots.words,
        cluster_id=recovered.cluster_id,
    )
    engine = driver.waiters = QuorumLog(
        driver,
        intake,
        store,
        readers,
        terminals=terminals,
        picture=picture,
        archive=Archive(settings.node, store),
    )
    return Works(driver, intake, snapshots, picture, engine)


def last_stamp_ms(recovered: Recovered) -> int:
    """The time stamped in the newest stamped entry: a later one must not be less (C3)."""
    for entry in reversed(recovered.entries):
        if entry.payload:
            with contextlib.suppress(PayloadError):
                return decode_batch(entry.payload).stamp_ms
    return recovered.prune_stamp_ms


async def hand_over(driver: Driver) -> None:
    """Pass the lead on, if this node has it, before it stops: nobody is refused then (H1)."""
    for _ in range(_TRIES):
        if not isinstance(driver.replica.role, Leader):
            break
        driver.feed(HandoverAsked(""))
        for _ in range(_LOOKS):
            role = driver.replica.role
            if not isinstance(role, Leader) or role.move is None:
                break
            await asyncio.sleep(_LOOK_S)
    # Let those who waited here be told where the new leader is.
    await asyncio.sleep(0.05)
