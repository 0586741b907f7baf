"""Bugs in what a replica vouches for: vows, fsyncs, and the log they are about."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from loadtest.sim.planted.plant import Change, Plant
from node.core import follower, promising, pruning
from node.core.inputs import FenceAsked
from node.core.messages import Ack, Append, Mismatch, Offer, Promise
from node.core.outputs import Fenced
from node.core.state import State

_accept: Final = follower.accept
_vow: Final = State.vow
_install: Final = State.install


def _promise_at_once(state: State, leader: str) -> None:
    if state.promised > state.writes_promised:
        state.write()
    log = state.log
    promise = Promise(state.promised, log.last_epoch, log.last_index, state.commit, state.pruned)
    state.send(leader, promise)


def _acknowledge_at_once(state: State, node: str, message: Promise | Ack | Mismatch) -> None:
    if isinstance(message, Ack):
        state.send(node, message)
    else:
        _vow(state, node, message)


def _acknowledge_all(state: State, node: str, message: Promise | Ack | Mismatch) -> None:
    if isinstance(message, Ack):
        message = replace(message, index=state.log.last_index)
    _vow(state, node, message)


def _drop_what_follows(state: State, leader: str, append: Append) -> None:
    log = state.log
    end = append.prev_index + len(append.entries)
    if log.matches(append.prev_index, append.prev_epoch, append.prev_hash) and end < log.last_index:
        log.truncate_after(end)
        state.write(truncate_after=end)
    _accept(state, leader, append)


def _fence_in_words(state: State, asked: FenceAsked) -> None:
    log = state.log
    promise = Promise(asked.epoch, log.last_epoch, log.last_index, state.commit, state.pruned)
    state.vow_answer(Fenced(asked.ticket, promise))


def _install_everything(state: State, offer: Offer) -> None:
    state.promised = offer.entry_epoch
    _install(state, offer)


def _prune_what_is_applied(state: State, floor: int) -> None:
    upto = state.applied - state.timings.log_keep_entries
    if upto > state.pruned:
        state.pruned = upto
        state.out.prune = upto


PLANTS: Final = (
    Plant(
        "promise-before-fsync",
        "D3",
        "a fence is answered with a promise that is not on disk yet",
        (Change(promising, "vow", _promise_at_once),),
    ),
    Plant(
        "ack-before-fsync",
        "D2",
        "an acknowledgement leaves before its entries are on disk",
        (Change(State, "vow", _acknowledge_at_once),),
    ),
    Plant(
        "ack-of-the-last-index",
        "M1",
        "a follower acknowledges its own last index, not what was matched",
        (Change(State, "vow", _acknowledge_all),),
    ),
    Plant(
        "truncation-below-commit",
        "M2",
        "an Append drops whatever the follower has after it, be it committed",
        (Change(follower, "accept", _drop_what_follows),),
    ),
    Plant(
        "fence-in-words",
        "X4",
        "a replica says that it is fenced, and goes on",
        (Change(promising, "fence", _fence_in_words),),
    ),
    Plant(
        "promise-out-of-a-snapshot",
        "M4",
        "whoever installs a snapshot takes its epoch for the own promise",
        (Change(State, "install", _install_everything),),
    ),
    Plant(
        "pruned-by-the-own-view",
        "M5",
        "a replica prunes what it has applied, whoever else lacks it",
        (Change(pruning, "prune", _prune_what_is_applied),),
    ),
)
