"""Switches of the active site from outside (E5), and promotion with loss (X4).

Anybody entitled may send one: the guard on the configuration's revision, not a lock, keeps it
safe. The transaction also writes the event that tells of it, under a key of its own; whoever finds
that key knows that this very switch was made, also where its answer was lost.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Final

from coordinator.configuration import Configuration, ConfigurationError, ReplicaId, majority
from coordinator.keyvalue import (
    Delete,
    Get,
    KeyValue,
    OutcomeUnknown,
    Put,
    RegistryError,
    Unavailable,
    Unchanged,
)
from coordinator.records import EventRecord, Keys
from coordinator.registry import Registry

_ATTEMPTS: Final = 5
"""How often a switch is sent, or read back, before its outcome is left unknown."""

_PAUSE_S: Final = 0.1


class SwitchRefused(Exception):
    """The switch was not made, and this one never will be; `reason` says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Switched:
    """The switch was made: the configuration since `revision`."""

    configuration: Configuration
    revision: int


def plan(configuration: Configuration, to: str) -> Configuration:
    """`configuration` with `to` as its active site.

    Raises `SwitchRefused` for a site there is not, the active one, and one that is not in sync.
    """
    _other(configuration, to)
    members = configuration.in_sync[to]
    copies_min = configuration.copies_min
    if majority(len(members)) < copies_min:
        counting = _replicas(len(members), "counts", "count")
        raise SwitchRefused(
            f"site {to} is not in sync: {counting} there, a switch needs {_least(copies_min)} "
            f"(copies_min {copies_min}); "
            f"the leader in {configuration.active_site} takes replicas back as they catch up"
        )
    return replace(configuration, active_site=to)


def plan_with_loss(
    configuration: Configuration, to: str, survivors: Set[ReplicaId]
) -> Configuration:
    """`configuration` with `to` active and `survivors` as its set; every other disk is given up.

    Raises `SwitchRefused` as `plan` does, where nothing needs to be lost, and for survivors that
    cannot carry the site.
    """
    _other(configuration, to)
    members = configuration.in_sync[to]
    if majority(len(members)) >= configuration.copies_min:
        raise SwitchRefused(
            f"site {to} is in sync: switch without loss, there is nothing to give up"
        )
    former = configuration.members - members
    unfit = sorted(str(replica) for replica in survivors & (former | configuration.given_up))
    if unfit:
        raise SwitchRefused(f"not disks that site {to} can begin with: {', '.join(unfit)}")
    if majority(len(survivors)) < configuration.copies_min:
        raise SwitchRefused(
            f"{_replicas(len(survivors), 'answers', 'answer')} in site {to}, a promotion needs "
            f"{_least(configuration.copies_min)} (copies_min {configuration.copies_min}): "
            "start more of its nodes"
        )
    try:
        return replace(
            configuration,
            active_site=to,
            in_sync={
                site: frozenset(survivors if site == to else ()) for site in configuration.in_sync
            },
            given_up=configuration.given_up | former,
        )
    except ConfigurationError as problem:
        raise SwitchRefused(str(problem)) from problem


async def switch(
    registry: Registry,
    cluster: str,
    to: str,
    *,
    by: str,
    why: str,
    place: str = "",
    revision: int = 0,
) -> Switched:
    """Make `to` the active site (E5); the event names `by` (no slash), `place` and `why`.

    `revision`, where given, is the configuration's on which the decision rests. Raises
    `SwitchRefused`; `Unavailable` or `Refused` (not done); `OutcomeUnknown` (may yet be done: look
    before anything else).
    """
    keys = Keys(cluster)
    pair = (await registry.transact((), (Get(keys.configuration),))).found.get(keys.configuration)
    if pair is None:
        raise SwitchRefused(f"the cluster {cluster} has no configuration: it was never initialised")
    try:
        configuration = Configuration.from_json(pair.value)
    except ConfigurationError as problem:
        raise SwitchRefused(f"{keys.configuration} in etcd: {problem}") from problem
    planned = plan(configuration, to)
    if revision not in (0, pair.mod_revision):
        raise SwitchRefused(_moved_on(revision, pair.mod_revision))
    why = f"site {to} is active instead of {configuration.active_site}: {why}"
    event = _event("site-switch", by, place or to, why)
    return await _send(registry, keys, pair.mod_revision, planned, event)


async def promote_with_loss(
    registry: Registry,
    cluster: str,
    revision: int,
    configuration: Configuration,
    *,
    by: str,
    why: str,
) -> Switched:
    """Put what `plan_with_loss` made of the configuration at `revision` (X4).

    The caller has fenced a takeover quorum of the old site, or a person has confirmed that it is
    off; nothing here can. Raises as `switch` does.
    """
    event = _event("promotion-with-loss", by, configuration.active_site, why)
    return await _send(registry, Keys(cluster), revision, configuration, event)


async def _send(
    registry: Registry, keys: Keys, revision: int, planned: Configuration, event: EventRecord
) -> Switched:
    """The guarded transaction. After an unknown outcome it is sent again, which is the read too.

    Its guard lets one copy win at most, and where it fails the event tells whether a copy did.
    """
    note = keys.event(event.at_ms, event.source, secrets.token_hex(8))
    guards = (Unchanged(keys.configuration, revision),)
    make = (
        Put(keys.configuration, planned.to_json()),
        Delete(keys.leader),
        Put(note, event.to_json()),
    )
    look = (Get(keys.configuration), Get(note))
    trouble: RegistryError | None = None
    for _ in range(_ATTEMPTS):
        try:
            outcome = await registry.transact(guards, make, look)
        except (OutcomeUnknown, Unavailable) as problem:
            if trouble is None and isinstance(problem, Unavailable):
                raise  # no copy was ever sent
            trouble = problem
            await asyncio.sleep(_PAUSE_S)
            continue
        if outcome.succeeded:
            return Switched(planned, outcome.revision)
        made = outcome.found.get(note)
        if made is not None:  # by an earlier copy, whose answer was lost
            return Switched(planned, made.mod_revision)
        raise SwitchRefused(_overtaken(planned, revision, outcome.found.get(keys.configuration)))
    raise OutcomeUnknown(
        f"nobody knows whether site {planned.active_site} was made active, and it may still "
        f"happen: look at the configuration before anything else ({trouble})"
    ) from trouble


def _other(configuration: Configuration, to: str) -> None:
    """Raise unless `to` is a site of the configuration, and not the active one."""
    sites = sorted(configuration.in_sync)
    if to not in configuration.in_sync:
        there = f"there are {' and '.join(sites)}" if len(sites) > 1 else f"there is {sites[0]}"
        raise SwitchRefused(f"no site {to}; {there}")
    if to == configuration.active_site:
        raise SwitchRefused(f"site {to} is the active one already")


def _overtaken(planned: Configuration, revision: int, found: KeyValue | None) -> str:
    """Why the guard failed: somebody else's switch, or any other change."""
    if found is None:
        return "the configuration is gone from etcd"
    try:
        active = Configuration.from_json(found.value).active_site
    except ConfigurationError:
        active = ""
    if active == planned.active_site:
        return f"somebody else made site {active} the active one, at revision {found.mod_revision}"
    return _moved_on(revision, found.mod_revision)


def _moved_on(revision: int, found: int) -> str:
    return (
        f"a set change got in between: the configuration is at revision {found}, not {revision}; "
        "look again"
    )


def _least(copies_min: int) -> int:
    """The smallest set whose majority is `copies_min`."""
    return max(1, 2 * (copies_min - 1))


def _replicas(count: int, one: str, many: str) -> str:
    """How many replicas do something: `one` for a single one and for none, else `many`."""
    return f"{count} replicas {many}" if count > 1 else f"{count or 'no'} replica {one}"


def _event(kind: str, by: str, place: str, why: str) -> EventRecord:
    return EventRecord(time.time_ns() // 1_000_000, by, place, kind, 0, 0, why)
