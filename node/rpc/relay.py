"""Relaying (取次): a node that does not lead asks the leader in a terminal's name.

The leader's host, or the link of its whole site, may be cut from the terminals while all is well
inside: then nobody sees a reason to choose another leader, and to be told where it is helps no
terminal. One that could not reach it says so, and its request goes over the inside network: as it
is, one hop, with what remains of its deadline. What the leader says comes back word for word.

Safe for the same reason as any repetition (C2): the key is in the request, so a relayed one that
was not answered is of unknown outcome, and is asked again with the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

import grpc
import grpc.aio

from node.rpc import wire
from node.rpc.errors import TOO_LATE, Rejection
from node.rpc.server import open_channel
from node.rpc.wire_refusal import DETAILS_KEY, details_of

HOPS_KEY: Final = "kessai-relay"
"""Metadata: how many nodes may still pass this call on. More than "1" is no wish we know."""

_ONE_HOP: Final = "1"
_NO_HOP: Final = ((HOPS_KEY, "0"),)

ANSWER_S: Final = 0.1
"""So long before its deadline a caller hears that the leader did not answer: to hear nothing at
all it would take for the silence of this node."""

PATIENCE_S: Final = 5.0
"""How long the leader is waited for where the caller named no deadline."""

LOOK_S: Final = 0.05
"""How often it is looked whether those who are asked still lead."""

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Method(Generic[Reply]):
    """A call of the settlement service as the leader is asked it."""

    path: str
    parse: Callable[[bytes], Reply]


SETTLE: Final = Method(f"/{wire.SERVICE}/Settle", wire.SettleReply.FromString)
CLOSE: Final = Method(f"/{wire.SERVICE}/Close", wire.CloseReply.FromString)
INQUIRE: Final = Method(f"/{wire.SERVICE}/Inquire", wire.InquireReply.FromString)
INTERIM: Final = Method(f"/{wire.SERVICE}/Interim", wire.InterimReply.FromString)


class NotPassedOn(Exception):
    """There is no room, or no time: nothing was sent, so to name the leader says all."""


class Unanswered(Exception):
    """The request was sent on, and no answer came: the leader may have settled it."""


def is_wished(metadata: Iterable[tuple[str, Any]] | None) -> bool:
    """Does the caller ask to be relayed? A call that has been relayed never does."""
    return any(key == HOPS_KEY and value == _ONE_HOP for key, value in metadata or ())


def unanswered(leader_endpoint: str) -> Rejection:
    """What the caller is told of `Unanswered`, and who is thought to lead by now ("": nobody)."""
    return Rejection(
        grpc.StatusCode.UNAVAILABLE,
        "OUTCOME_UNKNOWN",
        "the request was passed on to the leader, which did not answer: ask again with the same "
        "key, never a new one",
        response_code=TOO_LATE,
        retry_same_key=True,
        outcome_unknown=True,
        leader_endpoint=leader_endpoint,
    )


class Relay:
    """Asks leaders in others' names, at most `calls` at a time, over one channel a leader.

    `leads` says at which endpoint the leader is thought to be, "" where none is known. As soon as
    it is another, the one asked is waited for no longer: a lost one says nothing to the last.
    """

    def __init__(self, calls: int, leads: Callable[[], str]) -> None:
        self._bound = calls
        self._leads = leads
        self._channels: dict[str, grpc.aio.Channel] = {}  # as many as nodes have led, at most
        self._asked: dict[grpc.aio.Call, str] = {}
        self._watching: asyncio.Task[None] | None = None

    async def ask(
        self, endpoint: str, method: Method[Reply], request: bytes, remaining_s: float | None
    ) -> Reply:
        """The leader's reply. `remaining_s`: until the caller's deadline, if it has one.

        Raises `NotPassedOn`, `Unanswered`, or the leader's refusal as `grpc.aio.AioRpcError`.
        """
        within_s = PATIENCE_S if remaining_s is None else remaining_s - ANSWER_S
        if within_s <= 0 or len(self._asked) >= self._bound:
            raise NotPassedOn
        if endpoint not in self._channels:
            self._channels[endpoint] = open_channel(endpoint)
        question: grpc.aio.UnaryUnaryMultiCallable[bytes, Reply]
        question = self._channels[endpoint].unary_unary(
            method.path, response_deserializer=method.parse
        )
        call = question(request, timeout=within_s, metadata=_NO_HOP)
        self._asked[call] = endpoint
        self._watch()
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            if not details_of(error):  # nobody spoke: refused, broken, or too late
                raise Unanswered from error
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the caller is gone
            raise Unanswered from None  # the leader is none any more
        finally:
            del self._asked[call]

    def leads(self) -> str:
        """At which endpoint the leader is thought to be; "" where none is known."""
        return self._leads()

    async def close(self) -> None:
        """Give up whatever is under way, and close the channels."""
        if self._watching is not None:
            self._watching.cancel()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while self._asked:
            await asyncio.sleep(LOOK_S)
            leads = self._leads()
            for call, endpoint in list(self._asked.items()):
                if leads and endpoint != leads:
                    call.cancel()


async def pass_back(
    context: grpc.aio.ServicerContext[Any, Any], refused: grpc.aio.AioRpcError
) -> NoReturn:
    """Abort the call of `context` as the leader has refused it, word for word."""
    await context.abort(
        refused.code(), refused.details() or "", ((DETAILS_KEY, details_of(refused)),)
    )
