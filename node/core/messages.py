"""Everything that crosses the core's border: peer messages, inputs, outputs.

All frozen: what was said cannot be changed afterwards. Replicas are named by `ReplicaId` (node and
disk id); a message's sender is not in the message but beside it, in `Received`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from coordinator.configuration import Configuration, ReplicaId

GENESIS_HASH: Final = bytes(32)
"""The chain hash "before" entry 1."""

EPOCH_START: Final = b""
"""The payload of the entry a new leader appends first (T6): it settles nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the log. `hash` chains it to everything before."""

    index: int
    epoch: int
    payload: bytes
    hash: bytes


def chain_hash(previous: bytes, index: int, epoch: int, payload: bytes) -> bytes:
    """SHA-256 of previous hash, index and epoch (8 bytes each, big-endian), payload bytes."""
    return hashlib.sha256(
        previous + index.to_bytes(8, "big") + epoch.to_bytes(8, "big") + payload
    ).digest()


# --- Between replicas -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fence:
    """A winner of `epoch` asks for obedience. `configuration_revision`: what it read (T4, W2)."""

    epoch: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class Promise:
    """The vow, with the end of the log it was made on (D3)."""

    epoch: int
    last_epoch: int
    last_index: int
    commit_index: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """ "I have promised a higher epoch", or, with `promised` below `epoch`, "you read an older
    configuration than I have seen" (W2)."""

    epoch: int
    promised: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class Append:
    """Entries after `prev_index`, or a heartbeat without any (M3). `round` is echoed (R1)."""

    epoch: int
    round: int
    prev_index: int
    prev_epoch: int
    prev_hash: bytes
    entries: tuple[Entry, ...]
    commit_index: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Durable and matched against the leader up to `index` (M1)."""

    epoch: int
    round: int
    index: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The entry before is not here; try again from `hint_index`."""

    epoch: int
    round: int
    hint_index: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """A recovering leader asks for what follows an entry it names (T5)."""

    epoch: int
    prev_index: int
    prev_epoch: int
    prev_hash: bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """Answer to Fetch; `matched` is False where the donor has no such entry."""

    epoch: int
    prev_index: int
    matched: bool
    entries: tuple[Entry, ...]
    last_index: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """Do you, too, think the leader of `epoch` is gone? (T1)"""

    epoch: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Answer to Suspect."""

    epoch: int
    agreed: bool


@dataclass(frozen=True, slots=True)
class Handover:
    """The leader of `epoch` has drained and asks the receiver to campaign at once (H1)."""

    epoch: int


Message = (
    Fence
    | Promise
    | Refuse
    | Append
    | Ack
    | Mismatch
    | Fetch
    | Entries
    | Suspect
    | Suspicion
    | Handover
)


# --- Into the core ----------------------------------------------------------------------------


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
    | Won
    | CampaignLost
    | LeaderSeen
    | ConfigurationSeen
    | GuardPassed
    | GuardFailed
    | GuardUnknown
)


# --- Out of the core --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """One durable step. `truncate_after` (when not None) drops every entry above it first."""

    number: int
    promised: int
    configuration_revision: int
    truncate_after: int | None = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """A message for a node's process; whatever disk it is on will say so in its answer."""

    node: str
    message: Message


@dataclass(frozen=True, slots=True)
class Load:
    """Read entries from disk, from `first` on, bounded by the driver, for the peer `node` (M3).

    `epoch` is the leadership it is for; `fetch` tells a donor's answer (T5) from a leader's feed.
    """

    node: str
    first: int
    epoch: int
    fetch: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """The proposal `ticket` is now entry `index` of `epoch`."""

    ticket: int
    index: int
    epoch: int


@dataclass(frozen=True, slots=True)
class NotProposed:
    """The proposal `ticket` never reached the log: try the leader named (T9)."""

    ticket: int
    leader: str


@dataclass(frozen=True, slots=True)
class ReadReady:
    """The read may be answered from the ledger as it now is (R1)."""

    read: int


@dataclass(frozen=True, slots=True)
class ReadRefused:
    """The read cannot be current here: ask the leader named."""

    read: int
    leader: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """Try for the leader key (E2): `suspected` is the epoch to replace, 0 for an absent key."""

    attempt: str
    suspected: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class Resign:
    """Delete the leader key of `epoch`, guarded by its revision."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ChangeConfiguration:
    """The guarded transaction of a set change (E4, S3)."""

    change: int
    epoch: int
    revision: int
    configuration: Configuration


RegistryRequest = Campaign | Resign | ChangeConfiguration


@dataclass(frozen=True, slots=True)
class Event:
    """Something an operator would want in the log: `kind` is one of a small fixed set."""

    kind: str
    detail: str


@dataclass(slots=True)
class Output:
    """What one step asks the driver to do. The order inside each list is the order to do it in.

    `abandon` is set at the end of a leadership: every placed but unanswered proposal has an
    unknown outcome (T9).
    """

    persist: list[Write] = field(default_factory=list)
    send: list[Send] = field(default_factory=list)
    apply: list[Entry] = field(default_factory=list)
    load: list[Load] = field(default_factory=list)
    answer: list[Placed | NotProposed | ReadReady | ReadRefused] = field(default_factory=list)
    ask_registry: list[RegistryRequest] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    abandon: bool = False
