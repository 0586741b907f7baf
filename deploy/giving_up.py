"""Promotion with loss (X4): a standby that was not in sync becomes the active site.

Whatever it lacks is given up, so a person is shown what that is and must ask for it by the site's
name. Nothing else keeps the old site from settling on, so it is fenced, or a person vouches that it
is off. It comes back with new disks only; its old files stay for the books.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from coordinator import switching
from coordinator.configuration import Configuration, ReplicaId
from coordinator.keyvalue import RegistryError
from coordinator.recording import record
from coordinator.records import EventRecord, NodeRecord
from coordinator.stamp import stamp
from coordinator.switching import Switched, SwitchRefused
from deploy import lost, written
from deploy.answers import Fenced
from deploy.control import Control, ControlError
from deploy.ends import Ends
from deploy.fencing import Fencing, Going, Overtaken, check_loss, going, sides
from deploy.lab import readiness
from deploy.lost import Lost
from deploy.moving import check_site
from deploy.topology import Topology
from deploy.written import Written

_ROUNDS: Final = 3
_LIST_S: Final = 600.0


class Person(Protocol):
    """Whoever answers for it."""

    def gives_up(self, site: str) -> bool:
        """Does the person ask for `site` to take over without what was just listed?"""
        ...

    def vouches_off(self, site: str) -> bool:
        """Does the person vouch that everything in `site` is off?"""
        ...


class _OtherDisk(Exception):
    """The node that answers is not the replica that vowed."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """`to_site` is active since `revision`; `lost` is None where nobody could make the list."""

    from_site: str
    to_site: str
    revision: int
    survivors: tuple[str, ...]
    fenced: bool
    lost: Lost | None


class Promotion:
    """One promotion of `to` by `by`; `keep` is the folder for the list of what is lost."""

    def __init__(
        self,
        topology: Topology,
        to: str,
        *,
        by: str,
        person: Person,
        keep: Path,
        say: Callable[[str], None],
    ) -> None:
        self._topology = topology
        self._to = to
        self._by = by
        self._person = person
        # A name of its own: lists of earlier promotions are never written over.
        self._stamp = time.strftime("%Y%m%d-%H%M%S")
        self._keep = keep
        self._say = say
        self._vouched = False

    def run(self) -> Promoted:
        """Show, ask, fence, promote, list. Raises `SwitchRefused`, `RegistryError`."""
        check_site(self._topology, self._to)
        configuration, found = self._configuration()
        old = configuration.active_site
        self._show(old, found.nodes)
        if not self._person.gives_up(self._to):
            raise SwitchRefused(f"not confirmed: site {old} stays active, nothing was given up")
        for attempt in range(1, _ROUNDS + 1):
            try:
                return self._round(old)
            except Overtaken as problem:
                if attempt == _ROUNDS:
                    raise SwitchRefused(str(problem)) from problem
                self._say(f"again: {problem}")
        raise AssertionError("the last round returns or raises")

    def _round(self, old: str) -> Promoted:
        """With the leader key in our hand nobody leads anew, so after the fence nothing is settled
        that is not in the list. The list may take long and the key must not: it comes last.
        """
        epoch = self._take_key()
        try:
            fencing = self._fence(epoch)
            configuration, found = self._configuration()
            fenced = fencing.holds(configuration)
            if not fenced and not self._vouched:
                self._vouch(old, fencing)
            disks = {ReplicaId(each.node, each.disk) for each in found.nodes if each.site == old}
            goes = going(configuration, self._to, fencing, disks)
            switched = self._promote(found.revision, epoch, goes, fenced=fenced)
        except BaseException:
            self._return_key(epoch)
            raise
        lacks = self._list(old, fencing, goes.ends)
        return Promoted(
            old,
            self._to,
            switched.revision,
            tuple(sorted(map(str, goes.ends.survivors))),
            fenced,
            lacks,
        )

    # Step by step

    def _configuration(self) -> tuple[Configuration, Written]:
        """As it is now, and what etcd holds beside it.

        Raises `SwitchRefused` where nothing needs to be lost.
        """
        found = written.read(self._topology)
        return check_loss(found.configuration, self._to), found

    def _show(self, old: str, published: Sequence[NodeRecord]) -> None:
        """What would be lost as things stand, from whoever in the old site can be asked."""
        statuses = readiness.statuses(self._topology.control_endpoints, 1.0)
        there = [each for each in statuses.values() if each and each.site == old]
        here = [each for each in statuses.values() if each and each.site == self._to]
        if not here:
            raise SwitchRefused(f"no replica of site {self._to} answers: start its nodes first")
        has = max(each.commit_index for each in here)
        if there:
            donor = max(there, key=lambda each: each.commit_index)
            with suppress(ControlError):
                found = self._list_from(donor.node, has, old)
                self._say(f"site {self._to} lacks {found.words()}")
                if any(each.role == "leader" and each.serving for each in there):
                    self._say(
                        f"site {old} settles at this moment: whatever it settles until it is "
                        f"fenced will be lost too, and is in the final list"
                    )
                return
        self._say(
            f"nobody in site {old} can be asked: what site {self._to} lacks cannot be listed. "
            + self._last_known(old, has, published)
        )

    def _last_known(self, old: str, has: int, published: Sequence[NodeRecord]) -> str:
        """What the old site's replicas last said of themselves."""
        nodes = [each for each in published if each.site == old]
        if not nodes:
            return (
                f"Site {self._to} has what was settled up to index {has}; how far site {old} came "
                f"is not known, since its nodes are gone from etcd."
            )
        last = max(nodes, key=lambda each: each.last_index)
        return (
            f"Site {self._to} has what was settled up to index {has}; {last.node} last published "
            f"index {last.last_index}, and may have gone further."
        )

    def _take_key(self) -> int:
        return written.ask(
            self._topology,
            lambda registry: switching.take_key(
                registry, self._topology.cluster, self._to, by=self._by, stamp=stamp()
            ),
        )

    def _return_key(self, epoch: int) -> None:
        """So that the old site can go on at once; it would find out by itself, but later."""
        with suppress(RegistryError):
            written.ask(
                self._topology,
                lambda registry: switching.return_key(registry, self._topology.cluster, epoch),
            )

    def _fence(self, epoch: int) -> Fencing:
        """Ask every replica for a vow at the revision of the key in our hand."""
        found = self._vows(epoch)
        return sides(found, {name: self._topology.site_of(name) for name in found}, self._to)

    def _vows(self, epoch: int) -> dict[str, Fenced]:
        def ask(endpoint: str) -> Fenced | None:
            with suppress(ControlError), Control(endpoint) as control:
                return control.fence(epoch, timeout_s=2.0)
            return None

        endpoints = self._topology.control_endpoints
        with ThreadPoolExecutor(len(endpoints)) as pool:
            answers = dict(zip(endpoints, pool.map(ask, endpoints.values()), strict=True))
        return {name: each for name, each in answers.items() if each is not None}

    def _vouch(self, old: str, fencing: Fencing) -> None:
        self._say(
            f"{len(fencing.old) or 'none'} of the replicas of site {old} vowed to settle nothing "
            f"more, which is too few: if it runs, it may settle on, and that would be lost as well"
        )
        if not self._person.vouches_off(old):
            raise SwitchRefused(
                f"not confirmed that site {old} is off: it stays active, nothing was given up"
            )
        self._vouched = True

    def _list(self, old: str, fencing: Fencing, ends: Ends) -> Lost | None:
        """From the old site's replica that has all that was ever settled there. None if nobody can
        be asked."""
        found: Lost | None = None
        short = ""
        for node, fenced in fencing.donors():
            try:
                found = self._list_from(node, ends.shared_with(fenced), old, fenced.disk_id)
                break
            except (ControlError, OSError, _OtherDisk) as problem:
                short += f"; {node}, which may have had more, could not be asked ({problem})"
        given = found.words() if found else "what cannot be listed: nobody there can be asked"
        self._record(f"site {self._to} was promoted without {given}{short}")
        return found

    def _list_from(self, node: str, after_index: int, old: str, disk_id: str = "") -> Lost:
        """`disk_id`, where given, is the one that must answer: a node may be back with another."""
        path = self._keep / f"{old}-to-{self._to}-{self._stamp}.jsonl"
        with Control(self._topology.control_endpoints[node]) as control:
            if disk_id and control.status().disk_id != disk_id:
                raise _OtherDisk("it has another disk now")
            return lost.write(after_index, control.since(after_index, timeout_s=_LIST_S), path)

    def _promote(self, revision: int, epoch: int, goes: Going, *, fenced: bool) -> Switched:
        safe = "fenced" if fenced else f"confirmed to be off by {self._by}"
        why = (
            f"{self._by} promotes site {self._to} with loss, from index {goes.ends.index}; the "
            f"other is {safe}"
        )
        cluster = self._topology.cluster
        try:
            return written.ask(
                self._topology,
                lambda registry: switching.promote_with_loss(
                    registry,
                    cluster,
                    revision,
                    goes.configuration,
                    epoch=epoch,
                    by=self._by,
                    why=why,
                    stamp=stamp(),
                ),
            )
        except SwitchRefused as problem:
            raise Overtaken(str(problem)) from problem

    def _record(self, why: str) -> None:
        event = EventRecord(time.time_ns() // 1_000_000, self._by, self._to, "given-up", 0, 0, why)
        try:
            written.ask(
                self._topology, lambda registry: record(registry, self._topology.cluster, event)
            )
        except RegistryError as problem:
            self._say(f"not on record in etcd ({problem}): {why}")
