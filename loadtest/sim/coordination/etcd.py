"""An etcd in virtual time: linearizable, with leases and watches, and with the habits that hurt.

An answer may be lost after its request took effect; a request may take effect when its sender has
long given it up; a lease ends at any moment etcd may end it, and lives on when etcd was away; a
watch lags, and finds its history compacted. What is never in doubt is what etcd holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from coordinator.configuration import Configuration, ConfigurationError
from coordinator.keyvalue import (
    Changed,
    Delete,
    KeyValue,
    Listing,
    Operation,
    Outcome,
    Put,
    RegistryError,
    Unchanged,
)
from coordinator.records import Keys, LeaderRecord, RecordError
from loadtest.sim.coordination.keyspace import Keyspace
from loadtest.sim.coordination.lessor import Lease, Lessor
from loadtest.sim.coordination.watches import Watches
from loadtest.sim.happening import Happened, Kind, Listener
from loadtest.sim.loop import VirtualLoop
from loadtest.sim.setup import EtcdManners
from loadtest.sim.timeline import Dice, Timeline

T = TypeVar("T")

_COMPACTING_MS: Final = (3_000.0, 12_000.0)
"""How long until the history is compacted again: least and most."""

_REFUSING: Final = 0.4
"""The share of absences in which connections are refused; else etcd just says nothing."""

_STRANDED: Final = 0.3
"""The share of writes, on their way when etcd went, that take effect when it is back."""


@dataclass(frozen=True, slots=True)
class _Request:
    """`perform` does it and says what came of it; `fate` and `spare` are by lot, below 1."""

    who: str
    what: str
    write: bool
    perform: Callable[[], Callable[[], None]]
    fate: float
    spare: float


class SimEtcd:
    """One etcd; a `network.Host`. The first part is for the world, the second for registries.

    `manners` may be changed at any time. `cluster` is the one whose keys `configuration` and
    `leader` show.
    """

    def __init__(
        self,
        timeline: Timeline,
        dice: Dice,
        tell: Listener,
        manners: EtcdManners,
        *,
        cluster: str = "sim",
    ) -> None:
        self.name = "etcd"
        self.site = ""
        self.manners = manners
        self.keys = Keys(cluster)
        self.present = True
        """Is it there? `away` and `back` change that."""
        self._timeline = timeline
        self._dice = dice
        self._draw = dice.of("etcd")
        self._tell = tell
        self._process = VirtualLoop(self.name, timeline, self._draw)
        self.loop: VirtualLoop | None = self._process
        self._lessor = Lessor(
            timeline, dice.of("leases"), lambda: self.manners.slack_ms, self._ended
        )
        self._keyspace = Keyspace(self._lessor)
        self.watches = Watches(timeline, dice, self._keyspace, lambda: self.manners.watch_ms)
        self._stranded: list[_Request] = []
        self._configuration: tuple[Configuration | None, int] = (None, 0)
        self._leader: tuple[LeaderRecord | None, int] = (None, 0)
        self._compact_later()

    # -- for the world ---------------------------------------------------------------------------

    def configuration(self) -> tuple[Configuration | None, int]:
        """The configuration and its revision; None, 0 where there is none."""
        return self._configuration

    def leader(self) -> tuple[LeaderRecord | None, int]:
        """The leader key's record and its epoch; None, 0 where nobody leads."""
        return self._leader

    def pairs(self, prefix: str) -> tuple[KeyValue, ...]:
        """Everything under `prefix`, in the order of the keys."""
        return self._keyspace.list(prefix).pairs

    def put(self, key: str, value: bytes) -> int:
        """Write a key, there and then; its revision."""
        return self.transact("", (), (Put(key, value),)).revision

    def away(self, *, refusing: bool | None = None) -> None:
        """Nothing takes effect and nobody is answered, until `back`.

        `refusing`: are connections refused, or does it just say nothing? None: by lot.
        """
        if not self.present:
            return
        by_lot = self._draw.random() < _REFUSING
        self.present = False
        self.watches.end()
        self._lessor.rest()
        if by_lot if refusing is None else refusing:
            self.loop = None
        self._told(Kind.ETCD_AWAY, "etcd", "silent" if self.loop else "refuses connections")

    def back(self) -> None:
        """It is there again: every lease has its full time, and a few old requests take effect."""
        if self.present:
            return
        self.present = True
        self.loop = self._process
        self.watches.begin()
        self._lessor.resume()
        stranded, self._stranded = self._stranded, []
        for request in stranded:
            wait = self._draw.uniform(0, self.manners.late_ms)
            self._later(wait, request, self._do_late)
        self._told(Kind.ETCD_BACK, "etcd")

    def expire(self, owner: str) -> None:
        """The leases of host `owner` end now, renewed or not: etcd was slow to hear of it."""
        if self.present:
            self._lessor.expire(lambda lease: lease.owner == owner)

    def expire_all_silent(self) -> None:
        """Every lease ends now that nobody renewed for its whole time."""
        if self.present:
            self._lessor.expire(self._lessor.overdue)

    def compact(self) -> None:
        """Forget the history: who was away for a while must list again."""
        self._keyspace.compact()

    # -- requests --------------------------------------------------------------------------------

    def serve(
        self,
        who: str,
        what: str,
        work: Callable[[], T],
        reply: Callable[[T | RegistryError], None],
        *,
        write: bool,
    ) -> None:
        """A request of host `who` has arrived: do `work` soon and give `reply` what came of it, or
        do one of them only, or neither."""
        draw = self._dice.of(f"etcd {who}")
        manners = self.manners
        soon = draw.uniform(manners.least_ms, manners.most_ms)

        def perform() -> Callable[[], None]:
            try:
                result: T | RegistryError = work()
            except RegistryError as problem:
                result = problem
            return lambda: reply(result)

        request = _Request(who, what, write, perform, draw.random(), draw.random())
        if write and request.fate < manners.late:
            self._later(soon + request.spare * manners.late_ms, request, self._do_late)
        else:
            self._later(soon, request, self._do)

    def transact(
        self,
        who: str,
        guards: Sequence[Unchanged],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """See `coordinator.ports.Registry`; of host `who`, there and then. Raises `LeaseGone`."""
        before = self._keyspace.revision
        outcome = self._keyspace.transact(guards, then, otherwise)
        if outcome.revision > before:
            self._changed(who, self._keyspace.last)
        return outcome

    def list(self, prefix: str) -> Listing:
        """All keys under `prefix`."""
        return self._keyspace.list(prefix)

    def grant(self, who: str, ttl_s: int) -> tuple[int, int]:
        """A new lease of host `who`: its number, and the seconds granted."""
        return self._lessor.grant(who, ttl_s), ttl_s

    def renew(self, number: int) -> float:
        """The seconds the lease has from now on, 0 if there is none."""
        return self._lessor.renew(number)

    def revoke(self, who: str, number: int) -> None:
        """End a lease and its keys. Raises `LeaseGone`."""
        self._lessor.revoke(number)
        self._unbind(who, number)

    # -- what becomes of requests ----------------------------------------------------------------

    def _later(self, ms: float, request: _Request, do: Callable[[_Request], None]) -> None:
        self._timeline.after(ms, lambda: do(request), f"etcd: {request.what} of {request.who}")

    def _do(self, request: _Request) -> None:
        if not self.present:
            self._strand(request)
            return
        before = self._keyspace.revision
        reply = request.perform()
        if request.fate >= self.manners.late + self.manners.answer_lost:
            reply()
        elif self._keyspace.revision > before:
            self._told(Kind.ANSWER_LOST, request.who, request.what)

    def _do_late(self, request: _Request) -> None:
        if not self.present:
            self._strand(request)
            return
        before = self._keyspace.revision
        request.perform()
        if self._keyspace.revision > before:
            self._told(Kind.LATE, request.who, request.what)

    def _strand(self, request: _Request) -> None:
        if request.write and request.spare < _STRANDED:
            self._stranded.append(request)

    # -- what changes ----------------------------------------------------------------------------

    def _changed(self, who: str, changes: tuple[Changed, ...]) -> None:
        for change in changes:
            if change.key == self.keys.configuration:
                self._configured(who, change)
            elif change.key == self.keys.leader:
                self._leader = _leader(change)
        self.watches.changed(changes)

    def _configured(self, who: str, change: Changed) -> None:
        former, _ = self._configuration
        self._configuration = (_configuration(change), change.mod_revision if change.value else 0)
        now, revision = self._configuration
        if former is not None and now is not None and former.active_site != now.active_site:
            lossy = bool(now.given_up - former.given_up)
            what = f"site {now.active_site} instead of {former.active_site}, revision {revision}"
            self._told(Kind.PROMOTED if lossy else Kind.SITE_SWITCHED, who, what)

    def _ended(self, number: int, lease: Lease) -> None:
        self._unbind(lease.owner, number)
        self._told(Kind.LEASE_EXPIRED, lease.owner, f"lease {number}")

    def _unbind(self, who: str, number: int) -> None:
        self.transact(who, (), [Delete(key) for key in self._keyspace.bound(number)])

    # -- the rest --------------------------------------------------------------------------------

    def _compact_later(self) -> None:
        def now() -> None:
            self.compact()
            self._compact_later()

        self._timeline.after(self._draw.uniform(*_COMPACTING_MS), now, "etcd compacts")

    def _told(self, kind: Kind, who: str, detail: str = "") -> None:
        self._tell(Happened(self._timeline.now, kind, who, detail))


def _configuration(change: Changed) -> Configuration | None:
    try:
        return Configuration.from_json(change.value) if change.value is not None else None
    except ConfigurationError:
        return None


def _leader(change: Changed) -> tuple[LeaderRecord | None, int]:
    if change.value is None:
        return None, 0
    try:
        return LeaderRecord.from_json(change.value, change.mod_revision), change.mod_revision
    except RecordError:
        return None, change.mod_revision
