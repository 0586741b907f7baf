"""A node's terminal-facing front on the simulated wires: the real service, with gRPC left out.

What gRPC does for the service is done here: a call arrives as bytes with its method's path, is
cancelled when its caller's time is over, and ends with bytes or a status. Reading, checking,
refusing and writing are the service's own (node/rpc/settlement).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, Protocol, cast

import grpc

from loadtest.sim.loop import Defect, VirtualLoop
from loadtest.sim.network import Network
from loadtest.wire import DETAILS_KEY, METHODS
from node.engine import Engine
from node.rpc.errors import unforeseen
from node.rpc.settlement import SettlementService


class Running(Protocol):
    """A process that has come so far that it can be asked."""

    @property
    def engine(self) -> Engine:
        """What settles."""
        ...


class Server(Protocol):
    """The node behind the front. `running` and `loop` are those of its present process, if any."""

    @property
    def name(self) -> str:
        """Its address."""
        ...

    @property
    def loop(self) -> VirtualLoop | None:
        """None while it does not run."""
        ...

    @property
    def running(self) -> Running | None:
        """None also while it starts."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended that got no reply. `details`: a google.rpc.Status, if somebody spoke."""

    code: grpc.StatusCode
    message: str
    details: bytes = b""


NO_LISTENER: Final = Status(grpc.StatusCode.UNAVAILABLE, "connection refused")
RESET: Final = Status(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")

Answer = bytes | Status


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call on its way. `timeout_ms`: how long `caller` waits; `hear` takes the answer, as the
    caller's process."""

    caller: str
    path: str
    data: bytes
    timeout_ms: float
    hear: Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class _Method:
    """What the service does with one kind of call, from bytes to bytes."""

    read: Callable[[bytes], object]
    serve: Callable[[object, _Context], Awaitable[object]]
    write: Callable[[object], bytes]


class Front:
    """One node's front; it outlives the node's processes as an address does."""

    def __init__(self, node: Server, network: Network) -> None:
        self._node = node
        self._network = network
        self._served: Engine | None = None
        self._methods: Mapping[str, _Method] = {}
        self._open: dict[int, Attempt] = {}
        self._calls = 0

    def take(self, attempt: Attempt) -> None:
        """A call has arrived. To be called as the node's process."""
        running, loop = self._node.running, self._node.loop
        if running is None or loop is None:
            self._answer(attempt, NO_LISTENER)
            return
        if running.engine is not self._served:
            self._served, self._methods = running.engine, _methods(running.engine)
        self._calls += 1
        self._open[self._calls] = attempt
        task = loop.create_task(self._serve(loop, self._methods[attempt.path], attempt))
        task.add_done_callback(partial(self._over, self._calls))

    def reset(self) -> None:
        """The process is gone: the connections of everybody who waits for an answer break."""
        waiting, self._open = self._open, {}
        for attempt in waiting.values():
            self._answer(attempt, RESET)

    async def _serve(self, loop: VirtualLoop, method: _Method, attempt: Attempt) -> None:
        context = _Context(loop, loop.time() + attempt.timeout_ms / 1000)
        try:
            # As grpc.aio does: when the time is over the handler is cancelled, and nobody listens.
            async with asyncio.timeout_at(context.deadline_s):
                reply = await method.serve(method.read(attempt.data), context)
        except _Aborted as aborted:
            self._answer(attempt, aborted.status)
        except TimeoutError:
            return
        else:
            self._answer(attempt, method.write(reply))

    def _over(self, number: int, task: asyncio.Task[None]) -> None:
        self._open.pop(number, None)
        task.result()  # what nobody foresaw is a defect, and the loop is told of it

    def _answer(self, attempt: Attempt, answer: Answer) -> None:
        self._network.send(
            self._node.name,
            attempt.caller,
            lambda: attempt.hear(answer),
            "answer" if isinstance(answer, bytes) else answer.code.name,
            stream=True,
        )


def _methods(engine: Engine) -> Mapping[str, _Method]:
    """The service's methods by path, found as a server finds them."""
    service = SettlementService(engine, _Observer()).handler()
    found: dict[str, _Method] = {}
    for path in (method.path for method in METHODS.values()):
        handler = cast("Any", service.service(_Called(path)))
        found[path] = _Method(
            handler.request_deserializer, handler.unary_unary, handler.response_serializer
        )
    return found


class _Called(grpc.HandlerCallDetails):
    """What a server knows of a call before it reads it."""

    def __init__(self, path: str) -> None:
        self.method = path
        self.invocation_metadata = ()


class _Aborted(Exception):
    """The service has refused the call."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


class _Context:
    """Stands in for gRPC's context of one call, as far as the service uses it."""

    def __init__(self, loop: VirtualLoop, deadline_s: float) -> None:
        self._loop = loop
        self.deadline_s = deadline_s

    def time_remaining(self) -> float:
        """Seconds until the caller's time is over."""
        return self.deadline_s - self._loop.time()

    async def abort(
        self, code: grpc.StatusCode, message: str, trailing: tuple[tuple[str, bytes], ...]
    ) -> NoReturn:
        """End the call with a status."""
        raise _Aborted(Status(code, message, dict(trailing).get(DETAILS_KEY, b"")))


class _Observer:
    """Counts nothing, and tells of what the service could not explain."""

    def settled(self, service: int, outcome: int, seconds: float) -> None:
        """See `node.rpc.observer.Observer`."""

    def refused(self, reason: str) -> None:
        """See `node.rpc.observer.Observer`. Raises `Defect`."""
        if reason == unforeseen().reason:
            raise Defect("the front was given an error that it has no name for")
