"""A host's way to the simulated etcd, over the simulated wires: `coordinator.ports.Registry`.

What `coordinator.registry` does over gRPC holds here as well: a connection is made first, and what
fails then was definitely not done; a request sent is answered within its deadline or nobody knows
what became of it; a write is sent at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from coordinator.keyvalue import (
    Get,
    Listing,
    Operation,
    Outcome,
    OutcomeUnknown,
    Put,
    Unavailable,
    Unchanged,
)
from loadtest.sim.coordination.connection import Connection
from loadtest.sim.coordination.etcd import SimEtcd
from loadtest.sim.coordination.streams import SimRenewing, SimWatching
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.network import Network

T = TypeVar("T")

_CONNECTING: Final = 1 / 3
"""The share of a request's deadline that connecting may take before it."""


class SimRegistry:
    """One life's way from `host` to etcd, used on `loop`; `deadline_ms` bounds one request."""

    def __init__(
        self, etcd: SimEtcd, network: Network, host: str, loop: VirtualLoop, deadline_ms: int
    ) -> None:
        self._etcd = etcd
        self._host = host
        self._loop = loop
        self._connection = Connection(etcd, network, host, loop)
        self._deadline_s = deadline_ms / 1000
        # In the order they were begun.
        self._open: dict[SimWatching, None] = {}

    @property
    def endpoint(self) -> str:
        """Its name."""
        return self._etcd.name

    async def tend(self) -> None:
        """One address stands for all members: there is no other to turn to."""
        await self._loop.create_future()

    async def check_versions(self) -> None:
        """This one is new enough."""

    async def transact(
        self,
        guards: Sequence[Unchanged],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """See `coordinator.ports.Registry`."""
        changed = [each.key for each in (*then, *otherwise) if not isinstance(each, Get)]
        return await self._ask(
            f"write of {self._words(changed)}" if changed else "read",
            lambda: self._etcd.transact(self._host, guards, then, otherwise),
            write=bool(changed),
        )

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """See `coordinator.ports.Registry`."""
        return (await self.transact((), (Put(key, value, lease),))).revision

    async def list(self, prefix: str) -> Listing:
        """See `coordinator.ports.Registry`."""
        return await self._ask("listing", lambda: self._etcd.list(prefix), write=False)

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        """See `coordinator.ports.Registry`."""
        return await self._ask(
            "grant of a lease", lambda: self._etcd.grant(self._host, ttl_s), write=True
        )

    async def revoke(self, lease: int) -> None:
        """See `coordinator.ports.Registry`."""
        await self._ask(
            "revocation of a lease", lambda: self._etcd.revoke(self._host, lease), write=True
        )

    async def watch(self, prefix: str, start: int) -> SimWatching:
        """See `coordinator.ports.Registry`."""
        await self._connect()
        watching = SimWatching(
            self._connection, prefix, start, lambda: self._open.pop(watching, None)
        )
        self._open[watching] = None
        return watching

    async def renewals(self, lease: int) -> SimRenewing:
        """See `coordinator.ports.Registry`."""
        await self._connect()
        return SimRenewing(self._connection, lease)

    async def close(self) -> None:
        """End the watches; whoever waits for an answer has been cancelled."""
        for watching in list(self._open):
            watching.close()

    def _words(self, keys: Sequence[str]) -> str:
        """What is written, for the story: each kind of key once."""
        prefix = self._etcd.keys.prefix
        kinds = dict.fromkeys(key.removeprefix(prefix).partition("/")[0] for key in keys)
        return " and ".join(kinds)

    async def _connect(self) -> None:
        await self._connection.connect(self._deadline_s * _CONNECTING)

    async def _ask(self, what: str, work: Callable[[], T], *, write: bool) -> T:
        await self._connect()
        try:
            return await self._connection.ask(what, work, self._deadline_s, write=write)
        except TimeoutError:
            problem = OutcomeUnknown if write else Unavailable
            raise problem(f"etcd: no answer to a {what} in time") from None
