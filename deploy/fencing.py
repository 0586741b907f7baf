"""What a promotion with loss (X4) decides once the replicas of both sites were asked for a vow.

Pure: from their answers and the configuration to whether the old site can still settle, who goes
on, what the new configuration is, and whom to ask for the list of what is given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from coordinator.configuration import (
    Configuration,
    ReplicaId,
    is_takeover_quorum,
    switch_refusal,
    target_refusal,
)
from coordinator.planning import SwitchRefused, plan_with_loss
from deploy.answers import Fenced
from deploy.ends import Ends, choose


class Overtaken(Exception):
    """Something changed in between: look again, from the beginning."""


@dataclass(frozen=True, slots=True)
class Fencing:
    """What the replicas of the old site and of the new one vowed: node to answer, without the
    silent ones."""

    old: Mapping[str, Fenced]
    new: Mapping[str, Fenced]

    def holds(self, configuration: Configuration) -> bool:
        """Have so many of the active site vowed that it settles nothing more?"""
        vowed = {ReplicaId(node, each.disk_id) for node, each in self.old.items()}
        return is_takeover_quorum(configuration, configuration.active_site, vowed)

    def donors(self) -> list[tuple[str, Fenced]]:
        """Whom to ask for what is given up: first whose log a takeover would have chosen (T5).

        Among those that vowed it has all that was ever settled in the old site.
        """
        return sorted(
            self.old.items(),
            key=lambda each: (each[1].last_epoch, each[1].last_index, each[1].commit_index),
            reverse=True,
        )


@dataclass(frozen=True, slots=True)
class Going:
    """Who goes on, and the configuration in which they do."""

    ends: Ends
    configuration: Configuration


def check_loss(configuration: Configuration | None, to: str) -> Configuration:
    """The configuration, if `to` may be promoted and that would lose something.

    Raises `SwitchRefused` where it may not, or where nothing needs to be lost.
    """
    if configuration is None:
        raise SwitchRefused("the cluster has no configuration: it was never initialised")
    refusal = target_refusal(configuration, to)
    if refusal:
        raise SwitchRefused(refusal)
    if not switch_refusal(configuration, to):
        count = len(configuration.in_sync[to])
        raise SwitchRefused(
            f"site {to} is in sync ({count} replicas): nothing would be lost; "
            f"leave --allow-data-loss away"
        )
    return configuration


def sides(found: Mapping[str, Fenced], sites: Mapping[str, str], to: str) -> Fencing:
    """The answers by side; `sites` maps every node to its site.

    Raises `Overtaken` if one has vowed a later epoch already.
    """
    if not all(each.promised for each in found.values()):
        raise Overtaken("somebody won a later epoch in between")
    return Fencing(
        {name: each for name, each in found.items() if sites[name] != to},
        {name: each for name, each in found.items() if sites[name] == to},
    )


def going(configuration: Configuration, to: str, fencing: Fencing, disks: Set[ReplicaId]) -> Going:
    """Who of site `to` goes on; `disks` are those the old site is known to have had.

    Raises `SwitchRefused` if nobody can.
    """
    ends = choose(fencing.new, configuration.given_up)
    if ends is None:
        raise SwitchRefused(f"no replica of site {to} answers: start its nodes first")
    return Going(ends, plan_with_loss(configuration, to, ends.survivors, disks))
