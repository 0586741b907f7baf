"""What brings about that etcd's answer can be lost where none is waited for by itself.

A leader that hands over, or makes a snapshot, asks etcd for nothing; but a set change may begin
meanwhile, since somebody has been silent for long enough. Each opening has the two meet.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from loadtest.sim.setup import Setup
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.openings import Opening
from loadtest.sim.weather.troubles import At, Cue, Part, Trouble, What


def site_to_drop(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """Leader and standby are gone: whoever takes over must drop the site before it can serve, and
    ask etcd for that (S5)."""
    ms = round(setup.timings.eviction_ms * draw.uniform(2, 3))
    return [
        Trouble(At(from_ms), What.POWER, Part.STANDBY_SITE, ms),
        Trouble(At(from_ms + 1), What.CRASH, Part.LEADER, ms),
    ]


def handover_amid_eviction(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A handover to somebody who cannot reach etcd, just when somebody else is to be evicted."""
    eviction = setup.timings.eviction_ms
    asked = At(from_ms + eviction - round(draw.uniform(90, 150)))
    return [
        Trouble(At(from_ms), What.CRASH, Part.STANDBY, eviction * 2.0),
        Trouble(At(from_ms), What.CUT_ETCD, Part.FOLLOWER, eviction + 600.0),
        Trouble(At(from_ms), What.CUT_ETCD, Part.FOLLOWER, eviction + 600.0, pick=1),
        Trouble(asked, What.HANDOVER, Part.LEADER),
    ]


def slow_copy(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """A snapshot is so long in the making that the former disk of whoever wants it is evicted
    meanwhile."""
    eviction = setup.timings.eviction_ms
    return [
        Trouble(At(from_ms), What.DISK_SLOW, Part.LEADER, eviction * 4.0, much=eviction * 2.0),
        Trouble(At(from_ms), What.LOSE_DISK, Part.STANDBY, 80.0, pick=draw.randint(0, 2)),
    ]


def promotion(draw: random.Random, setup: Setup, from_ms: float) -> list[Trouble]:
    """The standby was dropped, everybody is there, and a person promotes it all the same (X4)."""
    cut_ms = setup.timings.eviction_ms * 1.5 + 1_500.0
    asked = Cue(Moment.CHANGED, 1, round(draw.uniform(50, 400)), from_ms)
    return [
        Trouble(At(from_ms), What.CUT_SITES, Part.ACTIVE_SITE, cut_ms),
        Trouble(asked, What.PROMOTE, Part.STANDBY_SITE),
    ]


UNANSWERED: Final[Mapping[Moment, Opening]] = {
    Moment.STARTING: site_to_drop,
    Moment.DRAINING: handover_amid_eviction,
    Moment.SNAPSHOT_WANTED: slow_copy,
    Moment.FENCED: promotion,
}
"""For those of which `openings.OPENINGS` has nothing that serves."""
