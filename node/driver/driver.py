"""The one owner of one Replica: feeds its inputs, performs its outputs, on the event loop.

The duties of `node/core/__init__.py` are met here, in the order written there. The store calls
back from its own thread, once a transaction; everything else is already on the loop.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from coordinator import events as coordination
from node.core import Replica
from node.core.inputs import (
    Applied,
    CampaignLost,
    ConfigurationSeen,
    GuardFailed,
    GuardPassed,
    GuardUnknown,
    Input,
    LeaderSeen,
    Loaded,
    Persisted,
    Proposed,
    StorageFailed,
    Tick,
    Won,
)
from node.core.messages import Entry, Message
from node.core.outputs import (
    Answer,
    Campaign,
    ChangeConfiguration,
    Event,
    Fenced,
    Load,
    NotProposed,
    Output,
    Placed,
    ReadReady,
    ReadRefused,
    RegistryRequest,
    Resign,
    SwitchSite,
    Write,
)
from node.driver.ports import Elections, Snapshots, Storage, Waiters
from node.ledger.commands import Receipt

TICK_MS = 20


class Driver:
    """Owns `replica`. Everything here runs on the event loop, but for the store's callbacks."""

    def __init__(
        self,
        replica: Replica,
        store: Storage,
        *,
        send: Callable[[str, Message], None],
        journal: Callable[[Event], None],
        loop: asyncio.AbstractEventLoop,
        readers: Executor,
        append_bytes: int,
    ) -> None:
        """`send` queues a message for a node; `readers` runs reads of the log off the loop."""
        self.replica = replica
        self.elections: Elections | None = None
        self.snapshots: Snapshots | None = None
        self.waiters: Waiters | None = None
        self._store = store
        self._send = send
        self._journal = journal
        self._loop = loop
        self._readers = readers
        self._append_bytes = append_bytes
        self._inbox: deque[Input] = deque()
        self._busy = False
        self._ticking: asyncio.TimerHandle | None = None

    # -- in -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick."""
        self._tick()

    def stop(self) -> None:
        """Stop ticking; what still comes in is taken as before."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def now_ms(self) -> float:
        """Monotonic milliseconds, the core's time."""
        return self._loop.time() * 1000

    def feed(self, *inputs: Input) -> None:
        """Step the replica with these inputs, in order, and perform what it says."""
        self._inbox.extend(inputs)
        if self._busy:
            return  # called from inside a step: the loop below takes it
        self._busy = True
        try:
            while self._inbox:
                self._perform(self._step(self._inbox.popleft()))
                if not self._inbox and self.waiters is not None:
                    self.waiters.on_step()  # may feed more
        finally:
            self._busy = False

    def _step(self, input: Input) -> Output:
        """A leader whose steps fail must not stay leader: better nobody than half of one."""
        try:
            return self.replica.step(input, self.now_ms())
        except Exception as problem:
            words = f"{type(problem).__name__} at {type(input).__name__}: {problem}"
            traceback.print_exc(file=sys.stderr)
            return self.replica.fail(words)

    def propose(self, ticket: int, payload: bytes) -> None:
        """Hand a batch to the replica; `ticket` comes back with its place, or with a refusal."""
        self.feed(Proposed(ticket, payload))

    def on_coordination(self, event: coordination.CoordinatorEvent) -> None:
        """What etcd said, as inputs of the core."""
        self.feed(_translate(event))

    # -- from the store's thread ----------------------------------------------------------------

    def applied(self, index: int, receipts: list[tuple[int, tuple[Receipt, ...]]]) -> None:
        """Store listener: these entries are applied, their transaction not yet on disk.

        Their receipts may leave: the entries are on a write quorum already.
        """
        self._loop.call_soon_threadsafe(self._on_applied, index, receipts)

    def persisted(self, number: int) -> None:
        """Store listener: everything up to write `number` is on disk."""
        self._loop.call_soon_threadsafe(self.feed, Persisted(number))

    def failed(self, reason: str) -> None:
        """Store listener: nothing more will be vouched for."""
        self._loop.call_soon_threadsafe(self.feed, StorageFailed(reason))

    def _on_applied(self, index: int, receipts: list[tuple[int, tuple[Receipt, ...]]]) -> None:
        if self.waiters is not None:
            self.waiters.on_receipts(receipts)
        self.feed(Applied(index))

    # -- out ------------------------------------------------------------------------------------

    def _perform(self, out: Output) -> None:
        for write in out.persist:
            if isinstance(write, Write):
                self._store.write(write)
            elif self.snapshots is not None:
                self.snapshots.install(write)
        for send in out.send:
            self._send(send.node, send.message)
        if out.apply:
            self._store.apply(out.apply)
        for load in out.load:
            self._load(load)
        if out.prune:
            self._store.prune(out.prune)
        if self.snapshots is not None:
            for node in out.make_snapshot:
                self.snapshots.make(node)
            for node, offer in out.fetch_snapshot:
                self.snapshots.fetch(node, offer)
        if out.abandon and self.waiters is not None:
            self.waiters.on_abandon()
        for answer in out.answer:
            self._answer(answer)
        for request in out.ask_registry:
            self._ask(request)
        for event in out.events:
            self._journal(event)

    def _answer(self, answer: Answer) -> None:
        if self.waiters is None:
            return
        match answer:
            case Placed():
                self.waiters.on_placed(answer)
            case NotProposed():
                self.waiters.on_not_proposed(answer)
            case ReadReady() | ReadRefused():
                self.waiters.on_read(answer)
            case Fenced():
                self.waiters.on_fenced(answer)

    def _ask(self, request: RegistryRequest) -> None:
        if self.elections is None:
            return
        match request:
            case Campaign(attempt, suspected, revision):
                self.elections.campaign(attempt, suspected, revision)
            case Resign(epoch):
                self.elections.resign(epoch)
            case ChangeConfiguration(change, epoch, revision, configuration):
                self.elections.change_configuration(change, epoch, revision, configuration)
            case SwitchSite(change, epoch, revision, configuration):
                self.elections.switch_site(change, epoch, revision, configuration)

    def _load(self, load: Load) -> None:
        reading = self._readers.submit(self._store.read_log, load.first, self._append_bytes)

        def done(entries: tuple[Entry, ...]) -> None:
            self.feed(Loaded(load, entries))

        def relay(future: object) -> None:
            error = reading.exception()
            if error is not None:
                # An unreadable log is a disk that can no longer be trusted.
                self.failed(f"the log cannot be read from index {load.first}: {error}")
            else:
                self._loop.call_soon_threadsafe(done, reading.result())

        reading.add_done_callback(relay)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(TICK_MS / 1000, self._tick)
        self.feed(Tick())


def _translate(event: coordination.CoordinatorEvent) -> Input:
    match event:
        case coordination.Won(attempt, epoch, configuration, revision):
            return Won(attempt, epoch, configuration, revision)
        case coordination.CampaignLost(attempt, reason):
            return CampaignLost(attempt, reason)
        case coordination.LeaderSeen(epoch, node, disk, revision):
            return LeaderSeen(epoch, node, disk, revision)
        case coordination.ConfigurationSeen(configuration, revision):
            return ConfigurationSeen(configuration, revision)
        case coordination.GuardPassed(change, revision):
            return GuardPassed(change, revision)
        case coordination.GuardFailed(change):
            return GuardFailed(change)
        case coordination.GuardUnknown(change):
            return GuardUnknown(change)
