"""Days that went wrong once, kept as plans: a seed means another day when the weather changes.

What was wrong is told beside each. Where a shorter test of the same stands elsewhere, it is named.
"""

from __future__ import annotations

import pytest

from coordinator.settings import Mode, Switching
from loadtest.sim.network import Manners
from loadtest.sim.play import play
from loadtest.sim.setup import DiskManners, EtcdManners, Setup
from loadtest.sim.weather.moments import Moment
from loadtest.sim.weather.troubles import At, Cue, Part, Plan, Trouble, What
from node.core import Timings


def quick(mode: Mode) -> Switching:
    """Coordinators that look and decide fast."""
    return Switching(
        mode=mode,
        probe_ms=100,
        probe_deadline_ms=200,
        move_leader_ms=300,
        agree_ms=500,
        fresh_ms=700,
    )


# The simulator: a refused connection was told to the driver of a life that had ended, which went
# on as a ghost beside the next one, and led.
ZOMBIE = Plan(
    seed=20307,
    season="takeover",
    setup=Setup(
        sites={"a": ("a1", "a2")},
        copies_min=2,
        timings=Timings(
            suspicion_ms=200,
            eviction_ms=400,
            etcd_deadline_ms=200,
            retransmit_ms=100,
            appends_under_way=1,
        ),
        lease_ms=2000,
        switching=quick(Mode.MANUAL),
        manners=Manners(late=0.0),
        disk=DiskManners(stall=0.0),
        etcd=EtcdManners(answer_lost=0.0, late=0.0),
        terminals=1,
        rate=1.0,
        batch_commands=4,
        batch_interval_ms=2.0,
        safety_ms=5900.0,
    ),
    troubles=(
        Trouble(
            when=Cue(Moment.STARTING, 1, 0.0, 4252),
            what=What.CLOCK_DRIFT,
            victim=Part.CUED,
            for_ms=12.0,
            much=-0.05,
        ),
        Trouble(when=At(4400), what=What.CRASH, victim=Part.LEADER, for_ms=1000.0),
    ),
)

# A leader that had caught up by snapshot has in memory what follows index 142, and nothing before.
# The other member of its set, on whose node a disk had been given up, was asked from the beginning
# (X4), said how far it knew the log to be committed, and was taken for one that needs a snapshot:
# of index 142, which it had. So it was offered again and again, and fed nothing.
LEFT_BEHIND = Plan(
    seed=20117,
    season="promotion",
    setup=Setup(
        sites={"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")},
        copies_min=2,
        timings=Timings(
            suspicion_ms=200,
            eviction_ms=400,
            etcd_deadline_ms=200,
            retransmit_ms=100,
            append_bytes=1,
            appends_under_way=1,
            entries_in_memory=40,
            log_keep_entries=6,
        ),
        lease_ms=2000,
        switching=quick(Mode.AUTOMATIC),
        manners=Manners(loss=0.008949921605623119, repeat=0.012138691166882813),
        disk=DiskManners(most_ms=1.5),
        terminals=7,
        rate=25.0,
        batch_commands=4,
        batch_interval_ms=2.0,
        safety_ms=19262,
    ),
    troubles=(
        Trouble(when=At(ms=2131), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=3618),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=998, since_ms=2131),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=386, since_ms=2131),
            what=What.CRASH,
            victim=Part.LEADER,
            for_ms=1790.0,
        ),
        Trouble(
            when=Cue(moment=Moment.FENCING, nth=3, after_ms=242.7, since_ms=2131),
            what=What.CLOCK_JUMP,
            victim=Part.CUED,
            for_ms=423.0,
            much=86400000.0,
        ),
        Trouble(
            when=Cue(moment=Moment.RESTARTED, after_ms=15.0, since_ms=2131),
            what=What.CLOCK_DRIFT,
            victim=Part.CUED,
            for_ms=179.0,
            much=0.25,
        ),
        Trouble(when=At(ms=7821), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=2245),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=276, since_ms=7821),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=153, since_ms=7821),
            what=What.CUT_ETCD,
            victim=Part.ACTIVE_SITE,
            for_ms=2005.0,
        ),
        Trouble(
            when=Cue(moment=Moment.PROMOTED, after_ms=16.8, since_ms=7821),
            what=What.DISK_SLOW,
            victim=Part.CUED,
            for_ms=194.0,
            much=100.0,
        ),
        Trouble(
            when=Cue(moment=Moment.DEPOSED, after_ms=19.2, since_ms=7821),
            what=What.POWER,
            victim=Part.EVERYTHING,
            for_ms=2006.0,
            much=50.0,
        ),
        Trouble(when=At(ms=12646), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=4039),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=541, since_ms=12646),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=206, since_ms=12646),
            what=What.POWER,
            victim=Part.ACTIVE_SITE,
            for_ms=817.0,
        ),
        Trouble(
            when=Cue(moment=Moment.FENCED, nth=2, after_ms=21.3, since_ms=12646),
            what=What.SWITCH,
            victim=Part.STANDBY_SITE,
        ),
    ),
)

# The same, where the offer is beyond what memory begins with: the members had that in their logs,
# too, acknowledged what memory begins with, and were fed nothing.
OFFERED_WHAT_IT_HAS = Plan(
    seed=21008,
    season="promotion",
    setup=Setup(
        sites={"a": ("a1", "a2", "a3"), "b": ("b1", "b2", "b3")},
        copies_min=2,
        timings=Timings(
            suspicion_ms=200,
            eviction_ms=400,
            etcd_deadline_ms=200,
            retransmit_ms=100,
            append_bytes=4000,
            appends_under_way=3,
            entries_in_memory=40,
            log_keep_entries=6,
        ),
        lease_ms=2000,
        switching=quick(Mode.MANUAL),
        manners=Manners(late=0.0),
        rate=8.0,
        batch_commands=4,
        batch_interval_ms=2.0,
        safety_ms=19600,
    ),
    troubles=(
        Trouble(when=At(ms=2159), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=3455),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=374, since_ms=2159),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.FENCING, nth=2, after_ms=50.1, since_ms=2159),
            what=What.DEAF_TO_ETCD,
            victim=Part.CUED,
            for_ms=2191.0,
        ),
        Trouble(when=At(ms=7348), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=2901),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=420, since_ms=7348),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.PROMOTED, after_ms=23.3, since_ms=7348),
            what=What.POWER,
            victim=Part.EVERYTHING,
            for_ms=1995.0,
            much=400.0,
        ),
        Trouble(when=At(ms=12575), what=What.CUT_SITES, victim=Part.ACTIVE_SITE, for_ms=2757),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=652, since_ms=12575),
            what=What.PROMOTE,
            victim=Part.STANDBY_SITE,
        ),
        Trouble(
            when=Cue(moment=Moment.CHANGED, after_ms=531, since_ms=12575),
            what=What.POWER,
            victim=Part.ACTIVE_SITE,
            for_ms=4998.0,
        ),
        Trouble(
            when=Cue(moment=Moment.FENCED, nth=2, after_ms=2.9, since_ms=12575),
            what=What.CRASH,
            victim=Part.STANDBY,
            for_ms=60.0,
            pick=2,
        ),
        Trouble(
            when=Cue(moment=Moment.DEPOSED, after_ms=2.3, since_ms=12575),
            what=What.CUT_ETCD,
            victim=Part.CUED,
            for_ms=204.0,
        ),
    ),
)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(ZOMBIE, id="a-ghost-leads"),
        pytest.param(LEFT_BEHIND, id="offered-what-memory-begins-with"),
        pytest.param(OFFERED_WHAT_IT_HAS, id="offered-what-it-has"),
    ],
)
def test_a_day_that_went_wrong_once_comes_right(plan: Plan) -> None:
    outcome = play(plan)
    assert outcome.violation is None
    assert not outcome.excused
