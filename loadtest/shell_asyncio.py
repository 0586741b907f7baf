"""Terminals on asyncio: for the command line and for what drills resolve afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from loadtest.asking import Asking
from loadtest.terminal import Send
from loadtest.wire import CHANNEL_OPTIONS, METHODS, Word, decode, encode, judge, metadata


class Line:
    """One channel an address of a node, and the loop that carries askings over them."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._channels = {each: _open(each) for each in endpoints}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()

    async def carry(self, asking: Asking, give_up_after_ms: float) -> None:
        """Take an asking to its end, or let it give up after so many milliseconds.

        `asking.last` then holds what was heard, or UNKNOWN.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(give_up_after_ms / 1000.0):
                await self._carry(asking)
                return
        asking.give_up()

    async def _carry(self, asking: Asking) -> None:
        doing = asking.begin()
        while doing is not None:
            if isinstance(doing, Send):
                doing = asking.hear(await self._send(asking, doing))
            else:
                await asyncio.sleep(max(0.0, doing.at_ms - asking.now_ms()) / 1000.0)
                doing = asking.woke()

    async def _send(self, asking: Asking, send: Send) -> Word:
        if send.address not in self._channels:  # another path, or a node that was not in our list
            self._channels[send.address] = _open(send.address)
        method = METHODS[asking.request.call]
        call = self._channels[send.address].unary_unary(
            method.path, request_serializer=method.serialize, response_deserializer=method.parse
        )
        try:
            answer = await call(
                encode(asking.request), timeout=send.timeout_ms / 1000.0, metadata=metadata(send)
            )
            return decode(answer)
        except grpc.RpcError as error:
            return judge(error)


def _open(endpoint: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
