"""Promising: whose Fence is obeyed, and what the vow says (T4, D3, W2)."""

from __future__ import annotations

from node.core.messages import Fence, Promise
from node.core.state import State


def may_promise(state: State, fence: Fence) -> bool:
    """A higher epoch that has read no older configuration than was seen here (W2), or a repeat
    of the epoch promised already: epochs are unique, so it is the same attempt.
    """
    if fence.epoch == state.promised:
        return True
    return fence.epoch > state.promised and fence.configuration_revision >= state.revision


def vow(state: State, leader: str) -> None:
    """Tell `leader` what is promised and where the log ends, once all of it is on disk (D3)."""
    if state.promised > state.writes_promised:
        state.write()
    log = state.log
    state.vow(leader, Promise(state.promised, log.last_epoch, log.last_index, state.commit))
