"""One etcd endpoint: its channel, whether it can be reached, and what its failures mean.

A failed call falls into one of four: never begun, refused, outcome unknown, or a lease or history
that is gone. In doubt it is *unknown*: only then may a write be read back, and never sent again
unguarded.
"""

from __future__ import annotations

import asyncio
from typing import Final

import grpc
import grpc.aio

from coordinator.keyvalue import (
    Compacted,
    LeaseGone,
    OutcomeUnknown,
    Refused,
    RegistryError,
    Unavailable,
    UnsupportedVersion,
)

_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),  # how long one connection attempt may take
    # What was sent and not acknowledged for so long ends the connection (TCP's user timeout): left
    # to itself, TCP tries again only after as long as the network was away. Pings alone would do it
    # more slowly; etcd ends a connection that sends them oftener than every 5 s.
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.enable_http_proxy", 0),
)
_ELSEWHERE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DATA_LOSS,
    }
)
_NEVER_BEGUN: Final = ("etcdserver: no leader", "etcdserver: too many requests")


class Member:
    """An endpoint (`host:port`) and its only channel.

    `checked`: its version is known to be good. `refusal`: why it must not be used.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
        self.checked = False
        self.refusal: UnsupportedVersion | None = None

    async def connect(self, within_s: float) -> bool:
        """Is the channel up now, or soon? False at once where the connection is refused.

        Asked before every call: what fails *here* was never sent, which no status code tells.
        """
        try:
            async with asyncio.timeout(within_s):
                state = self.channel.get_state(try_to_connect=True)
                while state is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        return False
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        return True


def failure(problem: grpc.aio.AioRpcError, endpoint: str) -> RegistryError:
    """What a failed call means for the request. In doubt, its outcome is unknown."""
    code, details = problem.code(), problem.details() or ""
    words = f"etcd at {endpoint}: {details or code.name}"
    if code is grpc.StatusCode.NOT_FOUND and "lease not found" in details:
        return LeaseGone(words)
    if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in details:
        return Compacted(words)
    if code not in _ELSEWHERE:
        return Refused(words)
    if details in _NEVER_BEGUN:
        return Unavailable(words)
    return OutcomeUnknown(words)


def words_for(problem: Exception) -> str:
    """A stream's failure in a few words, for people."""
    if isinstance(problem, grpc.aio.AioRpcError):
        return problem.details() or problem.code().name
    return "no answer in time" if isinstance(problem, TimeoutError) else str(problem)
