"""What one place has seen over time: who answers terminals, and since when nobody in a site does.

Pure. Time is added up in steps that are never longer than a probe takes: a place that itself stood
still for a while must not blame the sites for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.records import NodeSight, Reach


@dataclass(frozen=True, slots=True)
class Answer:
    """How a node answered a probe, and its words for it."""

    reach: Reach
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A picture of it all; fields as in `coordinator.records.ReportRecord`."""

    revision: int
    active_site: str
    unserved_ms: int
    awaited: bool
    leader: str
    epoch: int
    led_ms: int
    leader_unreached_ms: int
    failover_ms: int
    nodes: tuple[NodeSight, ...]


@dataclass(slots=True)
class _Seen:
    site: str
    answer: Answer
    for_ms: float = 0.0


class Sight:
    """The eyes of one place on `nodes` (name to site).

    `step_ms`: the longest step of time. `agree_ms`: a site that served nobody for so long and is
    then not the active one any more has failed over; a planned switch takes less.
    """

    def __init__(
        self, nodes: Mapping[str, str], step_ms: float, agree_ms: float, now_ms: float
    ) -> None:
        unasked = Answer(Reach.SILENT, "not asked yet")
        self._nodes = {node: _Seen(site, unasked) for node, site in sorted(nodes.items())}
        self._step_ms = step_ms
        self._agree_ms = agree_ms
        self._at_ms = now_ms
        self._revision = 0
        self._active = ""
        self._awaited = True
        self._unserved_ms = 0.0
        self._served_at_ms = now_ms
        self._failover_ms: float | None = None
        self._leader = ""
        self._epoch: int | None = None  # None: etcd has not been asked yet
        self._led_ms: float | None = None
        self._unreached_ms = 0.0

    def configured(self, revision: int, active_site: str, now_ms: float) -> None:
        """etcd has this configuration. Another active site begins with a clean slate."""
        self._advance(now_ms)
        self._revision = revision
        if active_site != self._active:
            if self._active:
                self._failover_ms = 0.0 if self._unserved_ms >= self._agree_ms else None
            self._active = active_site
            self._unserved_ms = self._unreached_ms = 0.0
            self._awaited = not self._served()

    def led(self, leader: str, epoch: int, now_ms: float) -> None:
        """etcd has this leader; epoch 0: nobody leads."""
        self._advance(now_ms)
        if epoch != self._epoch:
            self._led_ms = None if self._epoch is None else 0.0
            self._leader, self._epoch, self._unreached_ms = leader, epoch, 0.0

    def saw(self, node: str, answer: Answer, asked_ms: float, now_ms: float) -> None:
        """A probe of `node`, begun at `asked_ms`, ended now.

        One that ended badly counts from its beginning, or from the last good answer.
        """
        self._advance(now_ms)
        took_ms = min(max(now_ms - asked_ms, 0.0), self._step_ms)
        was_served, was_unreached = self._served(), self._unreached()
        seen = self._nodes[node]
        if answer.reach is not seen.answer.reach:
            seen.for_ms = took_ms
        seen.answer = answer
        if self._served():
            self._unserved_ms = 0.0
            self._awaited = False
            if answer.reach is Reach.SERVES and seen.site == self._active:
                self._served_at_ms = now_ms
        elif was_served:
            self._unserved_ms = min(took_ms, now_ms - self._served_at_ms)
        if not self._unreached():
            self._unreached_ms = 0.0
        elif not was_unreached:
            self._unreached_ms = min(took_ms, now_ms - self._served_at_ms)

    def view(self, now_ms: float) -> View:
        """The picture now."""
        self._advance(now_ms)
        return View(
            revision=self._revision,
            active_site=self._active,
            unserved_ms=int(self._unserved_ms),
            awaited=self._awaited,
            leader=self._leader,
            epoch=self._epoch or 0,
            led_ms=-1 if self._led_ms is None else int(self._led_ms),
            leader_unreached_ms=int(self._unreached_ms),
            failover_ms=-1 if self._failover_ms is None else int(self._failover_ms),
            nodes=tuple(
                NodeSight(node, seen.site, seen.answer.reach, int(seen.for_ms), seen.answer.reason)
                for node, seen in self._nodes.items()
            ),
        )

    def _advance(self, now_ms: float) -> None:
        step_ms = min(max(now_ms - self._at_ms, 0.0), self._step_ms)
        self._at_ms = now_ms
        if self._active and not self._served():
            self._unserved_ms += step_ms
        if self._unreached():
            self._unreached_ms += step_ms
        if self._led_ms is not None:
            self._led_ms += step_ms
        if self._failover_ms is not None:
            self._failover_ms += step_ms
        for seen in self._nodes.values():
            seen.for_ms += step_ms

    def _served(self) -> bool:
        """Does anybody in the active site serve terminals, as far as is known?"""
        return any(
            seen.site == self._active and seen.answer.reach is Reach.SERVES
            for seen in self._nodes.values()
        )

    def _unreached(self) -> bool:
        """Is the leader silent to terminals while others of its site answer them?"""
        leader = self._nodes.get(self._leader) if self._epoch else None
        return (
            leader is not None
            and leader.site == self._active
            and leader.answer.reach is Reach.SILENT
            and any(
                seen.site == leader.site and seen.answer.reach is not Reach.SILENT
                for seen in self._nodes.values()
            )
        )
