"""The leases of an etcd: each ends some time after its last renewal, unless etcd was away."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.keyvalue import LeaseGone
from loadtest.sim.timeline import Event, Timeline


@dataclass(slots=True)
class Lease:
    """A lease of host `owner`, for `ttl_ms` milliseconds at a time."""

    owner: str
    ttl_ms: float
    renewed_ms: float = 0.0
    end: Event | None = None


class Lessor:
    """All leases, by number. `ended` hears of each that ran out; `slack_ms` says by how much a
    lease may outlive its time."""

    def __init__(
        self,
        timeline: Timeline,
        draw: random.Random,
        slack_ms: Callable[[], float],
        ended: Callable[[int, Lease], None],
    ) -> None:
        self._timeline = timeline
        self._draw = draw
        self._slack_ms = slack_ms
        self._ended = ended
        self._leases: dict[int, Lease] = {}
        self._last = 0

    def __contains__(self, number: object) -> bool:
        return number in self._leases

    def grant(self, owner: str, ttl_s: int) -> int:
        """A new lease; its number."""
        self._last += 1
        lease = self._leases[self._last] = Lease(owner, ttl_s * 1000.0)
        self._extend(self._last, lease)
        return self._last

    def renew(self, number: int) -> float:
        """The seconds the lease has from now on, 0 if there is none."""
        lease = self._leases.get(number)
        if lease is None:
            return 0.0
        self._extend(number, lease)
        return lease.ttl_ms / 1000

    def revoke(self, number: int) -> None:
        """End a lease; nobody hears of it. Raises `LeaseGone`."""
        if number not in self._leases:
            raise LeaseGone("etcdserver: requested lease not found")
        self._stop(self._leases.pop(number))

    def expire(self, which: Callable[[Lease], bool]) -> None:
        """End each of `which`, now."""
        for number, lease in list(self._leases.items()):
            # Whoever hears of one may end another.
            if number in self._leases and which(lease):
                self._end(number)

    def overdue(self, lease: Lease) -> bool:
        """Has nobody renewed it for its whole time?"""
        return self._timeline.now >= lease.renewed_ms + lease.ttl_ms

    def rest(self) -> None:
        """etcd is away: no lease ends."""
        for lease in self._leases.values():
            self._stop(lease)

    def resume(self) -> None:
        """etcd has a new leader, which gives every lease its full time again."""
        for number, lease in self._leases.items():
            self._extend(number, lease)

    def _extend(self, number: int, lease: Lease) -> None:
        self._stop(lease)
        lease.renewed_ms = self._timeline.now
        lasts = lease.ttl_ms + self._draw.uniform(0, self._slack_ms())
        what = f"lease {number} of {lease.owner} ends"
        lease.end = self._timeline.after(lasts, lambda: self._end(number), what)

    def _end(self, number: int) -> None:
        lease = self._leases.pop(number)
        self._stop(lease)
        self._ended(number, lease)

    @staticmethod
    def _stop(lease: Lease) -> None:
        if lease.end is not None:
            lease.end.cancel()
