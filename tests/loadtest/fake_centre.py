"""A payment centre in memory behind real gRPC ports, which can be told to misbehave.

It keeps no accounts and approves nearly everything: it is there for the terminals' side.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from loadtest.market import DECLINE_ENDINGS
from loadtest.request import derive_key
from proto import settlement_pb2 as pb
from proto import settlement_pb2_grpc as stubs


class Refusal(Exception):
    """Ends a call with a status and details."""

    def __init__(self, code: grpc.StatusCode, words: str, details: Sequence[Any] = ()) -> None:
        super().__init__(words)
        self.code = code
        self.details = details


@dataclass
class FakeCentre:
    """One ledger, several doors. `leader` is the door that settles; None: nobody does.

    `drop_answers`: settle, but let so many answers get lost. `silent`: doors that never answer.
    `hints`: whether a door that does not lead names the one that does. `relays`: whether it settles
    in the leader's name where the caller asks for that.
    """

    doors: int = 3
    leader: int | None = 0
    hints: bool = True
    relays: bool = False
    drop_answers: int = 0
    silent: set[int] = field(default_factory=set)
    asked: list[tuple[int, str]] = field(default_factory=list)
    relayed: list[tuple[int, str]] = field(default_factory=list)
    ledger: dict[str, pb.SettleReply] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ()
    _servers: list[grpc.Server] = field(default_factory=list)

    def __enter__(self) -> FakeCentre:
        endpoints = []
        for door in range(self.doors):
            server = grpc.server(
                futures.ThreadPoolExecutor(max_workers=16), options=(("grpc.so_reuseport", 0),)
            )
            stubs.add_SettlementServicer_to_server(_Door(self, door), server)
            endpoints.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            server.start()
            self._servers.append(server)
        self.endpoints = tuple(endpoints)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop(None).wait()

    def settle(self, door: int, key: str, content: bytes, token: str = "") -> pb.SettleReply:
        """Settle a key once, or answer it again."""
        self.asked.append((door, key))
        if door in self.silent:
            time.sleep(1.0)
            raise Refusal(grpc.StatusCode.UNKNOWN, "asleep")
        if self.leader is None:
            raise _advice(grpc.StatusCode.UNAVAILABLE, "no leader", retry_same_key=True)
        if door != self.leader:
            hint = self.endpoints[self.leader] if self.hints else ""
            raise _advice(
                grpc.StatusCode.UNAVAILABLE, "not the leader", retry_same_key=True, hint=hint
            )
        if key in self.ledger and self.contents[key] != content:
            raise _advice(grpc.StatusCode.ALREADY_EXISTS, "key reused", retry_same_key=False)
        return self.answer(key, content, token)

    def answer(self, key: str, content: bytes, token: str = "") -> pb.SettleReply:
        """What the leader says."""
        replayed = key in self.ledger
        if not replayed:
            self._keep(key, content, declined=token.endswith(DECLINE_ENDINGS))
        if self.drop_answers > 0:
            self.drop_answers -= 1
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "connection reset")
        reply = pb.SettleReply()
        reply.CopyFrom(self.ledger[key])
        reply.replayed = replayed
        return reply

    def _keep(self, key: str, content: bytes, *, declined: bool) -> None:
        index = len(self.ledger) + 1
        self.ledger[key] = pb.SettleReply(
            idempotency_key=key,
            outcome=pb.OUTCOME_DECLINED if declined else pb.OUTCOME_APPROVED,
            response_code="51" if declined else "00",
            rrn=f"{index:012d}",
            approval_code="" if declined else hashlib.sha256(key.encode()).hexdigest()[:6],
            state=pb.TRANSACTION_STATE_CAPTURED,
            settled_at_ms=1_700_000_000_000 + index,
            index=index,
        )
        self.contents[key] = content


class _Door(stubs.SettlementServicer):
    def __init__(self, centre: FakeCentre, door: int) -> None:
        self._centre = centre
        self._door = door

    def Settle(self, request: pb.SettleRequest, context: grpc.ServicerContext) -> pb.SettleReply:
        if request.amount_minor < 0:
            _fail(context, _bad_field("amount_minor", "must be above 0"))
        key = derive_key(
            request.terminal_id, request.business_date, request.stan, int(request.type)
        )
        return self._settle(key, request.SerializeToString(), context, request.card_token)

    def Close(self, request: pb.CloseRequest, context: grpc.ServicerContext) -> pb.CloseReply:
        key = f"{request.terminal_id}.{request.business_date:08d}.{request.stan:06d}.0500"
        return pb.CloseReply(reply=self._settle(key, request.SerializeToString(), context))

    def Inquire(self, request: pb.InquireRequest, context: grpc.ServicerContext) -> pb.InquireReply:
        reply = self._centre.ledger.get(request.idempotency_key)
        return pb.InquireReply(found=reply is not None, reply=reply)

    def Interim(self, request: pb.InterimRequest, context: grpc.ServicerContext) -> pb.InterimReply:
        return pb.InterimReply()

    def _settle(
        self, key: str, content: bytes, context: grpc.ServicerContext, token: str = ""
    ) -> pb.SettleReply:
        door = self._door
        wish = ("kessai-relay", "1") in [tuple(each) for each in context.invocation_metadata()]
        centre = self._centre
        if wish and centre.relays and centre.leader is not None and door not in centre.silent:
            centre.relayed.append((door, key))
            return centre.answer(key, content, token)
        try:
            return centre.settle(door, key, content, token)
        except Refusal as refusal:
            _fail(context, refusal)
            raise


def _fail(context: grpc.ServicerContext, refusal: Refusal) -> None:
    if refusal.details:
        packed = []
        for detail in refusal.details:
            each = any_pb2.Any()
            each.Pack(detail)
            packed.append(each)
        status = status_pb2.Status(code=refusal.code.value[0], message=str(refusal), details=packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(refusal.code, str(refusal))


def _advice(code: grpc.StatusCode, words: str, *, retry_same_key: bool, hint: str = "") -> Refusal:
    advice = pb.RetryAdvice(retry_same_key=retry_same_key, leader_endpoint=hint)
    return Refusal(code, words, (advice,))


def _bad_field(name: str, words: str) -> Refusal:
    problem = error_details_pb2.BadRequest()
    problem.field_violations.add(field=name, description=words)
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "bad input", (problem,))
