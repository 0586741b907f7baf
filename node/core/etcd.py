"""What etcd said, and what it means to each role (E3, T3, T8, S4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.core.follower import Follower
from node.core.inputs import (
    CampaignLost,
    ConfigurationSeen,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    Input,
    LeaderSeen,
    Won,
)
from node.core.leader import Leader
from node.core.takeover import Takeover

if TYPE_CHECKING:
    from node.core.replica import Replica


def hear(replica: Replica, input: Input, now: float) -> None:
    """Give what etcd said to the role it concerns."""
    role = replica.role
    match input:
        case Won():
            replica.on_won(input, now)
        case CampaignLost():
            if isinstance(role, Follower):
                role.on_campaign_lost(input, now)
        case LeaderSeen():
            if isinstance(role, Follower):
                role.on_leader_seen(input, now)
            elif isinstance(role, Leader | Takeover) and input.ends(role.epoch):
                replica.become_follower(now, f"etcd: {input.holder}")
                replica.dispatch(input, now)
        case ConfigurationSeen():
            _on_configuration(replica, input, now)
        case GuardPassed():
            if isinstance(role, Leader):
                role.on_guard_passed(input, now)
        case GuardFailed(change):
            if isinstance(role, Leader):
                role.on_guard_failed(change)
        case GuardUnknown():
            pass  # S4: stay joint; the same transaction is sent again in time


def _on_configuration(replica: Replica, seen: ConfigurationSeen, now: float) -> None:
    role, state = replica.role, replica.state
    if isinstance(role, Leader):
        role.on_configuration_seen(seen)
    news = state.see_configuration(seen.configuration, seen.revision)
    if state.me in seen.configuration.given_up:
        replica.become_silent(
            "this disk was given up by a promotion with loss of the other site (X4): keep its "
            "files for the books, and come back with a new disk"
        )
    elif news and isinstance(role, Takeover):
        # Nobody may change it while we hold the key: the key is ours no more.
        replica.give_up(role.epoch, "the configuration has changed", now)
    elif news and isinstance(role, Follower):
        role.on_configuration_seen(now)
