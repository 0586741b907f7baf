"""One node's standing in etcd: its lease, its record, its view of the leader, its campaigns.

The shell around `coordinator.election`: it performs what the election asks, hands it what etcd
says, and passes its events on in order. Losing etcd is not an error here: everything is tried
again until `stop`, and whatever was asked for is answered in bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from coordinator import translate
from coordinator.ballot import (
    Answered,
    CampaignAsked,
    ChangeAsked,
    Input,
    LeaseGranted,
    LeaseLost,
    NotDone,
    PutLeader,
    Request,
    ResignAsked,
    Ticked,
    Unknown,
)
from coordinator.configuration import Configuration, ReplicaId
from coordinator.election import Election
from coordinator.events import CoordinatorEvent
from coordinator.keyvalue import Changed, LeaseGone, Listing, OutcomeUnknown, RegistryError
from coordinator.leasing import LeaseKeeper
from coordinator.ports import Registry
from coordinator.publishing import Publisher
from coordinator.recording import Recorder
from coordinator.records import Keys, LeaderRecord, NodeRecord
from coordinator.watching import Watcher

CAMPAIGN_DEADLINES: Final = 3
"""How many etcd deadlines a campaign may take: a send, a read back, and a second send."""

RETRY_MS: Final = 100
"""How soon a request that did not come through is tried again."""


class Session:
    """One life of the replica `me`, made and used on one running event loop.

    `registry` is the caller's, who closes it after `stop`. `endpoint` is where terminals find this
    node, `peer_endpoint` where other nodes do. `on_event` is called on the loop, in order, and may
    call back into the session. `life` is random and new with every start; `clock_ms` is the wall
    clock, for records only. A campaign is answered within `CAMPAIGN_DEADLINES` times `deadline_ms`,
    or twice that if the key was won late.
    """

    def __init__(
        self,
        registry: Registry,
        cluster: str,
        me: ReplicaId,
        site: str,
        endpoint: str,
        peer_endpoint: str,
        lease_ms: int,
        deadline_ms: int,
        on_event: Callable[[CoordinatorEvent], None],
        *,
        life: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._keys = Keys(cluster)
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._election = Election(
            me,
            site,
            endpoint,
            life=life,
            campaign_ms=CAMPAIGN_DEADLINES * deadline_ms,
            retry_ms=RETRY_MS,
        )
        self._on_event = on_event
        self._lease = LeaseKeeper(
            self._registry, -(-lease_ms // 1000), self._granted, self._lost, self._loop.time
        )
        self._watcher = Watcher(self._registry, self._keys.prefix, self._deliver, deadline_ms)
        self._publisher = Publisher(
            self._registry,
            self._keys.node(me.node),
            NodeRecord(me.node, me.disk, site, endpoint, peer_endpoint, 0, ""),
            self._lease.deny,
        )
        self._recorder = Recorder(self._registry, self._keys, me.node, site, clock_ms)
        self._deadline_s = deadline_ms / 1000
        self._inbox: deque[Input] = deque()
        self._stepping = False
        self._alarm: asyncio.TimerHandle | None = None
        # In the order they began, in which they are ended too.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._over: asyncio.Future[None] | None = None
        self.nodes: dict[str, NodeRecord] = {}
        """What every node last said of itself, by name; without those whose lease has gone."""

    # --- For the owner ------------------------------------------------------------------------

    @property
    def leader(self) -> LeaderRecord | None:
        """The leader as etcd last said; None where nobody leads."""
        return self._election.leader

    @property
    def lease_valid(self) -> bool:
        """Is this node's lease certain to be alive? For people: nothing may depend on it."""
        return self._lease.valid

    @property
    def etcd_endpoint(self) -> str:
        """The etcd member in use."""
        return self._registry.endpoint

    async def start(self) -> None:
        """Begin, whether etcd answers or not. Call once.

        Raises `UnsupportedVersion`, naming endpoint and version, if a member that answers is too
        old; one that does not answer now is left out later, should it be.
        """
        await self._registry.check_versions()
        self._over = self._loop.create_future()
        for loop in (self._lease, self._watcher, self._publisher, self._recorder):
            self._spawn(loop.run())
        self._spawn(self._registry.tend())

    async def wait(self) -> None:
        """Return after `stop`. Raises what a loop of this session, or `on_event`, died of."""
        if self._over is None:
            raise RuntimeError("the session has not been started")
        await asyncio.shield(self._over)

    async def stop(self) -> None:
        """End: give the lease back, and with it this node's record and its leader key, if any."""
        if self._over is None:
            return
        if not self._over.done():
            self._over.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RegistryError, TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                await self._lease.release()

    def campaign(self, attempt: str, suspected: int, configuration_revision: int) -> None:
        """Try for the leader key (E2): `Won` or `CampaignLost` follows, in bounded time.

        `attempt` is unique in this life; `suspected` is the epoch to replace, 0 when the key is
        absent. `Won` may also follow a `CampaignLost` that came for want of an answer (E3).
        """
        self._step(CampaignAsked(attempt, suspected, configuration_revision))

    def resign(self, epoch: int) -> None:
        """Delete the leader key if it is still at `epoch`; tried until etcd has answered."""
        self._step(ResignAsked(epoch))

    def change_configuration(
        self, change: int, epoch: int, revision: int, configuration: Configuration
    ) -> None:
        """Make a guarded change (E4): `GuardPassed`, `GuardFailed` or `GuardUnknown` follows."""
        self._step(ChangeAsked(change, epoch, revision, configuration))

    def switch_site(
        self, change: int, epoch: int, revision: int, configuration: Configuration
    ) -> None:
        """Switch the active site and give the leader key up in one transaction (E5).

        Answered as `change_configuration` is.
        """
        self._step(ChangeAsked(change, epoch, revision, configuration, resigning=True))

    def publish(self, last_index: int, health: str) -> None:
        """Say how this node is; cheap to call often. Nothing is published before the first call."""
        self._publisher.say(last_index, health)

    def record(self, kind: str, why: str, epoch: int, index: int) -> None:
        """Put an event on the operators' record in etcd; never blocks."""
        self._recorder.say(kind, why, epoch, index)

    # --- The election's errands ---------------------------------------------------------------

    def _step(self, said: Input) -> None:
        """Step the election; inputs that come up meanwhile wait their turn."""
        self._inbox.append(said)
        if self._stepping or self._over is None or self._over.done():
            return
        self._stepping = True
        try:
            while self._inbox:
                out = self._election.step(self._inbox.popleft(), self._now_ms())
                for request in out.requests:
                    self._spawn(self._perform(request))
                for event in out.events:
                    self._on_event(event)
        finally:
            self._stepping = False
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        wake_ms = self._election.wake_ms
        if wake_ms is not None:
            wait_s = max(0, wake_ms - self._now_ms() + 1) / 1000
            self._alarm = self._loop.call_later(wait_s, self._on_alarm)

    def _on_alarm(self) -> None:
        try:
            self._step(Ticked())
        except Exception as problem:
            self._die(problem)

    async def _perform(self, request: Request) -> None:
        guards, then, otherwise = translate.transaction(self._keys, request)
        result: Input
        try:
            outcome = await self._registry.transact(guards, then, otherwise)
            seen = translate.seen_in_outcome(self._keys, outcome)
            result = Answered(request, outcome.succeeded, seen)
        except OutcomeUnknown as problem:
            result = Unknown(request, str(problem))
        except RegistryError as problem:
            if isinstance(problem, LeaseGone) and isinstance(request, PutLeader):
                self._lease.deny(request.lease)
            result = NotDone(request, str(problem))
        self._step(result)

    def _granted(self, lease: int) -> None:
        self._publisher.bind(lease)
        self._step(LeaseGranted(lease))

    def _lost(self, lease: int) -> None:
        self._publisher.bind(0)
        self._step(LeaseLost(lease))

    def _deliver(self, news: Listing | tuple[Changed, ...]) -> None:
        if isinstance(news, Listing):
            pairs = ((pair.key, pair.value) for pair in news.pairs)
            found = (translate.node_record(self._keys, key, value) for key, value in pairs)
            self.nodes = {record.node: record for record in found if record}
            self._step(translate.seen_in_listing(self._keys, news))
            return
        for change in news:
            self._note_node(change)
            said = translate.seen_in_change(self._keys, change)
            if said is not None:
                self._step(said)

    def _note_node(self, change: Changed) -> None:
        if change.value is None:
            self.nodes.pop(change.key.removeprefix(self._keys.nodes), None)
            return
        record = translate.node_record(self._keys, change.key, change.value)
        if record is not None:
            self.nodes[record.node] = record

    # --- Tasks --------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._die(problem)

    def _die(self, problem: BaseException) -> None:
        """A defect, here or in the owner: going on would mean acting on half of what was said."""
        if self._over is not None and not self._over.done():
            self._over.set_exception(problem)
            # The lease must not be renewed for an owner that no longer listens.
            for task in list(self._tasks):
                task.cancel()

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)
