"""The seam between the gRPC front and what settles: one verb, a few reads, what may go wrong.

The front knows nothing of logs, quorums or files. It checks a request, hands a `Command` to an
`Engine` and waits; the engine answers many waiting requests in one burst. The quorum log
(node/driver) is the first engine; another may stand here without a change to the front.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from node.ledger.commands import Command, Receipt, ServiceTotal
from node.ledger.queries import Inquiry
from node.ledger.refusals import Refusal


class EngineError(Exception):
    """The engine has no answer of its own: nothing here is a fact about the payment itself."""


class NotLeader(EngineError):
    """This node does not lead; the command never reached a log. `leader_endpoint` may be empty."""

    def __init__(self, leader_endpoint: str = "") -> None:
        super().__init__(f"not the leader; it is at {leader_endpoint or 'an unknown address'}")
        self.leader_endpoint = leader_endpoint


class NotProposed(EngineError):
    """The leadership ended while the command still waited: it never reached a log (T9)."""

    def __init__(self, leader_endpoint: str = "") -> None:
        super().__init__("the leader changed before the request was proposed")
        self.leader_endpoint = leader_endpoint


class OutcomeUnknown(EngineError):
    """The command was proposed and its leader lost the lead: it may or may not be settled (T9)."""

    def __init__(self, leader_endpoint: str = "") -> None:
        super().__init__("the leader changed while the request was being settled")
        self.leader_endpoint = leader_endpoint


class NoQuorum(EngineError):
    """No write quorum, so nothing can be settled or read as current; nothing was proposed."""

    def __init__(self, reason: str, retry_after_ms: int = 200) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_ms = retry_after_ms


class Overloaded(EngineError):
    """The bounded queue is full; the command never entered it."""

    def __init__(self, retry_after_ms: int = 50) -> None:
        super().__init__("too many requests are waiting")
        self.retry_after_ms = retry_after_ms


class StorageDown(EngineError):
    """This node's disk can vouch for nothing; another node may."""

    def __init__(self, reason: str, leader_endpoint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.leader_endpoint = leader_endpoint


class AuditUnavailable(EngineError):
    """The audit asked for cannot be made: its index is not reached in time, or already passed."""


@dataclass(frozen=True, slots=True)
class Current:
    """A read that was current when it was answered (R1): `inquiry` is None for an unknown key."""

    inquiry: Inquiry | None
    commit_index: int


@dataclass(frozen=True, slots=True)
class Interim:
    """Totals since the last close, as of one index and its leader's time (R2)."""

    totals: tuple[ServiceTotal, ...]
    commit_index: int
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How a leader sees another replica. `lag` is in entries, `silent_ms` -1 when never heard."""

    node: str
    disk_id: str
    connected: bool
    acked_index: int
    lag: int
    silent_ms: int
    site: str = ""
    feed: str = ""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What one node says of itself; fields as in proto/control.proto."""

    node: str
    disk_id: str = ""
    site: str = ""
    role: str = "unconfigured"
    epoch: int = 0
    leader: str = ""
    leader_endpoint: str = ""
    commit_index: int = 0
    applied_index: int = 0
    last_index: int = 0
    last_hash: bytes = b""
    cluster_id: str = ""
    active_site: str = ""
    copies_min: int = 0
    configuration_revision: int = 0
    in_sync: tuple[str, ...] = ()
    standby_in_sync: tuple[str, ...] = ()
    serving: bool = False
    reason: str = ""
    peers: tuple[PeerStatus, ...] = ()
    settled: int = 0
    fsyncs: int = 0
    cpu_seconds: float = 0.0
    mode: str = ""
    manoeuvre: str = ""
    last_set_change: str = ""
    prune_index: int = 0
    snapshot: str = ""
    given_up: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandoverAnswer:
    """Was a planned change of leader begun, to whom, or why not."""

    started: bool
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class SwitchAnswer:
    """Was a planned switch of site begun, with whom to lead there, or why not (H2)."""

    started: bool
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class FenceAnswer:
    """A durable vow at the epoch asked for, or (`promised` False) what is promised here (X4).

    The rest is the end of this replica's log.
    """

    promised: bool
    promised_epoch: int
    disk_id: str
    last_epoch: int
    last_index: int
    last_hash: bytes
    commit_index: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Digests of log and ledger at exactly one applied index; fields as in proto/control.proto."""

    node: str
    index: int
    chain_hash: bytes
    ledger_digest: bytes
    totals_json: str
    records: int
    rederived: bool
    problem: str
    prune_index: int


class Engine(Protocol):
    """What the front asks of the thing that settles. All of it is called on the event loop."""

    def submit(self, command: Command) -> asyncio.Future[Receipt | Refusal]:
        """Ask for one settlement; never blocks.

        The future holds a `Receipt` (approved, declined, replayed), a `Refusal` (nothing went into
        the log), or one of the `EngineError`s above. `NotLeader`, `NoQuorum`, `Overloaded` and
        `StorageDown` may also be raised at once, which costs less than a future. Cancelling the
        future says that nobody waits any more (the caller's deadline has passed, or its connection
        is gone): the engine drops such a command unless it is already proposed, and must expect to
        find the future cancelled when it has the answer.
        """
        ...

    async def inquire(self, key: str) -> Current:
        """What became of `key`, never older than any answer already given (R1).

        Raises `NotLeader`, `NoQuorum`, `OutcomeUnknown` (the lead was lost while reading),
        `Overloaded`, `StorageDown`.
        """
        ...

    async def interim(self, terminal: str, service: int) -> Interim:
        """Totals of a terminal, `service` 0 for all; may be read on any replica (R2).

        Raises `StorageDown`.
        """
        ...

    def status(self) -> NodeStatus:
        """An immutable picture of this node now."""
        ...

    async def handover(self, target: str) -> HandoverAnswer:
        """Begin a planned change of leader; an empty target lets the leader choose (H1)."""
        ...

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """Digests at exactly `at_index` (0: what is applied now).

        Raises `AuditUnavailable`, `StorageDown`.
        """
        ...

    def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """The ledger at `at_index` (0: now) as JSON lines, some at a time.

        Raises `AuditUnavailable`, `StorageDown`, at the first step.
        """
        ...

    async def switch_site(self, site: str) -> SwitchAnswer:
        """Begin a planned switch of the active site (H2)."""
        ...

    async def fence(self, epoch: int) -> FenceAnswer:
        """Vow, durably, to obey nobody below `epoch` (X4). Raises `StorageDown`."""
        ...

    def since(self, after_index: int) -> AsyncIterator[list[str]]:
        """What was settled above `after_index`: records as `export` has them, some at a time.

        Then, of kind "possible", the commands that are in the log here and not in the ledger: this
        replica cannot know whether they were settled. Raises `StorageDown`, at the first step.
        """
        ...
