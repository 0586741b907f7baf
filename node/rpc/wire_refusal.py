"""A `Rejection` in bytes: the details of a call's status, or the problem of a stream's reply."""

from __future__ import annotations

import contextlib
from typing import Final

import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from node.rpc.errors import Rejection
from proto import settlement_pb2 as pb

ERROR_DOMAIN: Final = "kessai"
"""google.rpc.ErrorInfo's domain on every refusal."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Where a refused call carries its details."""


def stream_problem(request_id: int, rejection: Rejection) -> pb.SettleStreamReply:
    """A rejection, for the request of a stream that earned it."""
    return pb.SettleStreamReply(
        request_id=request_id,
        problem=pb.Problem(
            grpc_code=rejection.code.value[0],
            message=rejection.message,
            retry_same_key=rejection.retry_same_key,
            leader_endpoint=rejection.leader_endpoint,
            retry_after_ms=rejection.retry_after_ms,
            fields=[
                pb.FieldProblem(field=problem.field, description=problem.description)
                for problem in rejection.fields
            ],
            response_code=rejection.response_code,
        ),
    )


def retry_after_ms(error: grpc.aio.AioRpcError) -> int:
    """How long a refused call was told to wait, in milliseconds; 0 where nothing was said."""
    retry = error_details_pb2.RetryInfo()
    with contextlib.suppress(DecodeError):
        for detail in status_pb2.Status.FromString(details_of(error)).details:
            if detail.Unpack(retry):
                return int(retry.retry_delay.ToMilliseconds())
    return 0


def details_of(error: grpc.aio.AioRpcError) -> bytes:
    """The details with which a node has refused a call; empty where no node has."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def status_details(rejection: Rejection) -> bytes:
    """google.rpc.Status: BadRequest, RetryInfo, ErrorInfo and our RetryAdvice, as they apply."""
    details = []
    if rejection.fields:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=problem.field, description=problem.description
                    )
                    for problem in rejection.fields
                ]
            )
        )
    if rejection.retry_after_ms:
        delay = Duration()
        delay.FromMilliseconds(rejection.retry_after_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    details.append(
        error_details_pb2.ErrorInfo(
            reason=rejection.reason, domain=ERROR_DOMAIN, metadata=dict(rejection.facts)
        )
    )
    details.append(
        pb.RetryAdvice(
            retry_same_key=rejection.retry_same_key,
            outcome_unknown=rejection.outcome_unknown,
            leader_endpoint=rejection.leader_endpoint,
            response_code=rejection.response_code,
        )
    )
    status = status_pb2.Status(code=rejection.code.value[0], message=rejection.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    encoded: bytes = status.SerializeToString()
    return encoded
