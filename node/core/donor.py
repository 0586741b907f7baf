"""Giving entries away: a follower answers the recovering leader it has promised (T5)."""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from node.core.inputs import Loaded
from node.core.messages import Entries, Fetch, Refuse
from node.core.outputs import Load
from node.core.state import State


def on_fetch(state: State, sender: ReplicaId, fetch: Fetch) -> None:
    """Answer from memory, or have older entries read from disk. Only for the promised epoch."""
    log = state.log
    if fetch.epoch != state.promised:
        refuse(state, sender, fetch.epoch)
    elif fetch.prev_index < log.base_index:
        state.out.load.append(Load(sender.node, fetch.prev_index + 1, fetch.epoch, fetch=True))
    else:
        matched = log.matches(fetch.prev_index, fetch.prev_epoch, fetch.prev_hash)
        entries = (
            log.from_index(fetch.prev_index + 1, state.timings.append_bytes) if matched else ()
        )
        state.send(
            sender.node, Entries(fetch.epoch, fetch.prev_index, matched, entries, log.last_index)
        )


def on_loaded(state: State, loaded: Loaded) -> None:
    """Entries read from disk for a fetch. Below the window all is committed, so the asker's
    committed entry before them is the same as ours: it matched.
    """
    load = loaded.load
    if load.epoch == state.promised:
        state.send(
            load.node,
            Entries(load.epoch, load.first - 1, True, loaded.entries, state.log.last_index),
        )


def refuse(state: State, sender: ReplicaId, epoch: int) -> None:
    """Tell a fenced sender what is promised here (T8)."""
    state.send(sender.node, Refuse(epoch, state.promised, state.revision))
