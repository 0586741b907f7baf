"""The no-op that everything is compared with: a node's front without check, engine or ledger.

`python -m loadtest.bench.echo HOST:PORT` answers every Settle with one prepared reply, on the same
server, with the same messages, read and written in full. It prints its port once it listens.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import grpc
import grpc.aio

from node.rpc.server import build_server, listen
from proto import settlement_pb2 as pb

MESSAGE_BYTES: Final = 65536

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Settlement"].full_name

REPLY: Final = pb.SettleReply(
    idempotency_key="BENCH-000.20261123.000001.0200",
    outcome=pb.OUTCOME_APPROVED,
    response_code="00",
    rrn="632700000001",
    approval_code="A1B2C3",
    state=pb.TRANSACTION_STATE_CAPTURED,
    settled_at_ms=1_795_400_000_000,
    index=123_456,
)
"""As long as a settlement's own reply."""

Context = grpc.aio.ServicerContext[Any, Any]


async def settle(request: pb.SettleRequest, context: Context) -> pb.SettleReply:
    """Answers at once."""
    return REPLY


async def settle_stream(requests: object, context: Context) -> None:
    """Answers every request of the stream at once, in order."""
    while (message := await context.read()) is not grpc.aio.EOF:
        await context.write(pb.SettleStreamReply(request_id=message.request_id, reply=REPLY))


def handler() -> grpc.GenericRpcHandler:
    """Settle and SettleStream under the settlement service's own name."""
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Settle": grpc.unary_unary_rpc_method_handler(
                settle, pb.SettleRequest.FromString, pb.SettleReply.SerializeToString
            ),
            "SettleStream": grpc.stream_stream_rpc_method_handler(
                settle_stream,
                pb.SettleStreamRequest.FromString,
                pb.SettleStreamReply.SerializeToString,
            ),
        },
    )


async def serve(handlers: grpc.GenericRpcHandler, address: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = build_server(
        (handlers,), services=(SERVICE,), health=None, message_bytes=MESSAGE_BYTES
    )
    port = listen(server, address)
    await server.start()
    print(port, flush=True)
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await stop.wait()
    await server.stop(0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` on uvloop where it is installed, on asyncio's own loop elsewhere."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, or None for asyncio's own. The node chooses in the same way."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    run(lambda: serve(handler(), sys.argv[1]))
