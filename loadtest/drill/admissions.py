"""Does a replica that is new in the in-sync sets really have what the others have? Pure.

A node that lost its disk, or was away, is another replica or an old one far behind: the leader may
count it only once it has caught up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

LAG_MAX: Final = 50
"""Entries that a replica which has caught up may be behind, with the load running."""


@dataclass(slots=True)
class Admissions:
    """What was seen of the in-sync sets so far. `counted`: replicas (node/disk) seen in them."""

    counted: frozenset[str] | None = None
    broken: list[str] = field(default_factory=list)

    def see(self, in_sync: Iterable[str], lags: Mapping[str, int]) -> tuple[str, ...]:
        """Look at one status of a leader: the replicas counted, and how far each is behind.

        Returns those counted now and not before, each with its lag in words; one that is too far
        behind is put on record as `broken`.
        """
        now = frozenset(in_sync)
        fresh = now - self.counted if self.counted is not None else frozenset()
        self.counted = now
        said = []
        for replica in sorted(fresh):
            lag = lags.get(replica, 0)
            said.append(f"{replica} is counted, {lag} entries behind")
            if lag > LAG_MAX:
                self.broken.append(f"{replica} was counted while {lag} entries behind")
        return tuple(said)
