"""Operators' messages: what a node says of itself, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from node.engine import AuditReport, FenceAnswer, HandoverAnswer, NodeStatus, SwitchAnswer
from proto import control_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Control"].full_name


def decode_status_request(raw: bytes) -> bool:
    """Is `raw` a StatusRequest? (It says nothing else.)"""
    try:
        pb.StatusRequest.FromString(raw)
    except DecodeError:
        return False
    return True


def decode_handover(raw: bytes) -> str | None:
    """The target a HandoverRequest names (empty: the leader chooses), None for other bytes."""
    try:
        return pb.HandoverRequest.FromString(raw).target
    except DecodeError:
        return None


def decode_audit(raw: bytes) -> tuple[int, bool] | None:
    """`at_index` and `rederive` of an AuditRequest, None for other bytes."""
    try:
        request = pb.AuditRequest.FromString(raw)
    except DecodeError:
        return None
    return request.at_index, request.rederive


def decode_export(raw: bytes) -> int | None:
    """`at_index` of an ExportRequest, None for other bytes."""
    try:
        return pb.ExportRequest.FromString(raw).at_index
    except DecodeError:
        return None


def decode_switch_site(raw: bytes) -> str | None:
    """The site a SwitchSiteRequest names, None for other bytes."""
    try:
        return pb.SwitchSiteRequest.FromString(raw).site
    except DecodeError:
        return None


def decode_fence(raw: bytes) -> int | None:
    """The epoch of a FenceRequest, None for other bytes."""
    try:
        return pb.FenceRequest.FromString(raw).epoch
    except DecodeError:
        return None


def decode_since(raw: bytes) -> int | None:
    """`after_index` of a SinceRequest, None for other bytes."""
    try:
        return pb.SinceRequest.FromString(raw).after_index
    except DecodeError:
        return None


def encode_status(status: NodeStatus) -> bytes:
    """The bytes of a NodeStatus."""
    return pb.NodeStatus(
        node=status.node,
        disk_id=status.disk_id,
        site=status.site,
        role=status.role,
        epoch=status.epoch,
        leader=status.leader,
        leader_endpoint=status.leader_endpoint,
        commit_index=status.commit_index,
        applied_index=status.applied_index,
        last_index=status.last_index,
        last_hash=status.last_hash,
        cluster_id=status.cluster_id,
        active_site=status.active_site,
        copies_min=status.copies_min,
        configuration_revision=status.configuration_revision,
        in_sync=status.in_sync,
        standby_in_sync=status.standby_in_sync,
        serving=status.serving,
        reason=status.reason,
        peers=[
            pb.PeerStatus(
                node=peer.node,
                disk_id=peer.disk_id,
                connected=peer.connected,
                acked_index=peer.acked_index,
                lag=peer.lag,
                silent_ms=peer.silent_ms,
                site=peer.site,
                feed=peer.feed,
            )
            for peer in status.peers
        ],
        settled=status.settled,
        fsyncs=status.fsyncs,
        cpu_seconds=status.cpu_seconds,
        mode=status.mode,
        manoeuvre=status.manoeuvre,
        last_set_change=status.last_set_change,
        prune_index=status.prune_index,
        snapshot=status.snapshot,
        given_up=status.given_up,
    ).SerializeToString()


def encode_handover(answer: HandoverAnswer) -> bytes:
    """The bytes of a HandoverReply."""
    return pb.HandoverReply(
        started=answer.started, target=answer.target, reason=answer.reason
    ).SerializeToString()


def encode_switch_site(answer: SwitchAnswer) -> bytes:
    """The bytes of a SwitchSiteReply."""
    return pb.SwitchSiteReply(
        started=answer.started, target=answer.target, reason=answer.reason
    ).SerializeToString()


def encode_fence(answer: FenceAnswer) -> bytes:
    """The bytes of a FenceReply."""
    return pb.FenceReply(
        promised=answer.promised,
        promised_epoch=answer.promised_epoch,
        disk_id=answer.disk_id,
        last_epoch=answer.last_epoch,
        last_index=answer.last_index,
        last_hash=answer.last_hash,
        commit_index=answer.commit_index,
    ).SerializeToString()


def encode_audit(report: AuditReport) -> bytes:
    """The bytes of an AuditReply."""
    return pb.AuditReply(
        node=report.node,
        index=report.index,
        chain_hash=report.chain_hash,
        ledger_digest=report.ledger_digest,
        totals_json=report.totals_json,
        records=report.records,
        rederived=report.rederived,
        problem=report.problem,
        prune_index=report.prune_index,
    ).SerializeToString()


def encode_export(lines: Sequence[str]) -> bytes:
    """The bytes of an ExportChunk."""
    return pb.ExportChunk(lines=lines).SerializeToString()
