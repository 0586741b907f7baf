"""Control services that say and do what a test wants: moving replicas, and sites to switch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from proto import control_pb2, control_pb2_grpc


class FakeReplica(control_pb2_grpc.ControlServicer):
    """`rate` is in entries a second; `stop_at` is where it stands still for good.

    `fork_at`: from this index on its log is another one. `problem` is what its own audit finds.
    """

    def __init__(
        self,
        name: str,
        *,
        applied: int = 40,
        rate: float = 0.0,
        stop_at: int = 1 << 60,
        fork_at: int = 1 << 60,
        problem: str = "",
    ) -> None:
        self.name = name
        self._from, self._since = applied, time.monotonic()
        self._rate, self._stop_at = rate, stop_at
        self._fork_at, self._problem = fork_at, problem

    @property
    def applied(self) -> int:
        """Where it is now."""
        return min(self._stop_at, self._from + int((time.monotonic() - self._since) * self._rate))

    def Status(
        self, request: control_pb2.StatusRequest, context: grpc.ServicerContext
    ) -> control_pb2.NodeStatus:
        """Only what an audit asks for."""
        return control_pb2.NodeStatus(node=self.name, applied_index=self.applied)

    def Audit(
        self, request: control_pb2.AuditRequest, context: grpc.ServicerContext
    ) -> control_pb2.AuditReply:
        """A later index is waited for, a passed one refused."""
        while self.applied < request.at_index:
            if not context.is_active():
                context.abort(grpc.StatusCode.CANCELLED, "no longer wanted")
            time.sleep(0.001)
        # A real replica stops at every index; this one is seen only now and then.
        if self._rate == 0 and self.applied > request.at_index:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "that index has passed")
        history = "other" if request.at_index >= self._fork_at else "same"
        return control_pb2.AuditReply(
            node=self.name,
            index=request.at_index,
            chain_hash=f"{history} log at {request.at_index}".encode(),
            ledger_digest=f"{history} ledger at {request.at_index}".encode(),
            totals_json="{}",
            records=request.at_index,
            rederived=request.rederive,
            problem=self._problem,
        )


class FakeNode(control_pb2_grpc.ControlServicer):
    """A node of two sites. `says` is its status; what it is asked is kept in `asked`.

    `fenced` is its answer to a fence (None: it does not answer), `holds` its records as lines;
    `on_switch` may change what nodes say, and answers; `on_fence` is told the number of each fence.
    """

    def __init__(
        self,
        says: control_pb2.NodeStatus,
        *,
        fenced: control_pb2.FenceReply | None = None,
        holds: tuple[str, ...] = (),
        on_switch: Callable[[str], control_pb2.SwitchSiteReply] | None = None,
    ) -> None:
        self.name = says.node
        self.says = says
        self.asked: list[object] = []
        self.fenced = fenced
        self.holds = holds
        self._on_switch = on_switch
        self.on_fence: Callable[[int], None] = lambda count: None

    def Status(
        self, request: control_pb2.StatusRequest, context: grpc.ServicerContext
    ) -> control_pb2.NodeStatus:
        """As it is set now."""
        return self.says

    def SwitchSite(
        self, request: control_pb2.SwitchSiteRequest, context: grpc.ServicerContext
    ) -> control_pb2.SwitchSiteReply:
        """Whatever `on_switch` makes of it."""
        self.asked.append(request.site)
        if self._on_switch is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        assert self._on_switch is not None
        return self._on_switch(request.site)

    def Fence(
        self, request: control_pb2.FenceRequest, context: grpc.ServicerContext
    ) -> control_pb2.FenceReply:
        """The vow."""
        self.asked.append(request.epoch)
        if self.fenced is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        assert self.fenced is not None
        self.on_fence(len(self.asked))
        return self.fenced

    def Since(
        self, request: control_pb2.SinceRequest, context: grpc.ServicerContext
    ) -> Iterator[control_pb2.ExportChunk]:
        """The records above the index."""
        above = [line for line in self.holds if json.loads(line)["index"] > request.after_index]
        yield control_pb2.ExportChunk(lines=above)


@contextmanager
def serving(*replicas: FakeReplica | FakeNode) -> Iterator[dict[str, str]]:
    """Serve them; gives name to endpoint."""
    servers, endpoints = [], {}
    for replica in replicas:
        server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        control_pb2_grpc.add_ControlServicer_to_server(replica, server)
        endpoints[replica.name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        servers.append(server)
    try:
        yield endpoints
    finally:
        for server in servers:
            server.stop(0).wait()
