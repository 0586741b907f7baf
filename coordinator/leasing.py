"""A lease, kept alive: granted, renewed, and granted anew once etcd says that it is gone.

Only etcd says when a lease is gone. While no member answers, the old one is renewed on and on: a
new etcd leader gives every lease its full time again, and with it the leader key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from coordinator.keyvalue import RegistryError
from coordinator.ports import Registry, Renewing
from coordinator.watching import BACKOFF_S


class LeaseKeeper:
    """Holds a lease of `ttl_s` seconds (etcd may grant more).

    Renews every third of its time; each renewal is answered within a quarter of it, or another
    member is asked, at once the first time. `granted` and `gone` are called with the lease's id, in
    turns.
    """

    def __init__(
        self,
        registry: Registry,
        ttl_s: int,
        granted: Callable[[int], None],
        gone: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._ttl_s = ttl_s
        self._granted = granted
        self._gone = gone
        self._clock = clock
        self._denied = asyncio.Event()
        self._valid_until = 0.0
        self.lease = 0
        """The lease held, 0 for none."""

    @property
    def valid(self) -> bool:
        """Is the lease certain to exist? Counted from when its last renewal was *sent*."""
        return self.lease != 0 and self._clock() < self._valid_until

    def deny(self, lease: int) -> None:
        """Some other request was told that `lease` is gone: do not wait for the next renewal."""
        if lease == self.lease:
            self._denied.set()

    async def run(self) -> None:
        """Hold a lease until cancelled."""
        while True:
            ttl_s = await self._grant()
            self._granted(self.lease)
            await self._keep(ttl_s)
            lost, self.lease = self.lease, 0
            self._gone(lost)

    async def release(self) -> None:
        """Give the lease back, so that its keys go at once. Raises `RegistryError`."""
        lease, self.lease = self.lease, 0
        if lease:
            await self._registry.revoke(lease)

    async def _grant(self) -> float:
        failures = 0
        while True:
            asked = self._clock()
            try:
                self.lease, ttl_s = await self._registry.grant(self._ttl_s)
            except RegistryError:
                # A grant that was carried out unheard leaves a lease that nobody renews.
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
            else:
                self._valid_until = asked + ttl_s
                self._denied.clear()
                return ttl_s

    async def _keep(self, ttl_s: float) -> None:
        """Renew until etcd says that the lease is gone."""
        stream: Renewing | None = None
        failures = 0
        pause_s = ttl_s / 3
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._denied.wait(), pause_s)
                    return
                try:
                    stream = stream or await self._registry.renewals(self.lease)
                    sent = self._clock()
                    left_s = await stream.renew(ttl_s / 4)
                except RegistryError:
                    if stream is not None:
                        stream.close()
                        stream = None
                    pause_s = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] if failures else 0
                    failures += 1
                    continue
                if left_s <= 0:
                    return
                failures = 0
                self._valid_until = sent + left_s
                pause_s = left_s / 3
        finally:
            if stream is not None:
                stream.close()
