"""Promising: whose Fence is obeyed, and what the vow says (T4, D3, W2, X4)."""

from __future__ import annotations

from node.core.inputs import FenceAsked
from node.core.messages import Fence, Promise, Refuse
from node.core.outputs import Fenced
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
    promise = Promise(state.promised, log.last_epoch, log.last_index, state.commit, state.pruned)
    state.vow(leader, promise)


def fence(state: State, asked: FenceAsked) -> None:
    """X4: vow, for a promotion with loss, to obey nobody below the epoch asked for.

    It is no leader's epoch, so nothing follows: a replica of the old site that has vowed helps its
    old leader to nothing any more, and only an epoch won later, whoever wins it, is obeyed again.
    """
    if asked.epoch <= state.promised:
        refuse = Refuse(asked.epoch, state.promised, state.revision)
        state.out.answer.append(Fenced(asked.ticket, refuse))
        return
    state.promise(asked.epoch)
    state.write()
    log = state.log
    promise = Promise(asked.epoch, log.last_epoch, log.last_index, state.commit, state.pruned)
    state.vow_answer(Fenced(asked.ticket, promise))
    state.event("fenced", f"at {asked.epoch}, for a promotion of the other site")
