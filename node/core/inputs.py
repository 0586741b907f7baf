"""What the driver tells the core: time, messages, proposals, the disk, and what etcd said."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.configuration import Configuration, ReplicaId
from node.core.messages import Entry, Message, Offer
from node.core.outputs import Load


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; `now` says how much."""


@dataclass(frozen=True, slots=True)
class Received:
    """A peer's message, as it came."""

    sender: ReplicaId
    message: Message


@dataclass(frozen=True, slots=True)
class Proposed:
    """One encoded batch of commands, to become one entry; `ticket` is the driver's name for it."""

    ticket: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Inquired:
    """A read that must be current (R1)."""

    read: int


@dataclass(frozen=True, slots=True)
class Persisted:
    """Every write up to this number is on disk (D2)."""

    write: int


@dataclass(frozen=True, slots=True)
class Applied:
    """The ledger stands at `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Entries read back from disk, as `load` asked: from `load.first` on, without gaps."""

    load: Load
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class StorageFailed:
    """The store will vouch for nothing any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """The peer's process does not take connections: it is not running (T2)."""

    node: str


@dataclass(frozen=True, slots=True)
class HandoverAsked:
    """An operator, or a stopping process, asks for a planned change of leader (H1)."""

    target: str


@dataclass(frozen=True, slots=True)
class SwitchAsked:
    """An operator, or a coordinator, asks for a planned switch to the other site (H2)."""

    site: str


@dataclass(frozen=True, slots=True)
class FenceAsked:
    """A promotion with loss fences this replica at `epoch`, which is no leader's (X4)."""

    ticket: int
    epoch: int


@dataclass(frozen=True, slots=True)
class SnapshotMade:
    """A snapshot at `index` is ready to be fetched by `node`, as `make_snapshot` asked (M4).

    `entry_epoch` and `hash` are those of the entry at `index`.
    """

    node: str
    index: int
    entry_epoch: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class SnapshotFetched:
    """The file of this offer is here, whole, and bears the offer's index, epoch and hash."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class SnapshotMissed:
    """The offered snapshot could not be fetched: another offer may be."""

    offer: Offer
    reason: str


@dataclass(frozen=True, slots=True)
class Won:
    """The campaign `attempt` took the key at `epoch`; the configuration was read after (T3)."""

    attempt: str
    epoch: int
    configuration: Configuration
    revision: int


@dataclass(frozen=True, slots=True)
class CampaignLost:
    """The campaign `attempt` did not take the key."""

    attempt: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeaderSeen:
    """The leader key as etcd had it at `revision`: `epoch` 0 when nobody holds it."""

    epoch: int
    node: str
    disk: str
    revision: int

    def ends(self, epoch: int) -> bool:
        """Does this view of the leader key, not an older one, say that `epoch` is over? (T8)"""
        return self.epoch > epoch or (self.epoch == 0 and self.revision > epoch)

    @property
    def holder(self) -> str:
        """Who holds the key, in words."""
        return f"{self.node} holds epoch {self.epoch}" if self.epoch else "the leader key is gone"


@dataclass(frozen=True, slots=True)
class ConfigurationSeen:
    """The configuration as etcd has it now."""

    configuration: Configuration
    revision: int


@dataclass(frozen=True, slots=True)
class GuardPassed:
    """The guarded change `change` was made, at `revision` (S4)."""

    change: int
    revision: int


@dataclass(frozen=True, slots=True)
class GuardFailed:
    """The guard of `change` did not hold: the epoch or the configuration is another's."""

    change: int


@dataclass(frozen=True, slots=True)
class GuardUnknown:
    """Nobody knows whether `change` was made: send the same again (S4)."""

    change: int


Input = (
    Tick
    | Received
    | Proposed
    | Inquired
    | Persisted
    | Applied
    | Loaded
    | StorageFailed
    | PeerRefused
    | HandoverAsked
    | SwitchAsked
    | FenceAsked
    | SnapshotMade
    | SnapshotFetched
    | SnapshotMissed
    | Won
    | CampaignLost
    | LeaderSeen
    | ConfigurationSeen
    | GuardPassed
    | GuardFailed
    | GuardUnknown
)
