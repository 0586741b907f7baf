"""Everything that crosses the election's border: what it is told, and what it asks of etcd.

Pure and frozen. A request comes back inside its result, so the election needs no numbering.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.configuration import Configuration
from coordinator.events import CoordinatorEvent
from coordinator.records import LeaderRecord

# --- Asked of etcd ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutLeader:
    """E2: put `record`, bound to `lease`, if the key is still at `suspected` (0: absent) and the
    configuration still at `configuration_revision`."""

    record: LeaderRecord
    suspected: int
    configuration_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class DeleteLeader:
    """Delete the leader key if it is still at `epoch`. Harmless to repeat."""

    epoch: int


@dataclass(frozen=True, slots=True)
class PutConfiguration:
    """E4: put `configuration` if the leader key is at `epoch` and the old one at `revision`.

    `resigning`: the leader key goes in the same transaction, as for a site switch (E5).
    """

    change: int
    epoch: int
    revision: int
    configuration: Configuration
    resigning: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """T3: read the configuration after winning `epoch` with `nonce`."""

    nonce: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ReadBack:
    """E3, S4: a linearizable read, to learn what became of a transaction."""

    about: PutLeader | PutConfiguration


Request = PutLeader | DeleteLeader | PutConfiguration | Confirm | ReadBack


# --- Told by etcd -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Leader key and configuration as they were at `revision`, read together.

    `epoch` is 0 where nobody leads; `leader` is None then, and where the record cannot be read.
    `configuration` is None where there is none, or none that can be read.
    """

    revision: int
    epoch: int
    leader: LeaderRecord | None
    configuration_revision: int
    configuration: Configuration | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The request was carried out: `succeeded` if its guard held (always, for a read)."""

    request: Request
    succeeded: bool
    seen: Seen


@dataclass(frozen=True, slots=True)
class NotDone:
    """Definite: the request was not carried out, and never will be."""

    request: Request
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Ambiguous: it may have been carried out, or may still be."""

    request: Request
    reason: str


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """The watch: the leader key changed at `revision`; `epoch` 0: it was deleted."""

    revision: int
    epoch: int
    leader: LeaderRecord | None


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """The watch: the configuration changed at `revision`."""

    revision: int
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """This process holds `lease`."""

    lease: int


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """`lease` is gone, and every key bound to it."""

    lease: int


# --- Told by the owner ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CampaignAsked:
    """Try for the leader key: `suspected` is the epoch to replace, 0 when the key is absent."""

    attempt: str
    suspected: int
    configuration_revision: int


@dataclass(frozen=True, slots=True)
class ResignAsked:
    """Delete the leader key of `epoch`."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """Make the guarded change; the same `change` may be asked for again after `GuardUnknown`."""

    change: int
    epoch: int
    revision: int
    configuration: Configuration
    resigning: bool = False


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed."""


Input = (
    Answered
    | NotDone
    | Unknown
    | Seen
    | LeaderChanged
    | ConfigurationChanged
    | LeaseGranted
    | LeaseLost
    | CampaignAsked
    | ResignAsked
    | ChangeAsked
    | Ticked
)


@dataclass(slots=True)
class Output:
    """What one step asks for: requests to etcd, and events for the owner, each in order."""

    requests: list[Request] = field(default_factory=list)
    events: list[CoordinatorEvent] = field(default_factory=list)
