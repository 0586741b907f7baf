"""What replicas say to one another, and the entries they speak of.

All frozen: what was said cannot be changed afterwards. Replicas are named by `ReplicaId` (node and
disk id); a message's sender is not in the message but beside it, in `Received`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Fence:
    """A winner of `epoch` asks for obedience. `configuration_revision`: what it read (T4, W2)."""

    epoch: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class Promise:
    """The vow, with the end of the log it was made on (D3), and where that log begins."""

    epoch: int
    last_epoch: int
    last_index: int
    commit_index: int
    prune_index: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """ "I have promised a higher epoch", or, with `promised` below `epoch`, "you read an older
    configuration than I have seen" (W2)."""

    epoch: int
    promised: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class Append:
    """Entries after `prev_index`, or a heartbeat without any (M3). `round` is echoed (R1).

    `floor`: durable on every in-sync replica of both sites, so that no more of the log need be
    kept for them.
    """

    epoch: int
    round: int
    prev_index: int
    prev_epoch: int
    prev_hash: bytes
    entries: tuple[Entry, ...]
    commit_index: int
    floor: int = 0


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


@dataclass(frozen=True, slots=True)
class Offer:
    """What the receiver needs is pruned: here is a snapshot at `index`, to be fetched (M4).

    `entry_epoch` and `hash` are those of the entry at `index`: what is fetched must bear them.
    """

    epoch: int
    index: int
    entry_epoch: int
    hash: bytes


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
    | Offer
)
