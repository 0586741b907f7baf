"""What operators ask of one node, over control.proto: status, moves, fence, audit, export.

The audit of a whole cluster, which asks all replicas for the same index, is in deploy/audit.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import grpc

from deploy.answers import Begun as Begun
from deploy.answers import Fenced as Fenced
from deploy.answers import NodeAudit as NodeAudit
from deploy.answers import NodeStatus as NodeStatus
from deploy.answers import PeerStatus as PeerStatus
from deploy.answers import fenced, node_audit, node_status
from proto import control_pb2, control_pb2_grpc

# A proxy named in the environment is for the outside world, never for our own nodes.
OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


class ControlError(RuntimeError):
    """A node that did not answer or refused; names the endpoint, and `code` is gRPC's."""

    def __init__(self, endpoint: str, code: grpc.StatusCode, words: str) -> None:
        super().__init__(f"{endpoint}: {code.name.lower().replace('_', ' ')}: {words}")
        self.code = code


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
        with _told(self._endpoint):
            return node_audit(self._call.result())


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
        with _told(self.endpoint):
            said = self._stub.Status(control_pb2.StatusRequest(), timeout=timeout_s)
        return node_status(said)

    def handover(self, target: str = "", timeout_s: float = 5.0) -> Begun:
        """Ask this node, the leader, to hand over to `target` (empty: it chooses).

        Raises `ControlError`.
        """
        request = control_pb2.HandoverRequest(target=target)
        with _told(self.endpoint):
            said = self._stub.Handover(request, timeout=timeout_s)
        return Begun(said.started, said.target, said.reason)

    def switch_site(self, site: str, timeout_s: float = 5.0) -> Begun:
        """Ask this node, the leader, to drain and to switch the active site to `site` (H2).

        Raises `ControlError`.
        """
        request = control_pb2.SwitchSiteRequest(site=site)
        with _told(self.endpoint):
            said = self._stub.SwitchSite(request, timeout=timeout_s)
        return Begun(said.started, said.target, said.reason)

    def fence(self, epoch: int, timeout_s: float = 5.0) -> Fenced:
        """Ask this replica to vow, durably, to obey nobody below `epoch` (X4).

        Raises `ControlError`.
        """
        with _told(self.endpoint):
            said = self._stub.Fence(control_pb2.FenceRequest(epoch=epoch), timeout=timeout_s)
        return fenced(said)

    def begin_audit(self, at_index: int, *, rederive: bool, timeout_s: float) -> AuditCall:
        """Ask for digests at exactly `at_index` (0: the one now applied) without waiting.

        An index still to come is waited for by the node; one that has passed is refused.
        """
        request = control_pb2.AuditRequest(at_index=at_index, rederive=rederive)
        return AuditCall(self.endpoint, self._stub.Audit.future(request, timeout=timeout_s))

    def export(self, at_index: int = 0, timeout_s: float = 60.0) -> Iterator[str]:
        """The ledger as lines of JSON, at `at_index` (0: now). Raises `ControlError`."""
        request = control_pb2.ExportRequest(at_index=at_index)
        with _told(self.endpoint):
            for chunk in self._stub.Export(request, timeout=timeout_s):
                yield from chunk.lines

    def since(self, after_index: int, timeout_s: float = 60.0) -> Iterator[str]:
        """What was settled above `after_index`, as lines of JSON. Raises `ControlError`."""
        request = control_pb2.SinceRequest(after_index=after_index)
        with _told(self.endpoint):
            for chunk in self._stub.Since(request, timeout=timeout_s):
                yield from chunk.lines


def leader_of(statuses: Mapping[str, NodeStatus | None]) -> NodeStatus | None:
    """The node that says that it leads and serves; of several, the one of the highest epoch."""
    found = [each for each in statuses.values() if each and each.role == "leader" and each.serving]
    return max(found, key=lambda status: status.epoch, default=None)


@contextmanager
def _told(endpoint: str) -> Iterator[None]:
    """What a call to `endpoint` fails with becomes a `ControlError`."""
    try:
        yield
    except grpc.RpcError as problem:
        if isinstance(problem, grpc.Call):
            raise ControlError(endpoint, problem.code(), problem.details() or "") from problem
        raise ControlError(endpoint, grpc.StatusCode.UNKNOWN, str(problem)) from problem
