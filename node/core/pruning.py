"""Pruning: how much of the log on disk is not needed any more.

What every in-sync replica of both sites has on disk (the *floor*, told by the leader in every
Append) is asked for by nobody who counts: a takeover among them never needs it, and whoever does
not count and needs it comes back by a snapshot (M4). A configured number of entries is kept beyond.
"""

from __future__ import annotations

from node.core.state import State

_STEPS = 8
"""A prune is worth its transaction once it frees a part like this of what is kept."""


def prune(state: State, floor: int) -> None:
    """Ask for what may go, if it is worth it: never what is not applied here."""
    keep = state.timings.log_keep_entries
    upto = min(floor, state.applied) - keep
    if upto - state.pruned >= max(1, keep // _STEPS):
        state.pruned = upto
        state.out.prune = upto
