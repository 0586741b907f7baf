"""One replica alone, spoken to by hand: for rules about what one step must say, or must not.

The replica is `a1` of `{a1, a2, a3}` in site `a`; the messages of the others are made by the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from coordinator.configuration import Configuration, ReplicaId
from node.core import Identity, Log, Replica, Timings
from node.core.follower import Follower
from node.core.inputs import (
    Applied,
    ConfigurationSeen,
    Input,
    LeaderSeen,
    Persisted,
    Received,
    Tick,
    Won,
)
from node.core.invariants import check
from node.core.leader import Leader
from node.core.messages import GENESIS_HASH, Ack, Append, Entry, Message, Promise, chain_hash
from node.core.outputs import Campaign, Output, Write

A1, A2, A3 = (ReplicaId(name, f"d{name}") for name in ("a1", "a2", "a3"))
REVISION = 5
CONFIGURATION = Configuration("cluster", "a", {"a": frozenset({A1, A2, A3})}, 2)
B1, B2 = (ReplicaId(name, f"d{name}") for name in ("b1", "b2"))
TWO_SITES = Configuration("cluster", "a", {"a": frozenset({A1, A2}), "b": frozenset({B1, B2})}, 2)


def chain(*epochs: int, after: Entry | None = None, mark: str = "") -> tuple[Entry, ...]:
    """Entries of these epochs, one after another; `mark` makes them differ from others'."""
    index, previous = (after.index, after.hash) if after else (0, GENESIS_HASH)
    entries: list[Entry] = []
    for epoch in epochs:
        index += 1
        payload = f"{epoch}.{index}{mark}".encode()
        previous = chain_hash(previous, index, epoch, payload)
        entries.append(Entry(index, epoch, payload, previous))
    return tuple(entries)


def append(
    epoch: int,
    entries: Iterable[Entry] = (),
    *,
    after: Entry | None = None,
    commit: int = 0,
    round: int = 1,
) -> Append:
    """An Append of `entries` after the entry `after` (None: from the beginning)."""
    index, of_epoch, hash_ = (
        (after.index, after.epoch, after.hash) if after else (0, 0, GENESIS_HASH)
    )
    return Append(epoch, round, index, of_epoch, hash_, tuple(entries), commit)


class Solo:
    """A replica with its clock. `sent` and `unsynced` gather what its steps put out."""

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        promised: int = 0,
        applied: int = 0,
        revision: int = REVISION,
        configuration: Configuration | None = CONFIGURATION,
        me: ReplicaId = A1,
        peers: dict[str, str] | None = None,
        timings: Timings | None = None,
        base: Entry | None = None,
        pruned: int = 0,
        batches: dict[str, int] | None = None,
    ) -> None:
        self.now = 1000.0
        self.configuration = configuration or CONFIGURATION
        at = base or Entry(0, 0, b"", GENESIS_HASH)
        others = {name: "a" for name in ("a1", "a2", "a3") if name != me.node}
        self.replica = Replica(
            Identity(me, me.node[0], peers if peers is not None else others, "life", batches or {}),
            timings or Timings(),
            lambda: 0.5,
            Log(at.index, at.epoch, at.hash, entries),
            now=self.now,
            promised=promised,
            revision=revision,
            applied=applied,
            bound=configuration is not None,
            pruned=pruned,
        )
        self.state = self.replica.state
        self.outputs: list[Output] = []
        if configuration is not None:
            self.feed(ConfigurationSeen(configuration, revision))
            self.persist()

    @classmethod
    def of_two_sites(
        cls,
        entries: Iterable[Entry] = (),
        *,
        me: ReplicaId = A1,
        promised: int = 0,
        configuration: Configuration = TWO_SITES,
        timings: Timings | None = None,
    ) -> Solo:
        """One of `{a1, a2}` in the active site a, and `{b1, b2}` in b."""
        peers = {other.node: other.node[0] for other in (A1, A2, B1, B2) if other != me}
        return cls(
            entries,
            me=me,
            promised=promised,
            peers=peers,
            configuration=configuration,
            timings=timings,
        )

    def follow(self, epoch: int) -> None:
        """Hear of a1 as the leader of `epoch`, and obey it."""
        self.feed(LeaderSeen(epoch, "a1", "da1", epoch))
        self.hear(A1, append(epoch))
        self.persist()

    def feed(self, input: Input, ms: float = 0.0) -> Output:
        """One step, `ms` later."""
        self.now += ms
        output = self.replica.step(input, self.now)
        check(self.replica)
        self.outputs.append(output)
        return output

    def hear(self, sender: ReplicaId, message: Message, ms: float = 0.0) -> Output:
        """A peer's message."""
        return self.feed(Received(sender, message), ms)

    def tick(self, ms: float = 0.0) -> Output:
        """Time passes."""
        return self.feed(Tick(), ms)

    def persist(self) -> Output:
        """The disk has everything asked for so far."""
        return self.feed(Persisted(self.state.writes_issued))

    @property
    def last_write(self) -> int:
        """The number of the last write issued."""
        return self.state.writes_issued

    @property
    def follower(self) -> Follower:
        """Its role, which must be follower."""
        assert isinstance(self.replica.role, Follower)
        return self.replica.role

    @property
    def leader(self) -> Leader:
        """Its role, which must be leader."""
        assert isinstance(self.replica.role, Leader)
        return self.replica.role

    def campaign(self) -> Campaign:
        """See the leader key free, and wait until it campaigns."""
        self.feed(LeaderSeen(0, "", "", self.state.promised + REVISION))
        return self.next_campaign()

    def next_campaign(self) -> Campaign:
        """Wait until it campaigns."""
        for _ in range(500):
            for ask in self.tick(10).ask_registry:
                assert isinstance(ask, Campaign)
                return ask
        raise AssertionError("it does not campaign")

    def win(self, epoch: int) -> Output:
        """Campaign and win: a takeover begins."""
        attempt = self.campaign().attempt
        return self.feed(Won(attempt, epoch, self.configuration, REVISION))

    def lead(self, epoch: int) -> Leader:
        """Win, be promised by a2 with an empty log, and lead; nothing is committed yet."""
        self.win(epoch)
        self.persist()
        self.hear(A2, Promise(epoch, 0, 0, 0))
        return self.leader

    def serve(self, epoch: int, *, acks: bool = True) -> Leader:
        """Lead, with EpochStart on the disks of a1 and, with `acks`, a2 and whoever counts in b,
        committed and applied."""
        leader = self.lead(epoch)
        self.persist()
        if acks:
            for peer in (A2, *sorted(self.configuration.in_sync.get("b", ()))):
                self.hear(peer, Ack(epoch, leader.round, leader.start_index))
        self.feed(Applied(leader.start_index))
        assert self.replica.serving
        return leader


def until(reached: Callable[[], bool]) -> Iterator[None]:
    """For a loop that goes on until `reached`, and fails when it never is."""
    for _ in range(500):
        if reached():
            return
        yield
    raise AssertionError("it never happened")


def written(output: Output) -> Write:
    """The one thing an output has written, which is no snapshot."""
    (only,) = output.persist
    assert isinstance(only, Write)
    return only


def sent(output: Output, kind: type[object] = object, target: str = "") -> list[Message]:
    """The messages of a kind in an output, for one target or all."""
    return [
        send.message
        for send in output.send
        if isinstance(send.message, kind) and target in ("", send.node)
    ]
