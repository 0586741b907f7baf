"""A `Rejection` in bytes: the details of a call's status, or the problem of a stream's reply."""

from __future__ import annotations

from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from node.rpc.errors import Rejection
from proto import settlement_pb2 as pb

ERROR_DOMAIN: Final = "kessai"
"""google.rpc.ErrorInfo's domain on every refusal."""


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
    details.append(error_details_pb2.ErrorInfo(reason=rejection.reason, domain=ERROR_DOMAIN))
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
