"""Several replicas in memory, and everything around them under the test's hand.

Nothing happens by itself: messages wait in `packets`, writes in each node's `unsynced`, requests in
`requests`, watch events in `news`. `settle` and `run` do all that is not held back. After every
step the invariants of one replica (node.core.invariants) and those between replicas (witness) are
checked. The same commands always give the same world: there is no clock and no randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordinator.configuration import Configuration, ReplicaId, is_takeover_quorum, majority
from loadtest.sim.witness import Witness
from node.core import Identity, Log, Replica, Timings
from node.core.inputs import (
    Applied,
    ConfigurationSeen,
    FenceAsked,
    Input,
    Inquired,
    Loaded,
    PeerRefused,
    Persisted,
    Proposed,
    Received,
    SnapshotFetched,
    SnapshotMade,
    SnapshotMissed,
    Tick,
)
from node.core.invariants import check
from node.core.leader import Leader
from node.core.messages import GENESIS_HASH, Entry, Message, Offer, Promise
from node.core.outputs import Answer, Event, Fenced, Install, Load, Output, Write
from tests.node.core.registry import News, Outside, Registry, Request, unknown

HEARD_TOO_MUCH = 20_000
"""More steps than any settling needs: the replicas talk in circles."""


@dataclass(slots=True)
class Disk:
    """What survives a crash. `entries` are kept for the witness also where they are `pruned`; the
    replica is given none of those."""

    disk_id: str
    promised: int = 0
    revision: int = 0
    bound: bool = False
    applied: int = 0
    pruned: int = 0
    entries: list[Entry] = field(default_factory=list)

    def read(self, first: int, count: int) -> tuple[Entry, ...]:
        """Entries from `first` on; none where it was pruned."""
        return tuple(self.entries[first - 1 : first - 1 + count]) if first > self.pruned else ()

    def prune(self, index: int) -> None:
        """Never above what is applied on disk, as the store does it."""
        self.pruned = max(self.pruned, min(index, self.applied))

    def install(self, install: Install, entries: Iterable[Entry]) -> None:
        """One durable step: ledger and log become the snapshot's."""
        self.promised = max(self.promised, install.promised)
        self.revision = max(self.revision, install.configuration_revision)
        self.entries = list(entries)
        self.applied = self.pruned = install.offer.index

    def perform(self, write: Write) -> None:
        """One durable step, all of it."""
        self.promised = max(self.promised, write.promised)
        self.revision = max(self.revision, write.configuration_revision)
        if write.truncate_after is not None:
            del self.entries[write.truncate_after :]
        for entry in write.entries:
            assert entry.index == len(self.entries) + 1, "a write leaves a gap"
            self.entries.append(entry)


@dataclass(slots=True)
class Apply:
    """An entry for the ledger; `told` once the core has heard `Applied`, which may be early."""

    entry: Entry
    told: bool = False


@dataclass(frozen=True, slots=True)
class Prune:
    """The log is not needed up to this index."""

    index: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """X4 under way: site `to` is to lead with loss; `fenced_at` is what every replica is asked to
    promise, `tickets` names the questions, `configuration` at `revision` is what was read before.
    """

    to: str
    fenced_at: int
    configuration: Configuration
    revision: int
    tickets: Mapping[int, ReplicaId]


@dataclass(frozen=True, slots=True)
class Packet:
    """A message on its way."""

    number: int
    sender: ReplicaId
    target: str
    message: Message


@dataclass(slots=True)
class Node:
    """One node: its disk always, its replica while its process runs."""

    name: str
    site: str
    disk: Disk
    replica: Replica | None = None
    paused: bool = False
    life: int = 0
    unsynced: list[Write | Install | Apply | Prune] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    making: list[str] = field(default_factory=list)
    snapshot: Offer | None = None  # the file kept here, as it may be offered
    fetch: tuple[str, Offer] | None = None
    news: list[News] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    abandoned: int = 0

    @property
    def live(self) -> bool:
        """Does its process run, and take inputs?"""
        return self.replica is not None and not self.paused

    @property
    def id(self) -> ReplicaId:
        """The replica that is on its disk now."""
        return ReplicaId(self.name, self.disk.disk_id)


class World:
    """The cluster. `now` is in ms; `watcher` is told every step, for those who write it down. The
    sites in `batches` are fed so while they are the standby, as often as it says in ms (X6)."""

    def __init__(
        self,
        sites: Mapping[str, Sequence[str]],
        *,
        copies_min: int = 2,
        timings: Timings | None = None,
        active: str = "",
        batches: Mapping[str, int] | None = None,
    ) -> None:
        self.now = 0.0
        self.batches = batches or {}
        self.timings = timings or Timings()
        self.nodes = {
            name: Node(name, site, Disk(f"d{name}"))
            for site, names in sites.items()
            for name in names
        }
        self.registry = Registry(
            Configuration(
                "cluster",
                active or next(iter(sites)),
                {
                    site: frozenset(
                        self.nodes[name].id for name in names if site not in self.batches
                    )
                    for site, names in sites.items()
                },
                copies_min,
            )
        )
        self.witness = Witness()
        self.packets: list[Packet] = []
        self.requests: list[Request] = []
        self.cut: set[tuple[str, str]] = set()
        self.slow_disks: set[str] = set()
        self.etcd_away = False
        self.etcd_cut: set[str] = set()
        self.slow_fetches: set[str] = set()
        self.files: dict[tuple[int, bytes], tuple[Entry, ...]] = {}
        self.lost: dict[ReplicaId, Disk] = {}
        self.outside: list[Outside] = []
        self.sound = True  # no step has broken an invariant
        self.watcher: Callable[[str, Input, Output], None] | None = None
        self._numbers = 0
        self._tickets = 0
        for name in self.nodes:
            self.restart(name)

    # -- one thing at a time --------------------------------------------------------------------

    def step(self, name: str, input: Input) -> Output:
        """Feed one input to a live replica and take in what it asks for."""
        node = self.nodes[name]
        replica = self.replica(name)
        if isinstance(input, Inquired):
            self.witness.asked(name, node.life, input.read)
        self.sound = False
        output = replica.step(input, self.now)
        check(replica)
        self._take(node, replica, output)
        self.sound = True
        if self.watcher is not None:
            self.watcher(name, input, output)
        return output

    def replica(self, name: str) -> Replica:
        """The node's replica; the node must be running and not paused."""
        node = self.nodes[name]
        assert node.replica is not None, f"{name} is not running"
        assert not node.paused, f"{name} is paused"
        return node.replica

    def leading(self, name: str) -> Leader:
        """The node's role, which must be leader."""
        role = self.replica(name).role
        assert isinstance(role, Leader), f"{name} is {role.role}"
        return role

    def tick(self, *names: str, ms: float = 0.0) -> None:
        """Let time pass, then tick these nodes, or all."""
        self.now += ms
        for name in names or self.live():
            self.step(name, Tick())

    def propose(self, name: str, payload: bytes = b"") -> int:
        """Propose a batch, by default of a payload never used before. Returns the ticket."""
        self._tickets += 1
        self.step(name, Proposed(self._tickets, payload or b"p%d" % self._tickets))
        return self._tickets

    def inquire(self, name: str) -> int:
        """Ask for a current read. Returns its number."""
        self._tickets += 1
        self.step(name, Inquired(self._tickets))
        return self._tickets

    def deliver(self, packet: Packet, *, keep: bool = False) -> None:
        """Deliver one message (with `keep`, a copy of it). To a dead node it is lost."""
        if not keep:
            self.packets.remove(packet)
        if self.nodes[packet.target].replica is not None:
            self.step(packet.target, Received(packet.sender, packet.message))

    def select(
        self, sender: str = "", target: str = "", kind: type[object] = object
    ) -> list[Packet]:
        """The messages on their way from, to, and of a kind."""
        return [
            packet
            for packet in self.packets
            if sender in ("", packet.sender.node)
            and target in ("", packet.target)
            and isinstance(packet.message, kind)
        ]

    def deliver_all(self, sender: str = "", target: str = "", kind: type[object] = object) -> int:
        """Deliver these messages, in the order sent, not those they cause. Returns how many."""
        selected = [p for p in self.select(sender, target, kind) if not self.nodes[p.target].paused]
        for packet in selected:
            self.deliver(packet)
        return len(selected)

    def drop(self, sender: str = "", target: str = "", kind: type[object] = object) -> int:
        """Lose these messages. Returns how many."""
        selected = self.select(sender, target, kind)
        for packet in selected:
            self.packets.remove(packet)
        return len(selected)

    def apply(self, name: str) -> int:
        """The ledger takes what it was given, not yet synced. Returns how many entries."""
        told = 0
        for operation in list(self.nodes[name].unsynced):
            if isinstance(operation, Apply) and not operation.told:
                operation.told = True
                told += 1
                self.step(name, Applied(operation.entry.index))
        return told

    def persist(self, name: str, count: int | None = None) -> int:
        """Sync the first `count` waiting writes and applies, or all, as one transaction."""
        node = self.nodes[name]
        batch = node.unsynced[:count]
        applied = number = 0
        for operation in batch:
            if isinstance(operation, Write | Install):
                number = operation.number
            elif isinstance(operation, Apply) and not operation.told:
                operation.told = True
                applied = operation.entry.index
        if applied:
            self.step(name, Applied(applied))  # may ask for more, which is not in this batch
        del node.unsynced[: len(batch)]
        for operation in batch:
            match operation:
                case Write():
                    node.disk.perform(operation)
                case Install(_, promised, _, offer):
                    self.witness.installing(node.id, promised, offer, node.disk)
                    node.disk.install(operation, self.files[offer.index, offer.hash])
                case Prune(index):
                    node.disk.prune(index)
                case Apply(entry):
                    node.disk.applied = entry.index
        if number:
            self.step(name, Persisted(number))
        return len(batch)

    def load(self, name: str) -> int:
        """Read from disk what the core asked for. Returns how many answers were given."""
        node = self.nodes[name]
        loads, node.loads = node.loads, []
        for load in loads:
            self.step(name, Loaded(load, node.disk.read(load.first, 8)))
        return len(loads)

    # -- snapshots ------------------------------------------------------------------------------

    def make_snapshots(self, name: str) -> int:
        """Copy the ledger for the peers it was asked for. The one made last is given again while
        the log that follows it is there. Returns how many were told."""
        node, disk = self.nodes[name], self.nodes[name].disk
        peers, node.making = node.making, []
        if peers and disk.applied and (node.snapshot is None or node.snapshot.index < disk.pruned):
            last = disk.entries[disk.applied - 1]
            node.snapshot = Offer(0, last.index, last.epoch, last.hash)
            self.files[last.index, last.hash] = tuple(disk.entries[: disk.applied])
        for peer in peers if node.snapshot is not None else ():
            made = node.snapshot
            assert made is not None
            self.step(name, SnapshotMade(peer, made.index, made.entry_epoch, made.hash))
        return len(peers)

    def fetch(self, name: str, *, whole: bool = True) -> bool:
        """The fetch under way ends: with the file, if it is still offered and the way is free."""
        node = self.nodes[name]
        if node.fetch is None:
            return False
        (source, offer), node.fetch = node.fetch, None
        kept = self.nodes[source].snapshot
        reached = self.nodes[source].live and (source, name) not in self.cut
        if whole and reached and kept is not None and kept.hash == offer.hash:
            self.step(name, SnapshotFetched(offer))
        else:
            self.step(name, SnapshotMissed(offer, "cut short"))
        return True

    # -- etcd -----------------------------------------------------------------------------------

    def execute(self, request: Request) -> None:
        """etcd carries the request out; the answer is another step."""
        self.registry.execute(request)
        self._spread_news()

    def answer(self, request: Request, *, known: bool = True) -> None:
        """The requester hears the outcome, or that nobody knows it: then the request may still be
        carried out, and answered, later."""
        if known:
            self.requests.remove(request)
        answer = self.registry.answer(request) if known else unknown(request.ask)
        node = self.nodes[request.node]
        if answer is not None and node.life == request.life and node.replica is not None:
            self.step(request.node, answer)

    def watch(self, name: str, count: int | None = None) -> int:
        """The node hears the first `count` watch events that wait for it. Returns how many."""
        node = self.nodes[name]
        news = node.news[:count]
        del node.news[: len(news)]
        for event in news:
            self.step(name, event)
        return len(news)

    def expire(self, name: str) -> None:
        """The node's lease runs out: its leader key goes."""
        held = self.registry.leader
        if held is not None and held.replica.node == name:
            self.registry.delete_leader()
            self._spread_news()

    def plan_switch(self, to: str) -> Outside | None:
        """A coordinator reads the configuration and plans a switch, which waits in `outside`."""
        planned = self.registry.plan_switch(to)
        if planned is not None:
            self.outside.append(planned)
        return planned

    def switch(self, outside: Outside) -> bool:
        """A coordinator's switch reaches etcd. Returns whether its guard held (E5)."""
        self.outside.remove(outside)
        made = self.registry.switch_from_outside(outside)
        self._spread_news()
        return made

    def fence(self, name: str, epoch: int) -> int:
        """Ask a live replica to be fenced (X4). Returns the ticket."""
        self._tickets += 1
        self.step(name, FenceAsked(self._tickets, epoch))
        return self._tickets

    def begin_promotion(self, to: str, asked: Iterable[str] | None = None) -> Promotion:
        """X4: take the leader key and fence every live replica (or those `asked`) at its epoch;
        they answer when that is durable."""
        registry = self.registry
        configuration, revision = registry.configuration, registry.configuration_revision
        epoch = registry.take_key()
        self._spread_news()
        names = self.live() if asked is None else asked
        tickets = {self.fence(name, epoch): self.nodes[name].id for name in names}
        return Promotion(to, epoch, configuration, revision, tickets)

    def fenced(self, promotion: Promotion) -> dict[ReplicaId, Promise]:
        """Who has vowed by now, and where their logs ended: of disks that are still there."""
        return {
            node.id: answer.promise
            for node in self.nodes.values()
            for answer in node.answers
            if isinstance(answer, Fenced)
            and promotion.tickets.get(answer.ticket) == node.id
            and isinstance(answer.promise, Promise)
        }

    def promote(self, promotion: Promotion, *, fenced: bool = True, guarded: bool = True) -> bool:
        """X4: the one transaction, if the fence is complete. What is lost is listed before.

        Without `fenced` (a takeover quorum has vowed) or `guarded` (the leader key is still the
        promoter's): what must not be done, for the tests that show why.
        """
        old, to = promotion.configuration, promotion.to
        vowed = self.fenced(promotion)
        former = old.active_site
        there = {node.id: node.replica for node in self.nodes.values() if node.site == former}
        off = not any(there.values()) and is_takeover_quorum(old, former, there)
        if fenced and not (is_takeover_quorum(old, former, vowed) or off):
            return False
        ends = {
            replica: promise
            for replica, promise in vowed.items()
            if self.nodes[replica.node].site == to and replica not in old.given_up
        }
        if not ends:
            return False
        # Whoever of them comes to lead must hold all that any of them knows to be committed, ...
        committed = max(promise.commit_index for promise in ends.values())
        last = max(promise.last_epoch for promise in ends.values())
        survivors = frozenset(
            replica
            for replica, end in ends.items()
            if end.commit_index == committed
            or (end.last_epoch == last and end.last_index >= committed)
        )
        # ... and keeps at least what the shortest takeover quorum of them does.
        ranked = sorted(survivors, key=lambda r: (ends[r].last_epoch, ends[r].last_index))
        shortest = ranked[-majority(len(ranked))]
        log = self.nodes[shortest.node].disk.entries[: ends[shortest].last_index]
        kept = {entry.hash for entry in log}
        # By hash, not by index: what the survivors have at an index may never have been settled.
        listed = [
            entry
            for node in self.nodes.values()
            if node.site == former and (node.id in vowed or off)
            for entry in node.disk.entries[
                : vowed[node.id].last_index if node.id in vowed else None
            ]
            if entry.hash not in kept
        ]
        # All that could ever show what is given up, and whoever in `to` did not say where it ends.
        unheard = {node.id for node in self.nodes.values()} - set(ends)
        planned = replace(
            old,
            active_site=to,
            in_sync={
                site: survivors if site == to else frozenset[ReplicaId]() for site in old.in_sync
            },
            given_up=old.given_up | unheard | (old.members - set(ends)),
        )
        held = promotion.fenced_at if guarded else None
        made = self.registry.promote(planned, promotion.revision, held)
        if made:
            self.witness.promoted(kept, listed, self.registry.revision)
            self._spread_news()
        return made

    def reconfigure(self, configuration: Configuration) -> None:
        """A person sets the configuration (E5): the leader key goes with it."""
        self.registry.switch(configuration)
        self._spread_news()

    # -- processes and disks --------------------------------------------------------------------

    def crash(self, name: str, *, refuse: bool = False) -> None:
        """The process dies with all that was not synced. With `refuse` the others see at once that
        nothing listens there any more."""
        node = self.nodes[name]
        node.replica, node.paused = None, False
        node.unsynced.clear()
        node.loads.clear()
        node.making.clear()
        node.fetch = None
        node.news.clear()
        if refuse:
            for other in self.live():
                self.step(other, PeerRefused(name))

    def restart(self, name: str) -> None:
        """A new life from what is on disk, told what etcd holds."""
        node = self.nodes[name]
        disk = node.disk
        node.life += 1
        # Every other restart reads only the tail of the log into memory, as a long log has it.
        base = disk.applied if node.life % 2 == 0 else disk.pruned
        at = disk.entries[base - 1] if base else Entry(0, 0, b"", GENESIS_HASH)
        share = sorted(self.nodes).index(name) / len(self.nodes)
        node.replica = Replica(
            Identity(
                node.id,
                node.site,
                {other.name: other.site for other in self.nodes.values() if other is not node},
                f"life{node.life}",
                self.batches,
            ),
            self.timings,
            lambda: share,
            Log(at.index, at.epoch, at.hash, disk.entries[base:]),
            now=self.now,
            promised=disk.promised,
            revision=disk.revision,
            applied=disk.applied,
            bound=disk.bound,
            pruned=disk.pruned,
        )
        node.news = [self.registry.configuration_seen(), self.registry.leader_seen()]

    def pause(self, name: str) -> None:
        """The process stops taking inputs; what is sent to it waits."""
        self.nodes[name].paused = True

    def wake(self, name: str) -> None:
        """The process goes on where it stopped."""
        self.nodes[name].paused = False

    def lose_disk(self, name: str) -> None:
        """A stopped node comes back later with an empty disk of another id (D6)."""
        node = self.nodes[name]
        assert node.replica is None, "stop it first"
        self.lost[node.id] = node.disk
        node.disk = Disk(f"{node.disk.disk_id}'")
        node.snapshot = None

    def isolate(self, name: str) -> None:
        """Cut the node off from its peers, not from etcd."""
        for other in self.nodes:
            self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        """All links, disks and etcd work again; who was paused goes on."""
        self.cut.clear()
        self.slow_disks.clear()
        self.slow_fetches.clear()
        self.etcd_away = False
        self.etcd_cut.clear()
        for name in self.nodes:
            self.wake(name)

    # -- everything at once ---------------------------------------------------------------------

    def live(self) -> list[str]:
        """The nodes that run."""
        return [name for name, node in self.nodes.items() if node.live]

    def settle(self) -> None:
        """Do all that is not held back, and what follows from it, until nothing is left to do."""
        for _ in range(HEARD_TOO_MUCH):
            if not self._advance():
                return
        raise AssertionError("the world does not come to rest")

    def run(self, ms: float, step_ms: float = 10.0) -> None:
        """Let `ms` pass, with a tick of every live node each `step_ms`."""
        end = self.now + ms
        while self.now < end:
            self.tick(ms=step_ms)
            self.settle()

    def run_until(self, reached: Callable[[], bool], limit_ms: float = 30_000) -> None:
        """Let time pass until `reached`; fails when it takes longer than the limit."""
        end = self.now + limit_ms
        while not reached():
            assert self.now < end, "it never happened"
            self.run(10)

    def serving(self) -> list[str]:
        """The live nodes that serve as leader."""
        return [name for name in self.live() if self.replica(name).serving]

    def elect(self, name: str) -> None:
        """Have `name` win the free leader key and serve; everything else at rest."""
        for node in self.nodes:
            if self.nodes[node].live:
                self.watch(node)
        others = [other for other in self.live() if other != name]
        held = [packet for other in others for packet in self.select(other)]
        assert not held, "elect from a world at rest"
        for _ in range(20):
            if not self.requests:
                self.tick(name, ms=10)
        self.settle()
        self.run_until(lambda: self.serving() == [name], 1000)

    def _advance(self) -> bool:
        moved = 0
        for request in list(self.requests):
            if self.etcd_away or request.node in self.etcd_cut:
                continue
            if not request.executed:
                self.execute(request)
            if not self.nodes[request.node].paused:
                self.answer(request)
                moved += 1
        for name in self.live():
            if not self.etcd_away and name not in self.etcd_cut:
                moved += self.watch(name)
            moved += self.load(name)
            moved += self.make_snapshots(name)
            if name not in self.slow_fetches:
                moved += self.fetch(name)
            if name not in self.slow_disks:
                moved += self.persist(name)
            moved += self.apply(name)
        for packet in list(self.packets):
            if (packet.sender.node, packet.target) in self.cut:
                self.packets.remove(packet)
            elif not self.nodes[packet.target].paused:
                self.deliver(packet)
                moved += 1
        return moved > 0

    def _take(self, node: Node, replica: Replica, output: Output) -> None:
        if replica.state.bound:
            node.disk.bound = True  # durable before the first promise (E1)
        node.unsynced.extend(output.persist)
        for send in output.send:
            self._numbers += 1
            self.packets.append(Packet(self._numbers, node.id, send.node, send.message))
            self.witness.sent(node.id, send.message, node.disk.promised, node.disk.entries)
        node.unsynced.extend(Apply(entry) for entry in output.apply)
        node.loads.extend(output.load)
        if output.prune:
            self._judge_pruning(node, output.prune)
            node.unsynced.append(Prune(output.prune))
        node.making.extend(output.make_snapshot)
        for source, offer in output.fetch_snapshot:
            node.fetch = source, offer
        node.answers.extend(output.answer)
        node.events.extend(output.events)
        node.abandoned += output.abandon
        for ask in output.ask_registry:
            self._numbers += 1
            self.requests.append(Request(self._numbers, node.name, node.id, node.life, ask))
        disk = node.disk
        self.witness.stepped(node.name, node.life, replica, disk.entries, output, disk.promised)
        if output.apply and isinstance(replica.role, Leader):
            self._judge_commit(node, replica.role.epoch, output.apply[-1].index)

    def _judge_commit(self, node: Node, epoch: int, index: int) -> None:
        held = self.registry.leader
        if held is not None and held.epoch == epoch:
            self.witness.counted(node.name, index, self.registry.configuration, self._disks())

    def _disks(self) -> dict[ReplicaId, list[Entry]]:
        disks = {other.id: other.disk.entries for other in self.nodes.values()}
        return disks | {replica: disk.entries for replica, disk in self.lost.items()}

    def _judge_pruning(self, node: Node, index: int) -> None:
        if node.id in self.registry.configuration.given_up:
            return  # whatever it does, nobody asks for it any more
        members = self.registry.configuration.members
        disks = {other.id: other.disk.entries for other in self.nodes.values()}
        self.witness.pruned(node.id, index, {m: disks[m] for m in members if m in disks})

    def _spread_news(self) -> None:
        news, self.registry.news = self.registry.news, []
        if any(isinstance(each, ConfigurationSeen) for each in news):
            self.witness.configured(self.registry.configuration, self._disks())
        for node in self.nodes.values():
            if node.replica is not None:
                node.news.extend(news)


def events(node: Node, kind: str) -> list[str]:
    """The details of what the node told its operator under this kind."""
    return [event.detail for event in node.events if event.kind == kind]


def payloads(entries: Iterable[Entry]) -> list[bytes]:
    """The payloads of these entries."""
    return [entry.payload for entry in entries]
