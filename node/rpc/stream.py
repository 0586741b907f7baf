"""One concentrator's stream: many requests under way, replies as they come.

A reader takes requests off the stream and submits them; whatever is answered goes to an outbox,
which one writer empties. Refusals are answers too: they do not end the stream. What is under way
is bounded, from the reading of a request to the writing of its reply, so a concentrator that does
not read its replies stops being read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from time import perf_counter
from typing import Any

import grpc.aio

from node.engine import Engine, EngineError, OutcomeUnknown
from node.ledger.commands import Command, Receipt
from node.ledger.refusals import Refusal
from node.rpc import wire
from node.rpc.errors import Rejection, of_engine, of_fields, of_refusal, unforeseen, unreadable
from node.rpc.observer import Observer
from node.rpc.refuse import refuse
from node.rpc.wire_refusal import stream_problem

_log = logging.getLogger(__name__)

Answer = asyncio.Future[Receipt | Refusal]


class Conversation:
    """One stream from its first request to its last reply."""

    def __init__(
        self,
        engine: Engine,
        observer: Observer,
        context: grpc.aio.ServicerContext[Any, Any],
        bound: int,
    ) -> None:
        self._submit = engine.submit
        self._observer = observer
        self._context = context
        self._bound = bound
        self._under_way = 0
        self._waiting: set[Answer] = set()
        self._outbox: deque[wire.SettleStreamReply] = deque()
        self._ended = False  # the caller has sent its last request
        self._over = False  # nobody is there to hear a reply
        # Set when the writer, or the reader, has something to look at again.
        self._to_write = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Until the caller has closed its side and every request has its reply."""
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
            self._ended = True
            self._to_write.set()
            await writer
        finally:
            # Reached early when the call is cancelled or broken: nobody waits for these any more.
            self._over = True
            for answer in self._waiting:
                answer.cancel()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _read(self) -> None:
        read = self._context.read
        while True:
            while self._under_way >= self._bound:
                self._room.clear()
                await self._room.wait()
            message = await read()
            if message is grpc.aio.EOF:
                return
            if message is None:
                self._observer.refused("UNREADABLE")
                await refuse(self._context, unreadable())
            self._under_way += 1
            self._take(message)

    def _take(self, message: wire.SettleStreamRequest) -> None:
        started = perf_counter()
        request_id = message.request_id
        command = wire.settle_command(message.request)
        if not isinstance(command, Command):
            self._reject(request_id, of_fields(command))
            return
        try:
            answer = self._submit(command)
        except EngineError as error:
            self._reject(request_id, of_engine(error))
            return
        self._waiting.add(answer)
        answer.add_done_callback(partial(self._answered, request_id, command.service, started))

    def _answered(self, request_id: int, service: int, started: float, answer: Answer) -> None:
        self._waiting.discard(answer)
        if self._over:
            return
        error = OutcomeUnknown() if answer.cancelled() else answer.exception()
        if error is not None:
            if isinstance(error, EngineError):
                self._reject(request_id, of_engine(error))
            else:
                _log.error("settling failed in a way nobody foresaw", exc_info=error)
                self._reject(request_id, unforeseen())
            return
        receipt = answer.result()
        if not isinstance(receipt, Receipt):
            self._reject(request_id, of_refusal(receipt))
            return
        self._observer.settled(service, receipt.outcome, perf_counter() - started)
        self._put(wire.stream_reply(request_id, receipt))

    def _reject(self, request_id: int, rejection: Rejection) -> None:
        self._observer.refused(rejection.reason)
        self._put(stream_problem(request_id, rejection))

    def _put(self, reply: wire.SettleStreamReply) -> None:
        self._outbox.append(reply)
        self._to_write.set()

    async def _write(self) -> None:
        write, outbox = self._context.write, self._outbox
        while True:
            while outbox:
                await write(outbox.popleft())
                self._under_way -= 1
                self._room.set()
            if self._ended and not self._under_way:
                return
            self._to_write.clear()
            await self._to_write.wait()
