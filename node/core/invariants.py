"""What must hold inside one replica after every step; the simulator and the tests call `check`.

What must hold *between* replicas (agreement, durability) is for whoever sees all of them.
"""

from __future__ import annotations

from node.core.leader import Leader
from node.core.log import is_chain
from node.core.replica import Replica
from node.core.takeover import Takeover


class InvariantBroken(AssertionError):
    """Names the invariant and the values that broke it."""


def check(replica: Replica, *, chain: bool = True) -> None:
    """Raise `InvariantBroken` unless the replica's own state makes sense. `chain`: also look at the
    hashes at the end of the log, which costs most; needless where nothing was written."""
    state, role, log = replica.state, replica.role, replica.state.log
    _hold(
        state.applied <= state.apply_asked <= state.commit <= log.last_index,
        f"applied {state.applied} <= asked {state.apply_asked} <= commit {state.commit} "
        f"<= last {log.last_index}",
    )
    _hold(log.base_index <= state.applied or log.base_index == 0, "the window starts above applied")
    _hold(state.durable_index <= log.last_index, "durable beyond the log's end")
    _hold(state.writes_persisted <= state.writes_issued, "persisted what was never issued")
    _hold(log.last_epoch <= state.promised, f"log epoch {log.last_epoch} > promised")
    if chain:
        tail = max(log.base_index, log.last_index - 4)
        end = log.between(tail + 1, log.last_index)
        _hold(is_chain(tail, log.hash_at(tail), end), "the end of the log is not a chain")
    if isinstance(role, Leader):
        _hold(role.epoch == state.promised, "a leader that promised another epoch")
        if log.holds(role.start_index):
            _hold(log.epoch_at(role.start_index) == role.epoch, "EpochStart is of another epoch")
        _hold(state.me in role.configuration.active_set, "a leader outside the active set")
        if role.serving:
            _hold(state.commit >= role.start_index, "serving before EpochStart is committed")
        for peer in role.peers.values():
            _hold(peer.match <= log.last_index, f"{peer.node} matched beyond the log's end")
    if isinstance(role, Takeover):
        _hold(role.epoch == state.promised, "a takeover that promised another epoch")


def _hold(condition: bool, what: str) -> None:
    if not condition:
        raise InvariantBroken(what)
