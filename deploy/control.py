"""What operators ask of one node: status, handover, audit, export; typed, over control.proto.

The audit of a whole cluster, which asks all replicas for the same index, is in deploy/audit.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import grpc

from proto import control_pb2, control_pb2_grpc

# A proxy named in the environment is for the outside world, never for our own nodes.
OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


class ControlError(RuntimeError):
    """A node that did not answer or refused; names the endpoint, and `code` is gRPC's."""

    def __init__(self, endpoint: str, code: grpc.StatusCode, words: str) -> None:
        super().__init__(f"{endpoint}: {code.name.lower().replace('_', ' ')}: {words}")
        self.code = code


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What a leader knows of one other replica; `lag` is in entries."""

    node: str
    disk_id: str
    connected: bool
    acked_index: int
    lag: int
    silent_ms: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node's view of itself and the cluster; the fields of control.proto's NodeStatus."""

    node: str
    disk_id: str
    site: str
    role: str
    epoch: int
    leader: str
    leader_endpoint: str
    commit_index: int
    applied_index: int
    last_index: int
    last_hash: str
    cluster_id: str
    active_site: str
    copies_min: int
    configuration_revision: int
    in_sync: tuple[str, ...]
    standby_in_sync: tuple[str, ...]
    serving: bool
    reason: str
    peers: tuple[PeerStatus, ...]
    settled: int
    fsyncs: int
    cpu_seconds: float

    @property
    def replica(self) -> str:
        """`node/disk`, as the in-sync set names it."""
        return f"{self.node}/{self.disk_id}"


@dataclass(frozen=True, slots=True)
class Handover:
    """Whether a planned change of leader has begun, to whom, and why not."""

    started: bool
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeAudit:
    """One replica's digest of its log and ledger at exactly `index`; hashes in hexadecimal."""

    node: str
    index: int
    chain_hash: str
    ledger_digest: str
    totals_json: str
    records: int
    rederived: bool
    problem: str
    prune_index: int


class AuditCall:
    """An audit under way on one node."""

    def __init__(self, endpoint: str, call: Any) -> None:
        self._endpoint = endpoint
        self._call = call

    def done(self) -> bool:
        """Has the node answered, or refused?"""
        return bool(self._call.done())

    def cancel(self) -> None:
        """No longer wanted."""
        self._call.cancel()

    def result(self) -> NodeAudit:
        """The answer; waits for it. Raises `ControlError`."""
        try:
            said = self._call.result()
        except grpc.RpcError as problem:
            raise _error(self._endpoint, problem) from problem
        return NodeAudit(
            node=said.node,
            index=said.index,
            chain_hash=said.chain_hash.hex(),
            ledger_digest=said.ledger_digest.hex(),
            totals_json=said.totals_json,
            records=said.records,
            rederived=said.rederived,
            problem=said.problem,
            prune_index=said.prune_index,
        )


class Control:
    """A connection to one node's control service. Close it, or use it in a `with`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._channel = grpc.insecure_channel(endpoint, options=OPTIONS)
        self._stub = control_pb2_grpc.ControlStub(self._channel)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def status(self, timeout_s: float = 1.0) -> NodeStatus:
        """The node's status. Raises `ControlError`."""
        try:
            said = self._stub.Status(control_pb2.StatusRequest(), timeout=timeout_s)
        except grpc.RpcError as problem:
            raise _error(self.endpoint, problem) from problem
        return NodeStatus(
            node=said.node,
            disk_id=said.disk_id,
            site=said.site,
            role=said.role,
            epoch=said.epoch,
            leader=said.leader,
            leader_endpoint=said.leader_endpoint,
            commit_index=said.commit_index,
            applied_index=said.applied_index,
            last_index=said.last_index,
            last_hash=said.last_hash.hex(),
            cluster_id=said.cluster_id,
            active_site=said.active_site,
            copies_min=said.copies_min,
            configuration_revision=said.configuration_revision,
            in_sync=tuple(said.in_sync),
            standby_in_sync=tuple(said.standby_in_sync),
            serving=said.serving,
            reason=said.reason,
            peers=tuple(
                PeerStatus(
                    peer.node,
                    peer.disk_id,
                    peer.connected,
                    peer.acked_index,
                    peer.lag,
                    peer.silent_ms,
                )
                for peer in said.peers
            ),
            settled=said.settled,
            fsyncs=said.fsyncs,
            cpu_seconds=said.cpu_seconds,
        )

    def handover(self, target: str = "", timeout_s: float = 5.0) -> Handover:
        """Ask this node, the leader, to hand over to `target` (empty: it chooses).

        Raises `ControlError`.
        """
        try:
            said = self._stub.Handover(
                control_pb2.HandoverRequest(target=target), timeout=timeout_s
            )
        except grpc.RpcError as problem:
            raise _error(self.endpoint, problem) from problem
        return Handover(said.started, said.target, said.reason)

    def begin_audit(self, at_index: int, *, rederive: bool, timeout_s: float) -> AuditCall:
        """Ask for digests at exactly `at_index` (0: the one now applied) without waiting.

        An index still to come is waited for by the node; one that has passed is refused.
        """
        request = control_pb2.AuditRequest(at_index=at_index, rederive=rederive)
        return AuditCall(self.endpoint, self._stub.Audit.future(request, timeout=timeout_s))

    def export(self, at_index: int = 0, timeout_s: float = 60.0) -> Iterator[str]:
        """The ledger as lines of JSON, at `at_index` (0: now). Raises `ControlError`."""
        request = control_pb2.ExportRequest(at_index=at_index)
        try:
            for chunk in self._stub.Export(request, timeout=timeout_s):
                yield from chunk.lines
        except grpc.RpcError as problem:
            raise _error(self.endpoint, problem) from problem


def leader_of(statuses: Mapping[str, NodeStatus | None]) -> NodeStatus | None:
    """The node that says that it leads and serves; of several, the one of the highest epoch."""
    found = [each for each in statuses.values() if each and each.role == "leader" and each.serving]
    return max(found, key=lambda status: status.epoch, default=None)


def _error(endpoint: str, problem: grpc.RpcError) -> ControlError:
    if isinstance(problem, grpc.Call):
        return ControlError(endpoint, problem.code(), problem.details() or "")
    return ControlError(endpoint, grpc.StatusCode.UNKNOWN, str(problem))
