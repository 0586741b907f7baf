"""How far the replicas of a site have come that nobody leads, and which of them may go on (X4).

Pure. Told by fences: each replica has vowed, and its log has an end that nobody moves any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.configuration import ReplicaId, majority
from deploy.answers import Fenced


@dataclass(frozen=True, slots=True)
class Ends:
    """`survivors` can carry a site on. Whichever of them leads, it keeps everything up to `index`,
    which `epoch` wrote; `commit_index` is the highest of which one knows that it was committed."""

    survivors: frozenset[ReplicaId]
    epoch: int
    index: int
    commit_index: int

    def shared_with(self, other: Fenced) -> int:
        """Up to which index the survivors' logs are surely those of `other`, a replica elsewhere.

        Logs whose last entries were written in one epoch differ in length only. Otherwise only
        what was committed is sure.
        """
        if other.last_epoch == self.epoch:
            return min(self.index, other.last_index)
        return self.commit_index


def choose(found: Mapping[str, Fenced], given_up: frozenset[ReplicaId]) -> Ends | None:
    """The survivors among the replicas of one site (node to its answer); None if there are none.

    Each must hold all that any of them knows to be committed: one that lacks some of it could be
    elected and cut the others' logs below their commit index. Those are the logs that end in the
    last epoch and reach that index, and those that know of the whole commitment themselves.
    """
    logs = {
        replica: fenced
        for node, fenced in found.items()
        if (replica := ReplicaId(node, fenced.disk_id)) not in given_up
    }
    if not logs:
        return None
    committed = max(each.commit_index for each in logs.values())
    last_epoch = max(each.last_epoch for each in logs.values())
    survivors = {
        replica: (each.last_epoch, each.last_index)
        for replica, each in logs.items()
        if each.commit_index == committed
        or (each.last_epoch == last_epoch and each.last_index >= committed)
    }
    # The worst that a takeover quorum of them can find: its members are the shortest ones.
    ranked = sorted(survivors.values(), reverse=True)
    epoch, index = ranked[majority(len(ranked)) - 1]
    return Ends(frozenset(survivors), epoch, max(index, committed), committed)
