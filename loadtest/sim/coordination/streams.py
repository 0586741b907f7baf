"""The two long-lived streams to the simulated etcd: watch and lease renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coordinator.keyvalue import Changed, RegistryError, Unavailable
from loadtest.sim.coordination.connection import Connection
from loadtest.sim.coordination.watches import News, Watch


class SimRenewing:
    """Renewals of one lease: `coordinator.ports.Renewing`."""

    def __init__(self, connection: Connection, lease: int) -> None:
        self._connection = connection
        self._lease = lease

    async def renew(self, within_s: float) -> float:
        """See `coordinator.ports.Renewing`."""
        etcd, lease = self._connection.etcd, self._lease
        try:
            return await self._connection.ask(
                "renewal", lambda: etcd.renew(lease), within_s, write=False
            )
        except TimeoutError:
            raise Unavailable("etcd: no answer to a renewal in time") from None

    def close(self) -> None:
        """Nothing is under way between renewals."""


class SimWatching:
    """One watch: `coordinator.ports.Watching`. `ended` is called when it is closed.

    It knows everything up to a revision, and asks again where something before its news is missing.
    """

    def __init__(
        self, connection: Connection, prefix: str, start: int, ended: Callable[[], object]
    ) -> None:
        self._connection = connection
        self._ended = ended
        self._watches = connection.etcd.watches
        self._have = start - 1
        self._watch = Watch(connection.host, prefix, self._have, self._deliver)
        self._changes: tuple[Changed, ...] = ()
        self._sign = False
        self._trouble: RegistryError | None = None
        self._news: asyncio.Future[None] | None = None
        self._closed = False
        connection.send("watch", lambda: self._watches.follow(self._watch))

    async def read(self, within_s: float) -> tuple[Changed, ...] | None:
        """See `coordinator.ports.Watching`."""
        if not (self._sign or self._trouble):
            self._news = self._connection.loop.create_future()
            await asyncio.wait({self._news}, timeout=within_s)
        if self._sign:
            changes, self._changes, self._sign = self._changes, (), False
            return changes
        if self._trouble is not None:
            raise self._trouble
        return None

    async def ask_progress(self, within_s: float) -> None:
        """See `coordinator.ports.Watching`."""
        self._ask()

    def silent(self) -> None:
        """See `coordinator.ports.Watching`."""
        self._connection.doubt()

    def close(self) -> None:
        """See `coordinator.ports.Watching`."""
        if not self._closed:
            self._closed = True
            self._ended()
            # What is left of a dead process sends nothing when it is swept up.
            if self._connection.loop.alive:
                self._forget()

    def _deliver(self, news: News) -> None:
        """As etcd: send it."""
        self._connection.send_back("watched changes", lambda: self._hear(news))

    def _hear(self, news: News) -> None:
        """As the host, though perhaps in a later life: that one knows of no such watch."""
        if self._closed or not self._connection.loop.alive:
            self._forget()
            return
        if news.trouble is not None:
            self._trouble = news.trouble
        elif news.after > self._have:
            self._ask()  # something before it was lost, or comes later
            return
        else:
            self._changes += tuple(c for c in news.changes if c.mod_revision > self._have)
            self._have = max(self._have, news.upto)
            self._sign = True
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _ask(self) -> None:
        have = self._have
        self._connection.send("progress", lambda: self._watches.progress(self._watch, have))

    def _forget(self) -> None:
        self._connection.send("end of a watch", lambda: self._watches.forget(self._watch))
