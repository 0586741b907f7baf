"""Relaying: what a terminal cannot ask the leader itself, another node asks it, one hop only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
import grpc.aio
import pytest
from msgspec import structs

from node.engine import NotLeader
from node.ledger.commands import Command, Receipt, State
from node.ledger.queries import Inquiry
from node.ledger.refusals import RefusalKind, refusal
from node.rpc import wire
from node.rpc.relay import ANSWER_S, Relay
from node.rpc.server import build_server, listen, open_channel
from node.rpc.settlement import SettlementService
from proto import settlement_pb2 as pb
from proto.settlement_pb2_grpc import SettlementStub
from tests.node.rpc.fake_engine import FakeEngine, approved
from tests.node.rpc.front import KEY, MESSAGE_BYTES, Tally, read_refusal, sale

WISH = (("kessai-relay", "1"),)
NOBODY = "127.0.0.1:9"


@dataclass
class Host:
    """A node: its engine, its front, and whom it thinks to lead."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    tally: Tally = field(default_factory=Tally)
    calls: int = 16
    endpoint: str = ""
    heard: list[dict[str, str | bytes]] = field(default_factory=list)

    def follow(self, leader: str) -> None:
        """It does not lead: this one does."""
        self.engine.raise_at_once = self.engine.read_error = NotLeader(leader)
        self.engine.picture = replace(self.engine.picture, leader_endpoint=leader)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[SettlementStub]:
        """Its front, relaying; yields a stub to it."""
        relay = Relay(self.calls, lambda: self.engine.status().leader_endpoint)
        service = SettlementService(self.engine, self.tally, relay=relay)
        server = build_server(
            (service.handler(),),
            services=(wire.SERVICE,),
            health=None,
            message_bytes=MESSAGE_BYTES,
        )
        self.endpoint = f"127.0.0.1:{listen(server, '127.0.0.1:0')}"
        await server.start()
        try:
            async with open_channel(self.endpoint) as channel:
                yield SettlementStub(channel)
        finally:
            self.engine.release()
            await server.stop(0)
            await relay.close()


@asynccontextmanager
async def pair(leader: Host, follower: Host) -> AsyncIterator[SettlementStub]:
    """Both, the follower knowing the leader; yields a stub to the follower."""
    async with leader.serving(), follower.serving() as stub:
        follower.follow(leader.endpoint)
        yield stub


async def test_C4_a_settlement_is_relayed_and_answered_by_the_leader() -> None:
    leader, follower = Host(), Host()
    async with pair(leader, follower) as stub:
        reply = await stub.Settle(sale(memo="棚卸し"), timeout=5, metadata=WISH)
    (command,) = leader.engine.asked
    assert (command.key, command.memo) == (KEY, "棚卸し")
    assert reply == wire.settle_reply(approved(command))
    assert leader.tally.settlements == {(pb.SERVICE_CREDIT, pb.OUTCOME_APPROVED): 1}
    assert not follower.tally.settlements, "it is counted once, where it was settled"
    assert not follower.tally.refusals


async def test_C4_without_the_wish_the_leader_is_only_named() -> None:
    leader, follower = Host(), Host()
    async with pair(leader, follower) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(), timeout=5)
    told = read_refusal(refused.value)
    assert (told.reason, told.advice.leader_endpoint) == ("NOT_LEADER", leader.endpoint)
    assert leader.engine.asked == []


async def test_C4_a_repeated_key_gets_its_first_answer_by_way_of_another_node() -> None:
    def replayed(command: Command) -> Receipt:
        return structs.replace(approved(command), replayed=True)

    leader, follower = Host(FakeEngine(replayed)), Host()
    async with pair(leader, follower) as stub:
        reply = await stub.Settle(sale(), timeout=5, metadata=WISH)
    assert reply.replayed
    assert reply.idempotency_key == KEY


async def test_C4_a_close_and_an_inquiry_are_relayed_too() -> None:
    leader, follower = Host(), Host()
    close = pb.CloseRequest(
        merchant_id="M0001", terminal_id="T0001", business_date=20261123, stan=900
    )
    async with pair(leader, follower) as stub:
        closed = await stub.Close(close, timeout=5, metadata=WISH)
        (command,) = leader.engine.asked
        leader.engine.inquiry = Inquiry(approved(command), State.CAPTURED, 0, 0)
        question = pb.InquireRequest(idempotency_key=closed.reply.idempotency_key)
        found = await stub.Inquire(question, timeout=5, metadata=WISH)
    assert closed.reply.idempotency_key == "T0001.20261123.000900.0500"
    assert found.found
    assert found.reply == closed.reply


async def test_C4_a_refusal_comes_back_word_for_word() -> None:
    facts = (("service", "E_MONEY"), ("fallback_ja", "現金でお取り扱いください"))
    said = refusal(RefusalKind.SERVICE_NOT_OFFERED, "stan", "現金でお取り扱いください", facts)
    leader, follower = Host(FakeEngine(lambda command: said)), Host()
    async with pair(leader, follower) as stub, open_channel(leader.endpoint) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as direct:
            await SettlementStub(channel).Settle(sale(), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as relayed:
            await stub.Settle(sale(), timeout=5, metadata=WISH)
    assert relayed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert read_refusal(relayed.value) == read_refusal(direct.value)
    assert read_refusal(relayed.value).facts == dict(facts)


async def test_C4_one_hop_only() -> None:
    leader, middle, first = Host(), Host(), Host()
    async with pair(leader, middle), first.serving() as stub:
        first.follow(middle.endpoint)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(), timeout=5, metadata=WISH)
    told = read_refusal(refused.value)
    assert (told.reason, told.advice.leader_endpoint) == ("NOT_LEADER", leader.endpoint)
    assert not told.advice.outcome_unknown
    assert len(middle.engine.asked) == 1
    assert leader.engine.asked == []


async def test_C4_where_no_leader_is_known_there_is_nobody_to_ask() -> None:
    follower = Host()
    async with follower.serving() as stub:
        follower.follow("")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(), timeout=5, metadata=WISH)
    assert read_refusal(refused.value).retry_after_ms


async def test_C4_a_leader_that_is_not_reached_leaves_the_outcome_unknown() -> None:
    follower = Host()
    async with follower.serving() as stub:
        follower.follow(NOBODY)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(), timeout=5, metadata=WISH)
    told = read_refusal(refused.value)
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
    assert told.advice.outcome_unknown
    assert told.advice.retry_same_key
    assert told.advice.response_code == "68"
    assert follower.tally.refusals == {"OUTCOME_UNKNOWN": 1}


async def test_C4_a_silent_leader_is_told_of_before_the_callers_own_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.rpc.relay.ANSWER_S", 9.7)
    leader, follower = Host(FakeEngine(hold=True)), Host()
    async with pair(leader, follower) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(), timeout=10, metadata=WISH)
        # The leader was let go too: it drops what nobody waits for.
        ((_, future),) = leader.engine.waiting
        await asyncio.wait([future])
    assert read_refusal(refused.value).advice.outcome_unknown


async def test_C4_without_time_for_an_answer_nothing_is_passed_on() -> None:
    leader, follower = Host(), Host()
    async with pair(leader, follower) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Settle(sale(), timeout=ANSWER_S, metadata=WISH)
    assert leader.engine.asked == []


async def test_C4_who_leads_no_more_is_waited_for_no_longer() -> None:
    leader, follower = Host(FakeEngine(hold=True)), Host()
    async with pair(leader, follower) as stub:
        call = stub.Settle(sale(), timeout=60, metadata=WISH)
        await leader.engine.holds(1)
        follower.follow(NOBODY)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
    told = read_refusal(refused.value)
    assert told.advice.outcome_unknown
    assert told.advice.leader_endpoint == NOBODY


async def test_C4_a_caller_that_goes_away_takes_the_relayed_request_along() -> None:
    leader, follower = Host(FakeEngine(hold=True)), Host()
    async with pair(leader, follower) as stub:
        call = stub.Settle(sale(), timeout=60, metadata=WISH)
        await leader.engine.holds(1)
        call.cancel()
        ((_, future),) = leader.engine.waiting
        await asyncio.wait([future])
        assert future.cancelled()


async def test_C4_beyond_the_bound_the_leader_is_only_named() -> None:
    leader, follower = Host(FakeEngine(hold=True)), Host(calls=1)
    async with pair(leader, follower) as stub:
        first = stub.Settle(sale(), timeout=60, metadata=WISH)
        await leader.engine.holds(1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Settle(sale(stan=43), timeout=5, metadata=WISH)
        assert read_refusal(refused.value).reason == "NOT_LEADER"
        leader.engine.release()
        assert (await first).idempotency_key == KEY
        leader.engine.hold = False
        again = await stub.Settle(sale(stan=43), timeout=5, metadata=WISH)
        assert again.outcome == pb.OUTCOME_APPROVED
