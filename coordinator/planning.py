"""Which switches of the active site may be made, and what they make of the configuration. Pure.

E5 refuses a target that could not make the least number of copies by itself; X4 is what a person
may consent to instead, once the old site cannot settle any more.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from coordinator.configuration import (
    Configuration,
    ConfigurationError,
    ReplicaId,
    switch_refusal,
    target_refusal,
)


class SwitchRefused(Exception):
    """The switch was not made, and this one never will be; `reason` says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def plan(configuration: Configuration, to: str) -> Configuration:
    """`configuration` with `to` as its active site.

    Raises `SwitchRefused` for a site there is not, the active one, and one that is not in sync.
    """
    refusal = switch_refusal(configuration, to)
    if refusal:
        raise SwitchRefused(refusal)
    return replace(configuration, active_site=to)


def plan_with_loss(
    configuration: Configuration,
    to: str,
    survivors: Set[ReplicaId],
    others: Set[ReplicaId] = frozenset(),
) -> Configuration:
    """`configuration` with `to` active and `survivors` as its set; the old site's disks given up.

    `others`: disks of the old site that did not count, but may hold what is given up. With fewer
    survivors than make `copies_min` copies nothing is settled until more have caught up (S6).
    Raises `SwitchRefused` as `plan` does, and where nothing needs to be lost.
    """
    refusal = target_refusal(configuration, to)
    if refusal:
        raise SwitchRefused(refusal)
    if not switch_refusal(configuration, to):
        raise SwitchRefused(
            f"site {to} is in sync: switch without loss, there is nothing to give up"
        )
    former = configuration.members - configuration.in_sync[to]
    unfit = sorted(str(replica) for replica in survivors & (former | configuration.given_up))
    if unfit:
        raise SwitchRefused(f"not disks that site {to} can begin with: {', '.join(unfit)}")
    if not survivors:
        raise SwitchRefused(f"no replica answers in site {to}: start its nodes first")
    try:
        return replace(
            configuration,
            active_site=to,
            in_sync={
                site: frozenset(survivors if site == to else ()) for site in configuration.in_sync
            },
            given_up=configuration.given_up | former | (others - survivors),
        )
    except ConfigurationError as problem:
        raise SwitchRefused(str(problem)) from problem
