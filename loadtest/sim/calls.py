"""What operators and coordinators ask of a node's process, and what may keep the answer away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from loadtest.sim.ground import Ground
from node.engine import EngineError

if TYPE_CHECKING:
    from loadtest.sim.life import Life

T = TypeVar("T")


class Unanswered(Exception):
    """Nobody answered, or the node said why it does not; the message tells which."""


async def call(
    ground: Ground,
    caller: str,
    node: str,
    what: str,
    work: Callable[[Life], Awaitable[T]],
    within_s: float,
) -> T:
    """Have `work` done by the process of `node`, and hear what came of it.

    To be called as the process of host `caller`. As over gRPC the work is given up when its time is
    over. Raises `Unanswered`.
    """
    heard: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def refuse(words: str) -> None:
        if not heard.done():
            heard.set_exception(Unanswered(f"{node}: {words}"))

    def take(answer: T) -> None:
        if not heard.done():
            heard.set_result(answer)

    def back(receive: Callable[[], None]) -> None:
        ground.network.send(node, caller, receive, f"{what} answered", stream=True)

    async def serve(life: Life) -> None:
        try:
            async with asyncio.timeout(within_s):
                answer = await work(life)
        except TimeoutError:
            return
        except (EngineError, Unanswered) as problem:
            back(partial(refuse, str(problem)))
        else:
            back(partial(take, answer))

    def arrive() -> None:
        host = ground.nodes[node]
        if host.running is None or host.loop is None:
            back(partial(refuse, "connection refused"))
        else:
            host.loop.create_task(serve(host.running)).add_done_callback(result)

    ground.network.send(
        caller, node, arrive, what, stream=True, refused=partial(refuse, "connection refused")
    )
    try:
        async with asyncio.timeout(within_s):
            return await heard
    except TimeoutError:
        raise Unanswered(f"{node}: no answer in time") from None


def result(task: asyncio.Task[None]) -> None:
    """A task's done-callback: what it raised, and nobody caught, is a defect of this day."""
    if not task.cancelled():
        task.result()
