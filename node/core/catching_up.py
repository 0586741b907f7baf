"""Catching up by snapshot: a replica whose next entries are pruned everywhere that counts (M4).

The leader *offers* (`feeding.Feeding`), the receiver fetches beside the stream of messages, checks
that the file bears the offer's index, epoch and hash, and installs it in one durable step. It keeps
its own disk id, promise and configuration revision.
"""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from node.core.inputs import SnapshotFetched, SnapshotMissed
from node.core.messages import Offer
from node.core.state import State


def on_offer(state: State, sender: ReplicaId, offer: Offer) -> None:
    """Fetch it, unless one is on its way already or the own log has got there."""
    if offer.epoch == state.promised and state.fetching is None and _is_wanted(state, offer):
        state.fetching = offer
        state.event("snapshot", f"fetching index {offer.index} from {sender.node}")
        state.out.fetch_snapshot.append((sender.node, offer))


def on_fetched(state: State, fetched: SnapshotFetched, *, follows: bool) -> None:
    """Install it, unless the log has got there by itself meanwhile.

    What is committed stays committed, so an offer of an epoch that is over is as good.
    """
    if state.fetching != fetched.offer:
        return
    state.fetching = None
    if follows and _is_wanted(state, fetched.offer):
        state.install(fetched.offer)
        state.event("snapshot", f"installing index {fetched.offer.index}")


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
