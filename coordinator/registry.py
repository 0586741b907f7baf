"""The only module that talks to etcd: its v3 calls over grpc.aio, and what their failures mean.

One channel an endpoint, made once. Every call has a deadline, and goes to a member that has just
answered (`coordinator.finding`); one that is away, silent or without a leader is left for another,
and whoever finds that out first turns all others with it.
What matters most is kept apart in the exceptions of `coordinator.keyvalue`: a request that was
*never begun* (`Unavailable`), and one *whose outcome nobody knows* (`OutcomeUnknown`). A write is
sent at most once; only reads are repeated.

The generated messages come from the aetcd package, whose own client is not used: it does not
recover from the loss of a member (docs/decisions). They carry no type information, so `Any` ends
in this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import grpc.aio
from aetcd import rpc

from coordinator.finding import Finder
from coordinator.keyvalue import (
    Delete,
    Get,
    KeyValue,
    Listing,
    Operation,
    Outcome,
    OutcomeUnknown,
    Put,
    RegistryError,
    Unavailable,
    Unchanged,
    UnsupportedVersion,
)
from coordinator.members import Member, failure
from coordinator.streams import Leaving, RenewalStream, WatchStream

VERSION_MIN: Final = (3, 5, 16)
"""Older members revoke leases they should not, or lose data (etcd#15247; docs/decisions)."""

_HAS_LEADER: Final = (("hasleader", "true"),)
"""Whoever has no leader refuses at once: etcd looks before it begins (its rpc interceptor)."""

_LOOK: Final = rpc.RangeRequest(key=b"/kessai", count_only=True)
"""Linearizable, so it is answered only by a member that has heard of a majority after it came."""

_TRIES: Final = 2
"""How often a request is sent that may be sent again: each time a member has just answered."""


class _Stubs:
    """The generated calls of one member."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.kv: Any = rpc.KVStub(member.channel)
        self.lease: Any = rpc.LeaseStub(member.channel)
        self.watch: Any = rpc.WatchStub(member.channel)
        self.maintenance: Any = rpc.MaintenanceStub(member.channel)


class Registry:
    """An etcd cluster, reached through whichever of its endpoints answers.

    `deadline_ms` bounds one request to one member, and before it the search for one that answers.
    A member of which nothing is heard for a third of it is not waited for alone. A read is sent
    twice at most. Made and used on one running event loop.
    """

    def __init__(self, endpoints: Sequence[str], deadline_ms: int, *, first: int = 0) -> None:
        if not endpoints:
            raise ValueError("an etcd cluster has at least one endpoint")
        self._members = [_Stubs(Member(endpoint)) for endpoint in endpoints]
        self._deadline_s = deadline_ms / 1000
        self._soon_s = self._deadline_s / 3
        self._finder = Finder(self._members, self._look, self._soon_s, first=first)

    @property
    def endpoint(self) -> str:
        """The endpoint in use."""
        return self._finder.in_use.member.endpoint

    async def tend(self) -> None:
        """Keep a member in use that serves, until cancelled: what is asked then need not search."""
        await self._finder.tend()

    async def close(self) -> None:
        """Close all channels; requests under way are cancelled."""
        await self._finder.close()
        await asyncio.gather(*(stubs.member.channel.close() for stubs in self._members))

    async def check_versions(self) -> None:
        """Ask every member that answers for its version.

        Raises `UnsupportedVersion` naming endpoint and version. A member that is away is asked
        when it is first used, and left out then if it is too old.
        """

        async def ask(stubs: _Stubs) -> None:
            if await stubs.member.connect(self._soon_s):
                with contextlib.suppress(Unavailable, OutcomeUnknown):
                    await self._check(stubs)

        await asyncio.gather(*(ask(stubs) for stubs in self._members))

    async def transact(
        self,
        guards: Sequence[Unchanged],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """One transaction: `then` if all guards hold, else `otherwise`; sent at most once.

        Raises `Unavailable` or `Refused` (definitely not done), or `OutcomeUnknown`. A transaction
        that only reads is sent again elsewhere, and never ends in `OutcomeUnknown`.
        """
        request = rpc.TxnRequest(
            compare=[
                rpc.Compare(
                    key=guard.key.encode(),
                    target=rpc.Compare.MOD,
                    result=rpc.Compare.EQUAL,
                    mod_revision=guard.mod_revision,
                )
                for guard in guards
            ],
            success=[_operation(operation) for operation in then],
            failure=[_operation(operation) for operation in otherwise],
        )
        only_reads = all(isinstance(operation, Get) for operation in (*then, *otherwise))
        answer = await self._ask(lambda stubs: stubs.kv.Txn, request, repeat=only_reads)
        pairs = [_pair(pair) for part in answer.responses for pair in part.response_range.kvs]
        return Outcome(
            succeeded=bool(answer.succeeded),
            revision=int(answer.header.revision),
            found={pair.key: pair for pair in pairs},
        )

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """Write `key` without a guard; its new `mod_revision`. Raises as `transact`."""
        request = rpc.PutRequest(key=key.encode(), value=value, lease=lease)
        answer = await self._ask(lambda stubs: stubs.kv.Put, request, repeat=False)
        return int(answer.header.revision)

    async def list(self, prefix: str) -> Listing:
        """All keys under `prefix` (linearizable). Raises `Unavailable` or `Refused`."""
        request = rpc.RangeRequest(key=prefix.encode(), range_end=_range_end(prefix))
        answer = await self._ask(lambda stubs: stubs.kv.Range, request, repeat=True)
        return Listing(
            revision=int(answer.header.revision), pairs=tuple(_pair(pair) for pair in answer.kvs)
        )

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        """A new lease: its id, and the seconds granted (maybe more). Raises as `transact`."""
        request = rpc.LeaseGrantRequest(TTL=ttl_s)
        answer = await self._ask(lambda stubs: stubs.lease.LeaseGrant, request, repeat=False)
        return int(answer.ID), int(answer.TTL)

    async def revoke(self, lease: int) -> None:
        """End a lease and all keys bound to it. Raises as `transact`; `LeaseGone` if it had."""
        request = rpc.LeaseRevokeRequest(ID=lease)
        await self._ask(lambda stubs: stubs.lease.LeaseRevoke, request, repeat=False)

    async def watch(self, prefix: str, start: int) -> WatchStream:
        """Watch `prefix` from revision `start` on, at the member in use. Raises `Unavailable`."""
        create = rpc.WatchCreateRequest(
            key=prefix.encode(), range_end=_range_end(prefix), start_revision=start
        )
        stubs = await self._finder.serving()
        stream = WatchStream(
            stubs.watch.Watch(metadata=_HAS_LEADER),
            self._leaving(stubs),
            rpc.WatchRequest(create_request=create),
            rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()),
        )
        try:
            await stream.open(self._deadline_s)
        except BaseException:
            stream.close()
            raise
        return stream

    async def renewals(self, lease: int) -> RenewalStream:
        """A stream of renewals of `lease` at the member in use. Raises `Unavailable`."""
        stubs = await self._finder.serving()
        return RenewalStream(
            stubs.lease.LeaseKeepAlive(metadata=_HAS_LEADER),
            self._leaving(stubs),
            rpc.LeaseKeepAliveRequest(ID=lease),
        )

    def _leaving(self, stubs: _Stubs) -> Leaving:
        """What a stream needs to know of the member it is made at."""
        return Leaving(stubs.member.endpoint, self._finder.left, partial(self._finder.doubt, stubs))

    async def _look(self, stubs: _Stubs) -> None:
        """Does it serve? Raises `RegistryError`, within the deadline."""
        member = stubs.member
        try:
            async with asyncio.timeout(self._deadline_s):
                if not await member.connect(self._deadline_s):
                    raise Unavailable(f"etcd at {member.endpoint}: takes no connections")
                await self._check(stubs)
                await stubs.kv.Range(_LOOK, metadata=_HAS_LEADER)
        except TimeoutError:
            raise Unavailable(f"etcd at {member.endpoint}: no answer in time") from None
        except grpc.aio.AioRpcError as problem:
            raise failure(problem, member.endpoint) from problem

    async def _check(self, stubs: _Stubs) -> None:
        """Ask for the version, once. Raises `UnsupportedVersion`, or what `failure` returns."""
        member = stubs.member
        if member.refusal is not None:
            raise member.refusal
        if member.checked:
            return
        try:
            status = await stubs.maintenance.Status(rpc.StatusRequest(), timeout=self._deadline_s)
        except grpc.aio.AioRpcError as problem:
            raise failure(problem, member.endpoint) from problem
        if not _new_enough(status.version):
            least = ".".join(map(str, VERSION_MIN))
            member.refusal = UnsupportedVersion(
                f"etcd at {member.endpoint} is version {status.version}: {least} or newer is needed"
            )
            raise member.refusal
        member.checked = True

    async def _ask(self, method: Callable[[_Stubs], Any], request: Any, *, repeat: bool) -> Any:
        trouble: RegistryError = Unavailable("no etcd member was asked")
        for _ in range(_TRIES):
            stubs = await self._finder.serving()
            try:
                answer = await method(stubs)(
                    request, timeout=self._deadline_s, metadata=_HAS_LEADER
                )
            except grpc.aio.AioRpcError as problem:
                trouble = failure(problem, stubs.member.endpoint)
                if not isinstance(trouble, Unavailable | OutcomeUnknown):
                    raise trouble from problem
                self._finder.doubt(stubs)
                if isinstance(trouble, OutcomeUnknown) and not repeat:
                    raise trouble from problem
            else:
                self._finder.heard(stubs)
                return answer
        raise Unavailable(str(trouble)) from trouble


def _new_enough(text: str) -> bool:
    """A release candidate of the least version is not that version yet."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)(-(?:rc|alpha|beta))?", text)
    if match is None:
        return False
    version = (int(match[1]), int(match[2]), int(match[3]))
    return version > VERSION_MIN or (version == VERSION_MIN and match[4] is None)


def _range_end(prefix: str) -> bytes:
    """The first key after everything that starts with `prefix` (which never ends in 0xff)."""
    start = prefix.encode()
    return start[:-1] + bytes([start[-1] + 1])


def _pair(pair: Any) -> KeyValue:
    return KeyValue(
        key=pair.key.decode(errors="replace"),
        value=bytes(pair.value),
        mod_revision=int(pair.mod_revision),
        lease=int(pair.lease),
    )


def _operation(operation: Operation) -> Any:
    match operation:
        case Put(key, value, lease):
            put = rpc.PutRequest(key=key.encode(), value=value, lease=lease)
            return rpc.RequestOp(request_put=put)
        case Delete(key):
            delete = rpc.DeleteRangeRequest(key=key.encode())
            return rpc.RequestOp(request_delete_range=delete)
        case Get(key):
            return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))
