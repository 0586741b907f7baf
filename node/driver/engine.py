"""The quorum log as an engine: what the gRPC front sees of driver, intake and store.

Refusals that need no log (not the leader, no write quorum, queue full, disk lost) are raised at
once; everything else is a future that the intake answers.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor

from node.core import Replica
from node.core.follower import Follower
from node.core.inputs import HandoverAsked, Inquired
from node.core.leader import Leader
from node.core.outputs import NotProposed, Placed, ReadReady, ReadRefused
from node.core.silent import Silent
from node.driver.driver import Driver
from node.driver.intake import Answer, Intake
from node.engine import (
    AuditReport,
    AuditUnavailable,
    Current,
    HandoverAnswer,
    Interim,
    NodeStatus,
    NoQuorum,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PeerStatus,
    StorageDown,
)
from node.ledger.commands import Command, Receipt
from node.store import IndexPassed, Store, StoreClosed, StoreFailed

QUORUM_CHECK_MS = 50
READS_BOUND = 4096
EXPORT_LINES = 500


class QuorumLog:
    """Implements `node.engine.Engine` over one replica. Everything is called on the event loop."""

    def __init__(
        self,
        driver: Driver,
        intake: Intake,
        store: Store,
        readers: Executor,
        *,
        terminals: Mapping[str, str],
        connected: Callable[[], Mapping[str, bool]],
        cluster_id: str,
    ) -> None:
        """`terminals` maps every node's name to its terminal-facing endpoint; `connected` says
        to which peers a stream stands now.
        """
        self._driver = driver
        self._intake = intake
        self._store = store
        self._readers = readers
        self._terminals = terminals
        self._connected = connected
        self.cluster_id = cluster_id
        self._reads: dict[int, asyncio.Future[None]] = {}
        self._read_number = 0
        self._serving = False
        self._accepting = False
        self._no_quorum = ""
        self._quorum_checked_at = 0.0
        self._settled = 0
        self.on_serving: Callable[[], None] = lambda: None

    @property
    def _replica(self) -> Replica:
        return self._driver.replica

    def leader_endpoint(self) -> str:
        """Where terminals should go, "" when not known (or when it is known not to be here)."""
        leader = self._replica.leader
        return self._terminals.get(leader, "")

    # -- what the front asks --------------------------------------------------------------------

    def submit(self, command: Command) -> asyncio.Future[Answer]:
        """See `node.engine.Engine.submit`."""
        self._must_serve()
        return self._intake.submit(command)

    def _must_serve(self) -> None:
        """Raise why nothing can be settled or read as current here just now, if so."""
        if self._serving:
            if self._no_quorum:
                raise NoQuorum(self._no_quorum)
            return
        role = self._replica.role
        if isinstance(role, Silent):
            raise StorageDown(role.reason, "")
        endpoint = "" if isinstance(role, Leader) else self.leader_endpoint()
        raise NotLeader(endpoint)

    async def inquire(self, key: str) -> Current:
        """See `node.engine.Engine.inquire`."""
        self._must_serve()
        if len(self._reads) >= READS_BOUND:
            raise Overloaded()
        await self.prove()
        loop = asyncio.get_running_loop()
        commit_index = self._replica.state.applied
        inquiry = await loop.run_in_executor(self._readers, self._store.inquire, key)
        return Current(inquiry, commit_index)

    def prove(self) -> asyncio.Future[None]:
        """Done once what the ledger says is known to be current as of now (R1).

        It holds `OutcomeUnknown` if the leadership ends before that.
        """
        self._read_number += 1
        number = self._read_number
        proof: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reads[number] = proof
        proof.add_done_callback(lambda _: self._reads.pop(number, None))
        self._driver.feed(Inquired(number))
        return proof

    async def interim(self, terminal: str, service: int) -> Interim:
        """See `node.engine.Engine.interim`."""
        loop = asyncio.get_running_loop()
        index, as_of_ms = self._replica.state.applied, self._intake.last_stamp_ms
        totals = await loop.run_in_executor(self._readers, self._store.interim, terminal, service)
        return Interim(totals, index, as_of_ms)

    async def handover(self, target: str) -> HandoverAnswer:
        """See `node.engine.Engine.handover`."""
        if not isinstance(self._replica.role, Leader):
            leader = self._replica.leader or "nobody known"
            return HandoverAnswer(False, "", f"this node does not lead; {leader} does")
        self._driver.feed(HandoverAsked(target))
        role = self._replica.role
        if isinstance(role, Leader) and role.handing_over is not None:
            return HandoverAnswer(True, role.handing_over.target.node, "")
        return HandoverAnswer(False, "", self._replica.state.last_change)

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """See `node.engine.Engine.audit`."""
        try:
            report = await asyncio.wrap_future(self._store.audit(at_index, rederive))
        except IndexPassed as problem:
            raise AuditUnavailable(str(problem)) from problem
        except (StoreFailed, StoreClosed) as problem:
            raise StorageDown(str(problem)) from problem
        return AuditReport(
            node=self._replica.state.me.node,
            index=report.index,
            chain_hash=report.chain_hash,
            ledger_digest=report.ledger_digest,
            totals_json=report.totals_json,
            records=report.records,
            rederived=report.rederived,
            problem=report.problem,
            prune_index=report.prune_index,
        )

    async def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine.export`."""
        loop = asyncio.get_running_loop()
        lines = iter(self._store.export(at_index))

        def take() -> list[str]:
            taken: list[str] = []
            for line in lines:
                taken.append(line)
                if len(taken) >= EXPORT_LINES:
                    break
            return taken

        while True:
            try:
                chunk = await loop.run_in_executor(None, take)
            except IndexPassed as problem:
                raise AuditUnavailable(str(problem)) from problem
            except (StoreFailed, StoreClosed) as problem:
                raise StorageDown(str(problem)) from problem
            if not chunk:
                return
            yield chunk

    def status(self) -> NodeStatus:
        """See `node.engine.Engine.status`."""
        replica, state = self._replica, self._replica.state
        configuration = state.configuration
        role = replica.role
        name = role.role
        if configuration is None and not isinstance(role, Silent):
            name = "unconfigured"
        elif isinstance(role, Follower) and role.campaigning:
            name = "campaigning"
        usage = resource.getrusage(resource.RUSAGE_SELF)
        site = state.identity.site
        active = configuration.active_site if configuration else ""
        sets = configuration.in_sync if configuration else {}
        return NodeStatus(
            node=state.me.node,
            disk_id=state.me.disk,
            site=site,
            role=name,
            epoch=state.promised,
            leader=replica.leader,
            leader_endpoint=self.leader_endpoint(),
            commit_index=state.commit,
            applied_index=state.applied,
            last_index=state.log.last_index,
            last_hash=state.log.last_hash,
            cluster_id=self.cluster_id,
            active_site=active,
            copies_min=configuration.copies_min if configuration else 0,
            configuration_revision=state.revision,
            in_sync=tuple(sorted(str(member) for member in sets.get(active, ()))),
            standby_in_sync=tuple(
                sorted(str(m) for s, members in sets.items() if s != active for m in members)
            ),
            serving=self._serving and not self._no_quorum,
            reason=self._no_quorum or state.last_change,
            peers=self._peers(role) if isinstance(role, Leader) else (),
            settled=self._settled,
            fsyncs=self._store.fsyncs,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
        )

    def _peers(self, leader: Leader) -> tuple[PeerStatus, ...]:
        now = self._driver.now_ms()
        connected = self._connected()
        last = self._replica.state.log.last_index
        return tuple(
            PeerStatus(
                node=peer.node,
                disk_id=peer.replica.disk if peer.replica is not None else "",
                connected=connected.get(peer.node, False),
                acked_index=peer.match,
                lag=last - peer.match,
                silent_ms=int(now - peer.heard_at) if peer.replica is not None else -1,
            )
            for peer in leader.peers.values()
        )

    # -- what the driver tells ------------------------------------------------------------------

    def on_placed(self, placed: Placed) -> None:
        """See `node.driver.driver.Waiters`."""
        self._intake.on_placed(placed)

    def on_not_proposed(self, refused: NotProposed) -> None:
        """See `node.driver.driver.Waiters`."""
        self._intake.on_not_proposed(refused)

    def on_read(self, answer: ReadReady | ReadRefused) -> None:
        """See `node.driver.driver.Waiters`."""
        waiting = self._reads.get(answer.read)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, ReadReady):
            waiting.set_result(None)
        else:
            waiting.set_exception(OutcomeUnknown(self.leader_endpoint()))

    def on_receipts(self, receipts: Sequence[tuple[int, tuple[Receipt, ...]]]) -> None:
        """See `node.driver.driver.Waiters`."""
        self._settled += sum(len(answers) for _, answers in receipts)
        self._intake.on_receipts(receipts)

    def on_abandon(self) -> None:
        """See `node.driver.driver.Waiters`."""
        self._serving = False
        self._intake.on_abandon()

    def on_step(self) -> None:
        """See `node.driver.driver.Waiters`."""
        replica = self._replica
        was_serving, self._serving = self._serving, replica.serving
        if self._serving and not was_serving:
            self.on_serving()
        if not self._serving:
            self._no_quorum = ""
            self._accepting = False
            return
        now = self._driver.now_ms()
        role = replica.role
        if isinstance(role, Leader) and now - self._quorum_checked_at >= QUORUM_CHECK_MS:
            self._quorum_checked_at = now
            self._no_quorum = role.missing_quorum(now)
        was_accepting, self._accepting = self._accepting, replica.accepting
        if self._accepting and not was_accepting:
            self._intake.propose_admitted()  # a handover was given up: what it held back goes on
