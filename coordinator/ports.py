"""What the coordinator's programs need of etcd, whoever stands behind it.

`coordinator.registry` is etcd over gRPC; the simulator has one in virtual time. What each call may
raise is told there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from coordinator.keyvalue import Changed, Listing, Operation, Outcome, Unchanged


class Watching(Protocol):
    """A watch of a prefix, from a revision on."""

    async def read(self, within_s: float) -> tuple[Changed, ...] | None:
        """The next changes in order, () for a mere sign of life, None for silence.

        Raises `Compacted` when the changes asked for are gone, `Unavailable` when the stream is.
        """
        ...

    async def ask_progress(self, within_s: float) -> None:
        """Ask for a sign of life, which `read` then brings. Raises `Unavailable`."""
        ...

    def silent(self) -> None:
        """This member says nothing: have everybody look for another."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Renewing(Protocol):
    """Renewals of one lease."""

    async def renew(self, within_s: float) -> float:
        """Renew; the seconds the lease has from now on, 0 or less once it is gone.

        Raises `Unavailable`.
        """
        ...

    def close(self) -> None:
        """End it; the lease lives on for its time."""
        ...


class Registry(Protocol):
    """An etcd cluster."""

    @property
    def endpoint(self) -> str:
        """The member in use."""
        ...

    async def tend(self) -> None:
        """Keep a member in use that serves, until cancelled: what is asked then need not search.

        Streams at a member that is left end.
        """
        ...

    async def check_versions(self) -> None:
        """Raises `UnsupportedVersion` if a member that answers is too old."""
        ...

    async def transact(
        self,
        guards: Sequence[Unchanged],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """One transaction: `then` if all guards hold, else `otherwise`; sent at most once.

        Raises `Unavailable` or `Refused` (definitely not done), or `OutcomeUnknown`. One that only
        reads never ends in `OutcomeUnknown`.
        """
        ...

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """Write `key` without a guard; its new `mod_revision`. Raises as `transact`."""
        ...

    async def list(self, prefix: str) -> Listing:
        """All keys under `prefix` (linearizable). Raises `Unavailable` or `Refused`."""
        ...

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        """A new lease: its id, and the seconds granted (maybe more). Raises as `transact`."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and all keys bound to it. Raises as `transact`; `LeaseGone` if it had."""
        ...

    async def watch(self, prefix: str, start: int) -> Watching:
        """Watch `prefix` from revision `start` on. Raises `Unavailable`."""
        ...

    async def renewals(self, lease: int) -> Renewing:
        """A stream of renewals of `lease`. Raises `Unavailable`."""
        ...

    async def close(self) -> None:
        """End all that is under way."""
        ...
