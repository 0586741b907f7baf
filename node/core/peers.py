"""What a peer said, and what it means to each role; who is refused, and who is obeyed (D3, T8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.configuration import ReplicaId
from node.core import catching_up, donor, promising
from node.core import follower as following
from node.core.follower import Follower
from node.core.leader import Leader
from node.core.messages import (
    Ack,
    Append,
    Entries,
    Fence,
    Fetch,
    Handover,
    Message,
    Mismatch,
    Offer,
    Promise,
    Refuse,
    Suspect,
    Suspicion,
)
from node.core.takeover import Takeover

if TYPE_CHECKING:
    from node.core.replica import Replica


def receive(replica: Replica, sender: ReplicaId, message: Message, now: float) -> None:
    """Give a message to the role it concerns, or refuse it."""
    role, state = replica.role, replica.state
    if not state.bound and isinstance(message, Fence | Append | Fetch | Offer):
        return  # E1: the cluster id comes before the first promise
    match message:
        case Append():
            if message.epoch < state.promised:
                donor.refuse(state, sender, message.epoch)
                return
            followed = replica.obey(sender, message.epoch, now)
            if followed is not None:
                following.accept(state, sender.node, message)
        case Ack():
            if isinstance(role, Leader):
                role.on_ack(sender, message, now)
        case Mismatch():
            if isinstance(role, Leader):
                role.on_mismatch(sender, message, now)
        case Refuse():
            if isinstance(role, Leader | Takeover) and message.promised > role.epoch:
                replica.become_follower(now, f"{sender.node} promised {message.promised}")
        case Fence():
            _on_fence(replica, sender, message, now)
        case Promise():
            if isinstance(role, Takeover):
                role.on_promise(sender, message, now)
        case Fetch():
            donor.on_fetch(state, sender, message)
        case Entries():
            if isinstance(role, Takeover):
                role.on_entries(sender, message, now)
        case Suspect(epoch):
            if isinstance(role, Follower):
                role.on_suspect(sender, epoch, now)
            else:
                state.send(sender.node, Suspicion(epoch, agreed=False))
        case Suspicion():
            if isinstance(role, Follower):
                role.on_suspicion(sender, message, now)
        case Handover(epoch):
            if isinstance(role, Follower):
                role.on_handover(epoch, now)
        case Offer():
            if isinstance(role, Follower):
                catching_up.on_offer(state, sender, message)


def _on_fence(replica: Replica, sender: ReplicaId, fence: Fence, now: float) -> None:
    if not promising.may_promise(replica.state, fence):
        donor.refuse(replica.state, sender, fence.epoch)
    elif replica.obey(sender, fence.epoch, now) is not None:
        promising.vow(replica.state, sender.node)
