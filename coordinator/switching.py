"""Switches of the active site from outside (E5), and promotion with loss (X4).

Anybody entitled may send one: the guard on the configuration's revision, not a lock, keeps it
safe. The transaction also writes the event that tells of it, under a key of its own; whoever finds
that key knows that this very switch was made, also where its answer was lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from coordinator.configuration import Configuration, ConfigurationError
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
from coordinator.planning import SwitchRefused, plan, plan_with_loss
from coordinator.ports import Registry
from coordinator.records import EventRecord, Keys, LeaderRecord
from coordinator.stamp import Stamp

__all__ = [
    "SwitchRefused",
    "Switched",
    "plan",
    "plan_with_loss",
    "promote_with_loss",
    "return_key",
    "switch",
    "take_key",
]

_ATTEMPTS: Final = 5
"""How often a switch is sent, or read back, before its outcome is left unknown."""

_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Switched:
    """The switch was made: the configuration since `revision`."""

    configuration: Configuration
    revision: int


async def switch(
    registry: Registry,
    cluster: str,
    to: str,
    *,
    by: str,
    why: str,
    stamp: Stamp,
    place: str = "",
    revision: int = 0,
) -> Switched:
    """Make `to` the active site (E5); the event names `by` (no slash), `place` and `why`.

    `stamp` is a new one: where the answer is lost, the event under it tells that this switch was
    made. `revision`, where given, is the configuration's on which the decision rests. Raises
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
    event = _event("site-switch", by, place or to, why, stamp)
    return await _send(registry, keys, pair.mod_revision, planned, event, stamp)


async def take_key(registry: Registry, cluster: str, site: str, *, by: str, stamp: Stamp) -> int:
    """Take the leader key away from whoever holds it; its revision is the epoch to fence with (X4).

    As long as the key stays there nobody leads anew, which `promote_with_loss` then relies on. Left
    behind, it is suspected and replaced like that of any silent leader. Raises `RegistryError`.
    """
    record = LeaderRecord("", "", site, "", f"promotion/{by}/{stamp.serial}")
    key = Keys(cluster).leader
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await registry.put(key, record.to_json())
        except OutcomeUnknown:
            # Written twice it has another revision: the second is the one to fence with.
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError("the last attempt returns or raises")


async def return_key(registry: Registry, cluster: str, epoch: int) -> None:
    """Give the leader key taken at `epoch` free, if it is still that. Raises `RegistryError`."""
    key = Keys(cluster).leader
    await registry.transact((Unchanged(key, epoch),), (Delete(key),))


async def promote_with_loss(
    registry: Registry,
    cluster: str,
    revision: int,
    configuration: Configuration,
    *,
    epoch: int,
    by: str,
    why: str,
    stamp: Stamp,
) -> Switched:
    """Put what `plan_with_loss` made of the configuration at `revision` (X4).

    The caller has taken the leader key at `epoch` (`take_key`), and fenced a takeover quorum of the
    old site at it, or a person has confirmed that the site is off; nothing here can. Refused if the
    key changed hands since: the old site may have settled. Raises as `switch` does.
    """
    keys = Keys(cluster)
    event = _event("promotion-with-loss", by, configuration.active_site, why, stamp)
    held = Unchanged(keys.leader, epoch)
    return await _send(registry, keys, revision, configuration, event, stamp, held)


async def _send(
    registry: Registry,
    keys: Keys,
    revision: int,
    planned: Configuration,
    event: EventRecord,
    stamp: Stamp,
    *more: Unchanged,
) -> Switched:
    """The guarded transaction. After an unknown outcome it is sent again, which is the read too.

    Its guard lets one copy win at most, and where it fails the event tells whether a copy did.
    """
    note = keys.event(event.at_ms, event.source, stamp.serial)
    guards = (Unchanged(keys.configuration, revision), *more)
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


def _overtaken(planned: Configuration, revision: int, found: KeyValue | None) -> str:
    """Why the guard failed: somebody else's switch, or any other change."""
    if found is None:
        return "the configuration is gone from etcd"
    try:
        active = Configuration.from_json(found.value).active_site
    except ConfigurationError:
        active = ""
    if found.mod_revision == revision:
        return "another leader was elected in between: look again"
    if active == planned.active_site:
        return f"somebody else made site {active} the active one, at revision {found.mod_revision}"
    return _moved_on(revision, found.mod_revision)


def _moved_on(revision: int, found: int) -> str:
    return (
        f"a set change got in between: the configuration is at revision {found}, not {revision}; "
        "look again"
    )


def _event(kind: str, by: str, place: str, why: str, stamp: Stamp) -> EventRecord:
    return EventRecord(stamp.at_ms, by, place, kind, 0, 0, why)
