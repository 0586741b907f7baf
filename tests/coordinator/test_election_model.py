"""Elections of three nodes against a small etcd that delays, loses and repeats, at random.

The model executes requests as etcd would: guards, revisions, leases. What it never does is answer
wrongly. A request may be carried out and its answer lost, not be carried out at all, or be declared
unknown and be carried out much later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coordinator.ballot import (
    Answered,
    CampaignAsked,
    ChangeAsked,
    ConfigurationChanged,
    Confirm,
    DeleteLeader,
    Input,
    LeaderChanged,
    LeaseGranted,
    LeaseLost,
    NotDone,
    PutConfiguration,
    PutLeader,
    ReadBack,
    Request,
    ResignAsked,
    Seen,
    Ticked,
    Unknown,
)
from coordinator.configuration import Configuration, ReplicaId
from coordinator.election import Election
from coordinator.events import (
    CampaignLost,
    GuardFailed,
    GuardPassed,
    LeaderSeen,
    Won,
)
from coordinator.records import LeaderRecord
from tests.coordinator.voices import CAMPAIGN_MS, RETRY_MS

NODES = [ReplicaId(name, f"disk-{name}") for name in "abc"]
EVERYBODY = frozenset(NODES)


@dataclass
class Etcd:
    """The two keys, their history, and the leases."""

    revision: int = 5
    leader: LeaderRecord | None = None
    lease_of_leader: int = 0
    configuration: Configuration = field(
        default_factory=lambda: Configuration("c", "east", {"east": EVERYBODY}, 1)
    )
    configuration_revision: int = 5
    leases: set[int] = field(default_factory=set)
    history: list[LeaderChanged | ConfigurationChanged] = field(default_factory=list)
    winners: dict[int, str] = field(default_factory=dict)  # epoch -> nonce
    written: dict[int, PutConfiguration] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        return self.leader.epoch if self.leader else 0

    def seen(self) -> Seen:
        return Seen(
            self.revision,
            self.epoch,
            self.leader,
            self.configuration_revision,
            self.configuration,
        )

    def carry_out(self, request: Request) -> Input:
        done = True
        match request:
            case PutLeader(record, suspected, revision, lease):
                if lease not in self.leases:
                    return NotDone(request, "lease not found")
                done = self.epoch == suspected and self.configuration_revision == revision
                if done:
                    self._lead(record, lease)
            case DeleteLeader(epoch):
                done = self.epoch == epoch
                if done:
                    self.delete_leader()
            case PutConfiguration(_, epoch, revision, configuration):
                done = self.epoch == epoch and self.configuration_revision == revision
                if done:
                    self.revision += 1
                    self.configuration, self.configuration_revision = configuration, self.revision
                    self.written[self.revision] = request
                    self.history.append(ConfigurationChanged(self.revision, configuration))
            case Confirm() | ReadBack():
                pass
        return Answered(request, done, self.seen())

    def _lead(self, record: LeaderRecord, lease: int) -> None:
        self.revision += 1
        self.leader = LeaderRecord.from_json(record.to_json(), self.revision)
        self.lease_of_leader = lease
        self.winners[self.revision] = record.nonce
        self.history.append(LeaderChanged(self.revision, self.revision, self.leader))

    def delete_leader(self) -> None:
        if self.leader is not None:
            self.revision += 1
            self.leader, self.lease_of_leader = None, 0
            self.history.append(LeaderChanged(self.revision, 0, None))

    def drop_lease(self, lease: int) -> None:
        self.leases.discard(lease)
        if self.lease_of_leader == lease:
            self.delete_leader()


@dataclass
class Node:
    """One life: its election, what is under way, and how far its watch has got."""

    me: ReplicaId
    life: str
    election: Election
    lease: int
    watched: int
    under_way: list[Request] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)  # -> when asked, if not answered
    won: dict[int, str] = field(default_factory=dict)
    changes: dict[int, PutConfiguration] = field(default_factory=dict)
    seen_at: int = -1


class Elections(RuleBasedStateMachine):
    """Random faults; what must always hold is asserted where events come in, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd = Etcd()
        self.now_ms = 0
        self.count = 0
        self.nodes: list[Node] = []
        self.late: list[Request] = []
        self.all_won: dict[int, str] = {}
        self.failed_changes: set[int] = set()

    def number(self) -> int:
        self.count += 1
        return self.count

    def be_born(self, me: ReplicaId) -> Node:
        life = f"life{self.number()}"
        election = Election(me, "east", "h:1", life, campaign_ms=CAMPAIGN_MS, retry_ms=RETRY_MS)
        node = Node(me, life, election, 1000 + self.number(), len(self.etcd.history))
        self.etcd.leases.add(node.lease)
        self.tell(node, self.etcd.seen())
        self.tell(node, LeaseGranted(node.lease))
        return node

    def tell(self, node: Node, said: Input) -> None:
        out = node.election.step(said, self.now_ms)
        node.under_way += out.requests
        for event in out.events:
            match event:
                case Won(attempt, epoch, configuration, _):
                    assert self.etcd.winners[epoch] == f"{node.life}.{attempt}"
                    assert epoch not in self.all_won
                    assert node.me in configuration.active_set
                    assert node.seen_at < epoch, "won after having seen what came after"
                    self.all_won[epoch] = node.won[epoch] = attempt
                    node.attempts.pop(attempt, None)
                case CampaignLost(attempt, _):
                    assert attempt in node.attempts, "lost twice, or after having won"
                    del node.attempts[attempt]
                case LeaderSeen(epoch, _, _, revision):
                    assert revision > node.seen_at
                    assert revision == epoch or epoch == 0
                    node.seen_at = revision
                case GuardPassed(change, revision):
                    assert self.etcd.written[revision].configuration == (
                        node.changes[change].configuration
                    )
                    assert self.etcd.written[revision].epoch == node.changes[change].epoch
                case GuardFailed(change):
                    self.failed_changes.add(change)
                    written = self.etcd.written.values()
                    assert not any(w.change == change for w in written) or (
                        self.etcd.epoch != node.changes[change].epoch
                        or self.etcd.configuration != node.changes[change].configuration
                    )

    def carry_out(self, request: Request) -> Input:
        before = self.etcd.configuration_revision
        result = self.etcd.carry_out(request)
        if isinstance(request, PutConfiguration) and self.etcd.configuration_revision != before:
            assert request.change not in self.failed_changes, "a failed change came through"
        return result

    @initialize()
    def begin(self) -> None:
        self.nodes = [self.be_born(me) for me in NODES]

    @rule(who=st.integers(0, 2), of_old=st.booleans())
    def campaign(self, who: int, of_old: bool) -> None:
        node = self.nodes[who]
        attempt = f"t{self.number()}"
        node.attempts[attempt] = self.now_ms
        suspected = 0 if of_old else node.election.epoch
        self.tell(node, CampaignAsked(attempt, suspected, node.election.configuration_revision))

    @rule(who=st.integers(0, 2), pick=st.integers(0, 9), fate=st.sampled_from("ddddluxx"))
    def answer(self, who: int, pick: int, fate: str) -> None:
        """d: done and answered; l: done, the answer lost; u: unknown, maybe later; x: not done."""
        node = self.nodes[who]
        if not node.under_way:
            return
        request = node.under_way.pop(pick % len(node.under_way))
        if fate == "d":
            self.tell(node, self.carry_out(request))
        elif fate == "l":
            self.carry_out(request)
            self.tell(node, Unknown(request, "the answer was lost"))
        elif fate == "u":
            self.late.append(request)
            self.tell(node, Unknown(request, "no answer"))
        else:
            self.tell(node, NotDone(request, "away"))

    @rule(pick=st.integers(0, 9))
    def arrive_late(self, pick: int) -> None:
        if self.late:
            self.carry_out(self.late.pop(pick % len(self.late)))

    @rule(who=st.integers(0, 2), count=st.integers(1, 3))
    def watch(self, who: int, count: int) -> None:
        node = self.nodes[who]
        for change in self.etcd.history[node.watched : node.watched + count]:
            node.watched += 1
            self.tell(node, change)

    @rule(who=st.integers(0, 2))
    def list_again(self, who: int) -> None:
        node = self.nodes[who]
        node.watched = len(self.etcd.history)
        self.tell(node, self.etcd.seen())

    @rule(ms=st.sampled_from([10, RETRY_MS, CAMPAIGN_MS]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        for node in self.nodes:
            wake_ms = node.election.wake_ms
            if wake_ms is not None and wake_ms <= self.now_ms:
                self.tell(node, Ticked())

    @rule(who=st.integers(0, 2))
    def resign(self, who: int) -> None:
        node = self.nodes[who]
        if node.won:
            self.tell(node, ResignAsked(max(node.won)))

    @rule(who=st.integers(0, 2), members=st.sets(st.sampled_from(NODES), min_size=1))
    def change(self, who: int, members: set[ReplicaId]) -> None:
        node = self.nodes[who]
        if not node.won:
            return
        assert node.election.configuration is not None
        configuration = node.election.configuration.with_set("east", {*members, node.me})
        change = PutConfiguration(
            self.number(), max(node.won), node.election.configuration_revision, configuration
        )
        node.changes[change.change] = change
        self.tell(node, ChangeAsked(change.change, change.epoch, change.revision, configuration))

    @rule(who=st.integers(0, 2))
    def lose_lease(self, who: int) -> None:
        node = self.nodes[who]
        self.etcd.drop_lease(node.lease)
        self.tell(node, LeaseLost(node.lease))
        node.lease = 1000 + self.number()
        self.etcd.leases.add(node.lease)
        self.tell(node, LeaseGranted(node.lease))

    @rule(who=st.integers(0, 2), in_transit=st.booleans())
    def restart(self, who: int, in_transit: bool) -> None:
        """Killed: the lease stays, what was on its way may arrive later."""
        node = self.nodes[who]
        if in_transit:
            self.late += node.under_way
        self.nodes[who] = self.be_born(node.me)

    @invariant()
    def outcomes_come_in_time(self) -> None:
        for node in self.nodes:
            wake_ms = node.election.wake_ms
            if wake_ms is None or wake_ms > self.now_ms:
                for asked_ms in node.attempts.values():
                    assert self.now_ms - asked_ms < 2 * CAMPAIGN_MS

    def teardown(self) -> None:
        """All faults stop: then every key that names a life is one that life knows it won."""
        if not self.nodes:
            return
        for request in self.late:
            self.carry_out(request)
        for _ in range(20):
            for node in self.nodes:
                while node.under_way:
                    self.tell(node, self.carry_out(node.under_way.pop()))
                for change in self.etcd.history[node.watched :]:
                    node.watched += 1
                    self.tell(node, change)
            self.time_passes(RETRY_MS)
        for node in self.nodes:
            assert not node.attempts
            assert not node.under_way
            assert node.election.wake_ms is None
            assert node.election.epoch == self.etcd.epoch
            leader = self.etcd.leader
            if leader is not None and leader.node == node.me.node:
                assert leader.nonce.startswith(f"{node.life}.")
                assert leader.epoch in node.won


TestElections = Elections.TestCase
TestElections.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
