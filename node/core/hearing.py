"""A leader that hears nobody, and what it owes to those who may hear it all the same (T10).

Where only its ears are cut off, its heartbeats would keep the others from ever suspecting it, and
nothing could be committed. So it falls silent. It gives nothing back: one that is really alone
leads on, and a heartbeat now and then finds whoever comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from node.core.leader import Leader

_BREATH: Final = 2
"""How many times longer than the longest suspicion it is quiet between two heartbeats: time for
the others to suspect it, and to elect another."""


def is_deaf(leader: Leader, now: float) -> bool:
    """Has nobody been heard for so long that, were it only this leader, others should lead?"""
    if not any(each.members - {leader.state.me} for each in leader.configurations()):
        return False  # nobody else may lead (T1), and nobody is needed to commit or to read
    timings = leader.state.timings
    return now - leader.heard_at > timings.eviction_ms + timings.suspicion_ms


def must_be_quiet(leader: Leader, now: float) -> bool:
    """Must it send nothing, not even a heartbeat, just now?"""
    timings = leader.state.timings
    return is_deaf(leader, now) and now - leader.beat_at < _BREATH * timings.lone_suspicion_ms(2.0)
