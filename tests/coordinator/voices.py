"""Short words for the conversations with an election: what etcd says, and who is who."""

from __future__ import annotations

from coordinator.ballot import Input, LeaseGranted, Output, PutLeader, Request, Seen
from coordinator.configuration import Configuration, ReplicaId
from coordinator.election import Election
from coordinator.records import LeaderRecord

ME = ReplicaId("a", "disk-a")
OTHER = ReplicaId("b", "disk-b")
LIFE = "life1"
CAMPAIGN_MS = 2400
RETRY_MS = 100


def configuration(*members: ReplicaId, cluster_id: str = "c1") -> Configuration:
    """One site, `east`, with these members (ME and OTHER if none are named)."""
    return Configuration(cluster_id, "east", {"east": frozenset(members or (ME, OTHER))}, 1)


def record(who: ReplicaId, nonce: str = "other.1", epoch: int = 0) -> LeaderRecord:
    """What `who` puts in the leader key."""
    return LeaderRecord(who.node, who.disk, "east", f"{who.node}:7101", nonce, epoch)


def seen(
    revision: int,
    leader: LeaderRecord | None = None,
    *,
    revision_of_configuration: int = 5,
    value: Configuration | None = None,
) -> Seen:
    """etcd at `revision`, led by `leader` (whose epoch it carries) or by nobody."""
    return Seen(
        revision=revision,
        epoch=leader.epoch if leader else 0,
        leader=leader,
        configuration_revision=revision_of_configuration,
        configuration=value or configuration(),
    )


class Life:
    """An election with a clock, told things one by one."""

    def __init__(self, lease: int = 77, life: str = LIFE) -> None:
        self.now_ms = 1000
        self.election = Election(
            ME, "east", "a:7101", life, campaign_ms=CAMPAIGN_MS, retry_ms=RETRY_MS
        )
        if lease:
            self.hears(LeaseGranted(lease))

    def hears(self, said: Input) -> Output:
        """Step, now."""
        return self.election.step(said, self.now_ms)

    def passes(self, ms: int) -> None:
        """Let time go by."""
        self.now_ms += ms


def put(attempt: str = "t1", suspected: int = 0, revision: int = 5, lease: int = 77) -> PutLeader:
    """The transaction of this life's attempt."""
    return PutLeader(record(ME, f"{LIFE}.{attempt}"), suspected, revision, lease)


def mine(epoch: int, attempt: str = "t1") -> LeaderRecord:
    """The leader key as this life's attempt puts it."""
    return record(ME, f"{LIFE}.{attempt}", epoch)


def only(requests: list[Request]) -> Request:
    """The one request there is."""
    assert len(requests) == 1, requests
    return requests[0]
