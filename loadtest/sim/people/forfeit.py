"""What a promotion with loss gives up (X4): what the disks held, and what the list of it names.

Both are kept side by side, since the one must cover the other: a settlement that is gone and not in
the list is lost behind everybody's back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from coordinator.configuration import Configuration, ReplicaId
from deploy.answers import Fenced
from deploy.ends import Ends
from deploy.fencing import Fencing
from loadtest.sim.witness import Violation, Witness
from node.core.messages import Entry
from node.ledger.commands import decode_batch


@dataclass(frozen=True, slots=True)
class Vow:
    """A replica's answer to a fence, and its log on disk as it stood then."""

    fenced: Fenced
    log: tuple[Entry, ...]


class _Line(msgspec.Struct, frozen=True):
    """What is looked at in a line of the list."""

    key: str


@dataclass(slots=True)
class Forfeit:
    """One promotion of site `to`: `kept` is what whoever leads there surely keeps, `gone` what the
    old site's logs had beside it.

    `revision` is 0 until etcd has made it. `settled`: the keys that were committed and went then.
    `listed`: the keys that the operator's list names; None as long as there is no list. `whole`:
    the list is of the replica that has all that was settled.
    """

    to: str
    planned: Configuration
    kept: tuple[Entry, ...]
    gone: tuple[Entry, ...]
    revision: int = 0
    settled: frozenset[str] = field(default_factory=frozenset)
    listed: frozenset[str] | None = None
    whole: bool = False

    def made(self, witness: Witness, revision: int) -> None:
        """etcd has made it. Raises `Violation` if more goes than the disks show."""
        kept = {entry.hash for entry in self.kept}
        lost = [entry for entry in witness.committed.values() if entry.hash not in kept]
        self.settled = keys_of(lost) - keys_of(self.kept)
        self.revision = revision
        witness.promoted(kept, self.gone, revision)

    def list_made(self, lines: Iterable[str], *, whole: bool) -> None:
        """The operator has the list. Raises `Violation` if it should be whole and is not."""
        self.listed = frozenset(msgspec.json.decode(line, type=_Line).key for line in lines)
        self.whole = whole
        missing = sorted(self.settled - self.listed) if whole else []
        if missing:
            raise Violation(
                "X4", f"{', '.join(missing)}: settled, given up for {self.to}, and not listed"
            )


def weigh(
    to: str,
    planned: Configuration,
    vows: Mapping[str, Vow],
    fencing: Fencing,
    ends: Ends,
    off: Sequence[Sequence[Entry]],
) -> Forfeit:
    """What `planned` would give up; `off` are the logs on the disks of a site that is off."""
    shortest = min(
        node
        for node, fenced in fencing.new.items()
        if ReplicaId(node, fenced.disk_id) in ends.survivors
        and (fenced.last_epoch, fenced.last_index) == (ends.epoch, ends.index)
    )
    kept = vows[shortest].log
    hashes = {entry.hash for entry in kept}
    logs = [vows[node].log for node in fencing.old] + list(off)
    gone = {entry.hash: entry for log in logs for entry in log if entry.hash not in hashes}
    return Forfeit(to, planned, kept, tuple(gone.values()))


def keys_of(entries: Iterable[Entry]) -> frozenset[str]:
    """The keys of every command in these entries."""
    return frozenset(
        command.key
        for entry in entries
        if entry.payload
        for command in decode_batch(entry.payload).commands
    )
