"""Which etcd member to ask: one that has just answered, found before anything hangs on it.

A connection stays up when the link under it is cut, and a member that lost its leader keeps all of
its connections; only an answer tells that a member serves. So the one in use is given a look again
and again. Where its answer does not come soon, all the others are looked at too, at once, and the
first that answers is used from then on: how many addresses there are, and in which order, does not
lengthen the search.

What a look is, the owner says. It must change nothing, and take what a request takes: a leader, and
a majority behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from coordinator.keyvalue import RegistryError, Unavailable

M = TypeVar("M")

LOOK_EVERY_S: Final = 0.25
"""How often the member in use is looked at."""

FRESH_S: Final = 2 * LOOK_EVERY_S
"""A member that has answered within this long is asked without another look."""


class Finder(Generic[M]):
    """The members of one etcd cluster, of which one is in use: the one numbered `first`, to begin.

    `look` returns when a member has answered, and raises `RegistryError` when it has not, in
    bounded time. The others are looked at `soon_s` after the one in use. Made and used on one
    running event loop.
    """

    def __init__(
        self,
        members: Sequence[M],
        look: Callable[[M], Coroutine[Any, Any, None]],
        soon_s: float,
        *,
        first: int = 0,
    ) -> None:
        self._members = members
        self._look = look
        self._soon_s = soon_s
        self._loop = asyncio.get_running_loop()
        self._heard_at = -math.inf
        self._doubted = False
        self._search: asyncio.Task[M] | None = None
        self.in_use = members[first % len(members)]
        """The member that answered last."""
        self.left: asyncio.Future[None] = self._loop.create_future()
        """Done as soon as another member is in use than now."""

    async def serving(self) -> M:
        """A member that has answered just now, if need be after a search.

        Raises `Unavailable` when the looks at all members have failed.
        """
        if not self._doubted and self._loop.time() - self._heard_at <= FRESH_S:
            return self.in_use
        return await self._found()

    async def tend(self) -> None:
        """Keep a serving member in use, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with contextlib.suppress(Unavailable):
                await self._found()

    def heard(self, member: M) -> None:
        """`member` has answered a request, which is as good as a look."""
        if member is self.in_use:
            self._heard_at = self._loop.time()

    def doubt(self, member: M) -> None:
        """`member` has failed somebody: find another, or hear from it that it serves after all."""
        if member is self.in_use:
            self._doubted = True

    async def close(self) -> None:
        """End the search under way; whoever waits for it is cancelled."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    async def _found(self) -> M:
        """What the search under way finds. It goes on when one who waits for it is cancelled."""
        if self._search is None or self._search.done():
            self._search = asyncio.ensure_future(self._find())
            self._search.add_done_callback(_ended)
        return await asyncio.shield(self._search)

    async def _find(self) -> M:
        """Look at the member in use, or at all but that one if it is in doubt; then at the rest."""
        in_use, doubted = self.in_use, self._doubted
        looks: dict[asyncio.Task[None], M] = {}

        def begin(members: Iterable[M]) -> None:
            looks.update({asyncio.ensure_future(self._look(each)): each for each in members})

        try:
            begin(each for each in self._members if (each is in_use) is not doubted)
            found = await _first(looks, self._soon_s)
            if found is None:
                begin(each for each in self._members if (each is in_use) is doubted)
                found = await _first(looks, None)
        finally:
            for task in looks:
                task.cancel()
            ended = await asyncio.gather(*looks, return_exceptions=True)
        if found is None:
            reasons = [str(problem) for problem in ended if isinstance(problem, RegistryError)]
            raise Unavailable("; ".join(reasons))
        self._use(found)
        return found

    def _use(self, member: M) -> None:
        self._heard_at = self._loop.time()
        self._doubted = False
        if member is not self.in_use:
            self.in_use = member
            self.left.set_result(None)
            self.left = self._loop.create_future()


async def _first(looks: dict[asyncio.Task[None], M], within_s: float | None) -> M | None:
    """The first member whose look succeeds; None when all have failed, or after `within_s`."""
    waiting = set(looks)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    problem = task.exception()
                    if problem is None:
                        return looks[task]
                    if not isinstance(problem, RegistryError):
                        raise problem
    return None


def _ended(search: asyncio.Task[M]) -> None:
    """Nobody may be left to hear how a search ended."""
    if not search.cancelled():
        search.exception()
