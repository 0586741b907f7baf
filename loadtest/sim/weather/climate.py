"""What a day's cluster is like: drawn, and never too much like the day before's."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from coordinator.settings import Mode, Switching
from loadtest.sim.network import Manners
from loadtest.sim.setup import DiskManners, EtcdManners, Setup
from node.core import Timings

Sizes = tuple[tuple[int, ...], ...]
"""How many nodes each site may have, one choice after another."""

ONE_SITE: Final[Sizes] = ((3,),)
WIDE: Final[Sizes] = ((3, 3),)
EVEN: Final[Sizes] = ((3, 3), (3, 3), (3, 3), (2, 2))
"""Either may be the active one."""
TWO_SITES: Final[Sizes] = (*EVEN, (3, 1), (2, 1))

_BIG_LOG: Final = 20_000

QUICK: Final = {
    "suspicion_ms": 200,
    "eviction_ms": 400,
    "etcd_deadline_ms": 200,
    "retransmit_ms": 100,
}
"""Timers so short that a day sees many elections and many changes of the sets."""

QUICK_SWITCHING: Final = {
    "probe_ms": 100,
    "probe_deadline_ms": 200,
    "move_leader_ms": 300,
    "agree_ms": 500,
    "fresh_ms": 700,
}


def setup(
    draw: random.Random, *, rough: frozenset[str], sizes: Sizes, quick: float, brisk: bool
) -> Setup:
    """A cluster of one of these `sizes`. `quick`: how likely its timers are short; `brisk`: are
    those of the coordinators short then, too?

    `rough` names what is worse than usual: "links", "disks", "etcd", "log" for one that is pruned
    at every turn, "load" for more payments.
    """
    hasty = draw.random() < quick
    return Setup(
        sites=_sites(draw, sizes),
        copies_min=draw.choice((1, 2, 2)),
        timings=_timings(draw, quick=hasty, small="log" in rough or draw.random() < 0.5),
        lease_ms=2_000 if hasty else 3_000,
        switching=_switching(draw, quick=hasty and brisk),
        manners=_links(draw, rough="links" in rough),
        disk=_disks(draw, rough="disks" in rough),
        etcd=_etcd(draw, rough="etcd" in rough),
        terminals=draw.randint(2, 8),
        rate=float(draw.choice((20, 40) if "load" in rough else (8, 15, 25))),
        batch_commands=draw.choice((1, 4, 64)),
        batch_interval_ms=draw.choice((2.0, 20.0)),
    )


def _sites(draw: random.Random, sizes: Sizes) -> Mapping[str, tuple[str, ...]]:
    return {
        site: tuple(f"{site}{number}" for number in range(1, size + 1))
        for site, size in zip("ab", draw.choice(sizes), strict=False)
    }


def _timings(draw: random.Random, *, quick: bool, small: bool) -> Timings:
    return Timings(
        **(QUICK if quick else {}),
        append_bytes=draw.choice((1, 600, 4_000)) if small else 1_048_576,
        appends_under_way=draw.choice((1, 3, 8)),
        entries_in_memory=draw.choice((4, 12, 40)) if small else 4_096,
        log_keep_entries=draw.choice((2, 6, 20)) if small else _BIG_LOG,
    )


def _switching(draw: random.Random, *, quick: bool) -> Switching:
    mode = draw.choice((Mode.AUTOMATIC, Mode.AUTOMATIC, Mode.AUTOMATIC, Mode.MANUAL))
    if quick:
        return Switching(mode, **QUICK_SWITCHING)
    return Switching(mode, probe_ms=draw.choice((250, 500)))


def _links(draw: random.Random, *, rough: bool) -> Manners:
    if rough:
        return Manners(
            most_ms=draw.choice((2.0, 10.0, 30.0)),
            late=draw.uniform(0.02, 0.2),
            late_ms=draw.choice((60.0, 200.0, 500.0)),
            loss=draw.uniform(0.0, 0.15),
            repeat=draw.uniform(0.0, 0.2),
        )
    if draw.random() < 0.3:
        return Manners(late=0.0)
    return Manners(loss=draw.uniform(0.0, 0.01), repeat=draw.uniform(0.0, 0.02))


def _disks(draw: random.Random, *, rough: bool) -> DiskManners:
    if rough:
        return DiskManners(
            most_ms=draw.choice((4.0, 20.0, 60.0)),
            stall=draw.uniform(0.005, 0.08),
            stall_ms=draw.choice((150.0, 400.0, 900.0)),
        )
    return DiskManners(most_ms=draw.choice((1.5, 4.0, 12.0)))


def _etcd(draw: random.Random, *, rough: bool) -> EtcdManners:
    if rough:
        return EtcdManners(
            most_ms=draw.choice((6.0, 40.0, 120.0)),
            answer_lost=draw.uniform(0.02, 0.25),
            late=draw.uniform(0.02, 0.25),
            late_ms=draw.choice((500.0, 3_000.0)),
            watch_ms=draw.choice((5.0, 40.0, 300.0)),
        )
    return EtcdManners(watch_ms=draw.choice((2.0, 40.0)))
