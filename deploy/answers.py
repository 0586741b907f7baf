"""What a node answers to operators, typed: the messages of control.proto without the wire."""

from __future__ import annotations

from dataclasses import dataclass

from proto import control_pb2


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What a leader knows of one other replica; `lag` is in entries, `feed` how it is fed."""

    node: str
    disk_id: str
    connected: bool
    acked_index: int
    lag: int
    silent_ms: int
    site: str = ""
    feed: str = ""

    @property
    def replica(self) -> str:
        """`node/disk`, as the in-sync set names it."""
        return f"{self.node}/{self.disk_id}"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node's view of itself and the cluster; the fields of control.proto's NodeStatus."""

    node: str
    disk_id: str
    site: str
    role: str
    epoch: int
    leader: str
    leader_endpoint: str
    commit_index: int
    applied_index: int
    last_index: int
    last_hash: str
    cluster_id: str
    active_site: str
    copies_min: int
    configuration_revision: int
    in_sync: tuple[str, ...]
    standby_in_sync: tuple[str, ...]
    serving: bool
    reason: str
    peers: tuple[PeerStatus, ...]
    settled: int
    fsyncs: int
    cpu_seconds: float
    mode: str = ""
    manoeuvre: str = ""
    last_set_change: str = ""
    prune_index: int = 0
    snapshot: str = ""
    given_up: tuple[str, ...] = ()

    @property
    def replica(self) -> str:
        """`node/disk`, as the in-sync set names it."""
        return f"{self.node}/{self.disk_id}"

    @property
    def counted(self) -> tuple[str, ...]:
        """Every replica, as `node/disk`, that counts in either site."""
        return (*self.in_sync, *self.standby_in_sync)


@dataclass(frozen=True, slots=True)
class Begun:
    """Whether a planned change of leader (and of site) has begun, to whom, and why not."""

    started: bool
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fenced:
    """A replica's vow to obey nobody below an epoch, with the end of its log.

    `promised` False: it has vowed `promised_epoch` already, which is higher. The hash is
    hexadecimal.
    """

    promised: bool
    promised_epoch: int
    disk_id: str
    last_epoch: int
    last_index: int
    last_hash: str
    commit_index: int


@dataclass(frozen=True, slots=True)
class NodeAudit:
    """One replica's digest of its log and ledger at exactly `index`; hashes in hexadecimal."""

    node: str
    index: int
    chain_hash: str
    ledger_digest: str
    totals_json: str
    records: int
    rederived: bool
    problem: str
    prune_index: int


def node_status(said: control_pb2.NodeStatus) -> NodeStatus:
    """From the wire."""
    return NodeStatus(
        node=said.node,
        disk_id=said.disk_id,
        site=said.site,
        role=said.role,
        epoch=said.epoch,
        leader=said.leader,
        leader_endpoint=said.leader_endpoint,
        commit_index=said.commit_index,
        applied_index=said.applied_index,
        last_index=said.last_index,
        last_hash=said.last_hash.hex(),
        cluster_id=said.cluster_id,
        active_site=said.active_site,
        copies_min=said.copies_min,
        configuration_revision=said.configuration_revision,
        in_sync=tuple(said.in_sync),
        standby_in_sync=tuple(said.standby_in_sync),
        serving=said.serving,
        reason=said.reason,
        peers=tuple(
            PeerStatus(
                peer.node,
                peer.disk_id,
                peer.connected,
                peer.acked_index,
                peer.lag,
                peer.silent_ms,
                peer.site,
                peer.feed,
            )
            for peer in said.peers
        ),
        settled=said.settled,
        fsyncs=said.fsyncs,
        cpu_seconds=said.cpu_seconds,
        mode=said.mode,
        manoeuvre=said.manoeuvre,
        last_set_change=said.last_set_change,
        prune_index=said.prune_index,
        snapshot=said.snapshot,
        given_up=tuple(said.given_up),
    )


def node_audit(said: control_pb2.AuditReply) -> NodeAudit:
    """From the wire."""
    return NodeAudit(
        node=said.node,
        index=said.index,
        chain_hash=said.chain_hash.hex(),
        ledger_digest=said.ledger_digest.hex(),
        totals_json=said.totals_json,
        records=said.records,
        rederived=said.rederived,
        problem=said.problem,
        prune_index=said.prune_index,
    )


def fenced(said: control_pb2.FenceReply) -> Fenced:
    """From the wire."""
    return Fenced(
        promised=said.promised,
        promised_epoch=said.promised_epoch,
        disk_id=said.disk_id,
        last_epoch=said.last_epoch,
        last_index=said.last_index,
        last_hash=said.last_hash.hex(),
        commit_index=said.commit_index,
    )
