"""What the core asks of the driver; the order to do it in is told in `node/core/__init__.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.configuration import Configuration
from node.core.messages import Entry, Message, Offer, Promise, Refuse


@dataclass(frozen=True, slots=True)
class Write:
    """One durable step. `truncate_after` (when not None) drops every entry above it first."""

    number: int
    promised: int
    configuration_revision: int
    truncate_after: int | None = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Install:
    """A durable step like `Write`: ledger and log become those of the fetched `offer` (M4).

    The log then begins after `offer.index`; disk id and cluster id stay this disk's own.
    """

    number: int
    promised: int
    configuration_revision: int
    offer: Offer


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
class Fenced:
    """Answer to `FenceAsked`: `promise`, durable, or what was promised before, when higher (X4)."""

    ticket: int
    promise: Promise | Refuse


@dataclass(frozen=True, slots=True)
class ReadRefused:
    """The read cannot be current here: ask the leader named."""

    read: int
    leader: str


Answer = Placed | NotProposed | ReadReady | ReadRefused | Fenced


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


@dataclass(frozen=True, slots=True)
class SwitchSite:
    """The guarded transaction of a site switch: the configuration, and the leader key away (E5).

    Sent by the leader of `epoch`; answered as `ChangeConfiguration` is.
    """

    change: int
    epoch: int
    revision: int
    configuration: Configuration


RegistryRequest = Campaign | Resign | ChangeConfiguration | SwitchSite


@dataclass(frozen=True, slots=True)
class Event:
    """Something an operator would want in the log: `kind` is one of a small fixed set."""

    kind: str
    detail: str


@dataclass(slots=True)
class Output:
    """What one step asks the driver to do. The order inside each list is the order to do it in.

    `make_snapshot` names peers that need one (M4), `fetch_snapshot` the offer to fetch and from
    whom; `prune` (0: nothing to do) says up to which index the log is not needed any more.
    `abandon` is set at the end of a leadership: every placed but unanswered proposal has an
    unknown outcome (T9).
    """

    persist: list[Write | Install] = field(default_factory=list)
    send: list[Send] = field(default_factory=list)
    apply: list[Entry] = field(default_factory=list)
    load: list[Load] = field(default_factory=list)
    answer: list[Answer] = field(default_factory=list)
    ask_registry: list[RegistryRequest] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    make_snapshot: list[str] = field(default_factory=list)
    fetch_snapshot: list[tuple[str, Offer]] = field(default_factory=list)
    prune: int = 0
    abandon: bool = False
