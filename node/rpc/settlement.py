"""The settlement service: from a request to an engine and back, checking everything on the way.

A request that is refused here has touched nothing. The unary path is the hottest in the cluster
and runs on the leader's one Python thread: decode, check, submit, wait for the burst, reply.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from time import perf_counter
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from node.engine import Engine, EngineError, NotLeader, OutcomeUnknown
from node.ledger.commands import Command, Receipt
from node.rpc import relay, wire
from node.rpc.errors import (
    Rejection,
    expired,
    of_engine,
    of_fields,
    of_refusal,
    unforeseen,
    unreadable,
)
from node.rpc.observer import Observer
from node.rpc.refuse import refuse
from node.rpc.relay import NotPassedOn, Relay, Unanswered
from node.rpc.stream import Conversation

_log = logging.getLogger(__name__)

T = TypeVar("T")
Reply = TypeVar("Reply")

Context = grpc.aio.ServicerContext[Any, Any]


class SettlementService:
    """Settle, SettleStream, Inquire, Close, Interim over one engine.

    `stream_requests` bounds how many requests of one stream are under way: beyond it the stream
    is not read, and HTTP/2 flow control holds the sender. `relay` passes on what only the leader
    can answer, where the caller wishes it; without one, callers are told who the leader is.
    """

    def __init__(
        self,
        engine: Engine,
        observer: Observer,
        *,
        relay: Relay | None = None,
        stream_requests: int = 1024,
    ) -> None:
        self._engine = engine
        self._submit = engine.submit
        self._observer = observer
        self._relay = relay
        self._stream_requests = stream_requests

    async def settle(
        self, request: wire.SettleRequest | None, context: Context
    ) -> wire.SettleReply:
        """One settlement."""
        started = perf_counter()
        if request is None:
            await self._refuse(context, unreadable())
        command = wire.settle_command(request)
        if not isinstance(command, Command):
            await self._refuse(context, of_fields(command))
        try:
            receipt = await self._receipt(command, context)
        except NotLeader as error:
            return await self._elsewhere(error, relay.SETTLE, request, context)
        self._observer.settled(command.service, receipt.outcome, perf_counter() - started)
        return wire.settle_reply(receipt)

    async def settle_stream(self, requests: object, context: Context) -> None:
        """Many settlements on one stream; see `node.rpc.stream`."""
        await Conversation(self._engine, self._observer, context, self._stream_requests).run()

    async def close(self, request: wire.CloseRequest | None, context: Context) -> wire.CloseReply:
        """Daily close: a command like any other, with totals in its receipt."""
        started = perf_counter()
        if request is None:
            await self._refuse(context, unreadable())
        command = wire.close_command(request)
        if not isinstance(command, Command):
            await self._refuse(context, of_fields(command))
        try:
            receipt = await self._receipt(command, context)
        except NotLeader as error:
            return await self._elsewhere(error, relay.CLOSE, request, context)
        self._observer.settled(command.service, receipt.outcome, perf_counter() - started)
        return wire.close_reply(receipt)

    async def inquire(
        self, request: wire.InquireRequest | None, context: Context
    ) -> wire.InquireReply:
        """What became of a key; current (R1)."""
        if request is None:
            await self._refuse(context, unreadable())
        problems = wire.inquire_problems(request)
        if problems:
            await self._refuse(context, of_fields(problems))
        reading = self._engine.inquire(request.idempotency_key)
        try:
            return wire.inquire_reply(await self._read(reading, context))
        except NotLeader as error:
            return await self._elsewhere(error, relay.INQUIRE, request, context)

    async def interim(
        self, request: wire.InterimRequest | None, context: Context
    ) -> wire.InterimReply:
        """Totals since the last close, from this replica (R2)."""
        if request is None:
            await self._refuse(context, unreadable())
        problems = wire.interim_problems(request)
        if problems:
            await self._refuse(context, of_fields(problems))
        reading = self._engine.interim(request.terminal_id, request.service)
        try:
            return wire.interim_reply(await self._read(reading, context))
        except NotLeader as error:
            return await self._elsewhere(error, relay.INTERIM, request, context)

    async def _receipt(self, command: Command, context: Context) -> Receipt:
        # grpc.aio cancels this coroutine when the deadline passes or the caller goes away, and so
        # the future: the engine then drops the command unless it is already proposed. What is
        # known to be too late already is not even submitted.
        remaining = context.time_remaining()
        if remaining is not None and remaining <= 0:
            await self._refuse(context, expired())
        try:
            answer = await self._submit(command)
        except NotLeader:
            raise
        except EngineError as error:
            await self._refuse(context, of_engine(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the caller is gone
            await self._refuse(context, of_engine(OutcomeUnknown()))
        except Exception:
            _log.exception("settling failed in a way nobody foresaw")
            await self._refuse(context, unforeseen())
        if not isinstance(answer, Receipt):
            await self._refuse(context, of_refusal(answer))
        return answer

    async def _read(self, reading: Awaitable[T], context: Context) -> T:
        try:
            return await reading
        except NotLeader:
            raise
        except EngineError as error:
            await self._refuse(context, of_engine(error))
        except Exception:
            _log.exception("reading failed in a way nobody foresaw")
            await self._refuse(context, unforeseen())

    async def _elsewhere(
        self,
        error: NotLeader,
        method: relay.Method[Reply],
        request: Message,
        context: Context,
    ) -> Reply:
        """The leader's own answer if the caller asks us to fetch it, else where the leader is."""
        if self._relay is None or not error.leader_endpoint:
            await self._refuse(context, of_engine(error))
        if not relay.is_wished(context.invocation_metadata()):
            await self._refuse(context, of_engine(error))
        try:
            return await self._relay.ask(
                error.leader_endpoint,
                method,
                request.SerializeToString(),
                context.time_remaining(),
            )
        except NotPassedOn:
            await self._refuse(context, of_engine(error))
        except Unanswered:
            await self._refuse(context, relay.unanswered(self._relay.leads()))
        except grpc.aio.AioRpcError as refused:
            await relay.pass_back(context, refused)

    async def _refuse(self, context: Context, rejection: Rejection) -> NoReturn:
        self._observer.refused(rejection.reason)
        await refuse(context, rejection)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer this service."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            wire.SERVICE,
            {
                "Settle": unary(self.settle, wire.decode_settle, wire.encode_settle_reply),
                "SettleStream": grpc.stream_stream_rpc_method_handler(
                    self.settle_stream, wire.decode_stream, wire.encode_stream_reply
                ),
                "Inquire": unary(self.inquire, wire.decode_inquire, wire.encode_inquire_reply),
                "Close": unary(self.close, wire.decode_close, wire.encode_close_reply),
                "Interim": unary(self.interim, wire.decode_interim, wire.encode_interim_reply),
            },
        )
