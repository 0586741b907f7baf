"""Terminals on gevent: the same askings as everywhere, carried under Locust.

`open_channels` prepares grpc for gevent, which must happen before the first channel of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import grpc
from grpc.experimental import gevent as grpc_gevent

from loadtest.asking import Asking
from loadtest.request import Call
from loadtest.terminal import Send
from loadtest.wire import CHANNEL_OPTIONS, METHODS, Word, decode, encode, judge, metadata

_Callers = Mapping[Call, Callable[..., Any]]


def monotonic_ms() -> float:
    """Milliseconds of the clock that all processes of this machine share."""
    return time.monotonic() * 1000.0


@dataclass(slots=True)
class Lines:
    """One channel an address for the whole process: a channel a user would cost more than load."""

    _callers: dict[str, _Callers]

    @classmethod
    def open(cls, endpoints: tuple[str, ...]) -> Lines:
        """Prepare grpc for gevent and open the channels. Call once a process."""
        grpc_gevent.init_gevent()
        return cls({endpoint: _callers(endpoint) for endpoint in endpoints})

    def send(self, asking: Asking, send: Send) -> Word:
        """One attempt, blocking this greenlet only."""
        if send.address not in self._callers:
            self._callers[send.address] = _callers(send.address)
        call = self._callers[send.address][asking.request.call]
        try:
            answer = call(
                encode(asking.request), timeout=send.timeout_ms / 1000.0, metadata=metadata(send)
            )
            return decode(answer)
        except grpc.RpcError as error:
            return judge(error)


def carry(asking: Asking, lines: Lines, heard: Callable[[Asking], None]) -> None:
    """Take an asking to its end. `heard` is called after each line on what was heard: the final
    answer, or before it, once, that the clerk was told "unknown"; the clerk may go on after either.
    """
    doing = asking.begin()
    told = asking.last
    while doing is not None:
        if isinstance(doing, Send):
            doing = asking.hear(lines.send(asking, doing))
        else:
            gevent.sleep(max(0.0, doing.at_ms - monotonic_ms()) / 1000.0)
            doing = asking.woke()
        if asking.last is not told:
            told = asking.last
            heard(asking)


def _callers(endpoint: str) -> _Callers:
    channel = grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
    return {
        call: channel.unary_unary(
            method.path, request_serializer=method.serialize, response_deserializer=method.parse
        )
        for call, method in METHODS.items()
    }
