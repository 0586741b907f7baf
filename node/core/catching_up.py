"""Catching up by snapshot: a replica whose next entries are pruned everywhere that counts (M4).

The leader *offers* (`progress.Progress`), the receiver fetches beside the stream of messages,
checks that the file bears the offer's index, epoch and hash, and installs it in one durable step.
It keeps its own disk id, promise and configuration revision.

Like an Append, a file counts only in the epoch it was offered in: one that comes later could bring
back what a promotion with loss has given up meanwhile, and take what was acknowledged since (X4).
"""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from node.core.inputs import SnapshotFetched, SnapshotMissed
from node.core.messages import Offer
from node.core.state import State


def on_offer(state: State, sender: ReplicaId, offer: Offer) -> None:
    """Fetch it, unless one is on its way already or the own log has got there. One of an epoch that
    is over is fetched in vain, and while one is being installed its file must be left alone.
    """
    busy = state.fetching is not None and state.fetching.epoch == state.promised
    installing = state.durable_index < state.log.base_index
    if offer.epoch == state.promised and not (busy or installing) and _is_wanted(state, offer):
        state.fetching = offer
        state.event("snapshot", f"fetching index {offer.index} from {sender.node}")
        state.out.fetch_snapshot.append((sender.node, offer))


def on_fetched(state: State, fetched: SnapshotFetched, *, follows: bool) -> None:
    """Install it, unless its epoch is over, or the log has got there by itself meanwhile."""
    offer = fetched.offer
    if state.fetching != offer:
        return
    state.fetching = None
    if not (follows and _is_wanted(state, offer)):
        return
    if offer.epoch == state.promised:
        state.install(offer)
        state.event("snapshot", f"installing index {offer.index}")
    else:
        state.event("snapshot", f"not installed: epoch {offer.epoch}, which offered it, is over")


def on_missed(state: State, missed: SnapshotMissed) -> None:
    """It did not come whole: the leader offers again."""
    if state.fetching == missed.offer:
        state.fetching = None
        state.event("snapshot", f"not fetched: {missed.reason}")


def _is_wanted(state: State, offer: Offer) -> bool:
    """Is the offer beyond what is known to be committed here, and not in the log? Then whatever
    the log has at its index, an uncommitted suffix of an older epoch, will not be kept anyhow.
    """
    log = state.log
    return offer.index > state.commit and not log.matches(
        offer.index, offer.entry_epoch, offer.hash
    )
