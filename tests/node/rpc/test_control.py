"""Control, health and reflection, as an operator's tools see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from node.engine import AuditUnavailable, NodeStatus, PeerStatus, StorageDown
from node.rpc.server import ListenError, build_server, listen
from proto import control_pb2 as pb
from proto.control_pb2_grpc import ControlStub
from tests.node.rpc.fake_engine import FakeEngine
from tests.node.rpc.front import front, read_refusal

PICTURE = NodeStatus(
    node="n1",
    disk_id="d1",
    site="east",
    role="leader",
    epoch=7,
    leader="n1",
    leader_endpoint="127.0.0.1:7101",
    commit_index=40,
    applied_index=39,
    last_index=41,
    last_hash=b"\x07" * 32,
    cluster_id="c1",
    active_site="east",
    copies_min=2,
    configuration_revision=5,
    in_sync=("n1/d1", "n2/d2"),
    standby_in_sync=("n4/d4",),
    serving=True,
    reason="n3 was evicted",
    peers=(
        PeerStatus("n2", "d2", True, 40, 1, 12, "east", "streaming"),
        PeerStatus("n3", "", False, 0, 41, -1),
    ),
    settled=1234,
    fsyncs=99,
    cpu_seconds=1.5,
    mode="degraded",
    manoeuvre="drop site west: waiting for the guard: n4 is silent",
    last_set_change="dropped west: nothing heard for 1500 ms",
    prune_index=12,
    snapshot="fetching 39 from n2: 3 of 9 MiB",
    given_up=("n9/d9",),
)


STREAMS = ("Export", "Since")
METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["Control"].methods]


async def test_status_says_everything_the_engine_says() -> None:
    async with front(FakeEngine(picture=PICTURE)) as channel:
        status = await ControlStub(channel).Status(pb.StatusRequest(), timeout=5)
    for field in pb.NodeStatus.DESCRIPTOR.fields:
        if field.name == "peers":
            continue
        value = getattr(status, field.name)
        expected = getattr(PICTURE, field.name)
        assert (tuple(value) if isinstance(expected, tuple) else value) == expected, field.name
    assert len(status.peers) == 2
    for field in pb.PeerStatus.DESCRIPTOR.fields:
        for sent, seen in zip(PICTURE.peers, status.peers, strict=True):
            assert getattr(seen, field.name) == getattr(sent, field.name), field.name


async def test_handover_goes_to_whom_it_names() -> None:
    engine = FakeEngine()
    async with front(engine) as channel:
        reply = await ControlStub(channel).Handover(pb.HandoverRequest(target="n3"), timeout=5)
    assert reply == pb.HandoverReply(started=True, target="n3")
    assert engine.handed_to == ["n3"]


async def test_audit_carries_its_digests() -> None:
    async with front(FakeEngine()) as channel:
        reply = await ControlStub(channel).Audit(
            pb.AuditRequest(at_index=12, rederive=True), timeout=5
        )
    assert reply == pb.AuditReply(
        node="n1",
        index=12,
        chain_hash=b"\1" * 32,
        ledger_digest=b"\2" * 32,
        totals_json="{}",
        records=3,
        rederived=True,
    )


async def test_an_audit_that_cannot_be_made_says_why() -> None:
    engine = FakeEngine(read_error=AuditUnavailable("index 12 has passed"))
    async with front(engine) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ControlStub(channel).Audit(pb.AuditRequest(at_index=12), timeout=5)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert read_refusal(refused.value).message == "index 12 has passed"


async def test_export_streams_lines_in_order() -> None:
    async with front(FakeEngine()) as channel:
        lines = [
            line
            async for chunk in ControlStub(channel).Export(pb.ExportRequest(), timeout=5)
            for line in chunk.lines
        ]
    assert lines == ['{"a":1}', '{"b":2}', '{"c":3}']


async def test_an_export_that_breaks_off_says_so() -> None:
    engine = FakeEngine(read_error=AuditUnavailable("index 3 has passed"))
    async with front(engine) as channel:
        call = ControlStub(channel).Export(pb.ExportRequest(at_index=3), timeout=5)
        assert (await call.read()).lines == ['{"a":1}', '{"b":2}']
        assert await call.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_switch_of_site_goes_where_it_names() -> None:
    engine = FakeEngine()
    async with front(engine) as channel:
        reply = await ControlStub(channel).SwitchSite(pb.SwitchSiteRequest(site="west"), timeout=5)
    assert reply == pb.SwitchSiteReply(started=True, target="west1")
    assert engine.switched_to == ["west"]


@pytest.mark.parametrize(("epoch", "promised"), [(9, True), (6, False)])
async def test_a_fence_answers_with_the_vow_and_the_end_of_the_log(
    epoch: int, promised: bool
) -> None:
    async with front(FakeEngine()) as channel:
        reply = await ControlStub(channel).Fence(pb.FenceRequest(epoch=epoch), timeout=5)
    assert reply == pb.FenceReply(
        promised=promised,
        promised_epoch=max(epoch, 7),
        disk_id="d1",
        last_epoch=6,
        last_index=41,
        last_hash=b"\3" * 32,
        commit_index=40,
    )


async def test_a_fence_that_cannot_be_made_durable_is_no_vow() -> None:
    async with front(FakeEngine(read_error=StorageDown("the disk is full"))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ControlStub(channel).Fence(pb.FenceRequest(epoch=9), timeout=5)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert read_refusal(refused.value).message == "the disk is full"


async def test_what_was_settled_since_streams_in_order() -> None:
    async with front(FakeEngine()) as channel:
        call = ControlStub(channel).Since(pb.SinceRequest(after_index=40), timeout=5)
        lines = [line async for chunk in call for line in chunk.lines]
    assert lines == ['{"index":41}', '{"index":42}', '{"index":43}']


async def test_a_since_that_breaks_off_says_so() -> None:
    async with front(FakeEngine(read_error=StorageDown("the disk is gone"))) as channel:
        call = ControlStub(channel).Since(pb.SinceRequest(after_index=40), timeout=5)
        assert len((await call.read()).lines) == 2
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_that_are_no_message_are_bad_input(method: str) -> None:
    async with front(FakeEngine()) as channel:
        path = f"/kessai.control.v1.Control/{method}"
        call: Any = (channel.unary_stream if method in STREAMS else channel.unary_unary)(path)
        assert await call(b"\xff\xff", timeout=5).code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("picture", "state"),
    [
        (replace(PICTURE, serving=True), "SERVING"),
        (replace(PICTURE, serving=False, leader_endpoint="127.0.0.1:7102"), "SERVING"),
        (replace(PICTURE, serving=False, leader_endpoint=""), "NOT_SERVING"),
    ],
)
async def test_settlement_is_healthy_where_it_settles_or_knows_who_does(
    picture: NodeStatus, state: str
) -> None:
    async with front(FakeEngine(picture=picture)) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        whole = await check(health_pb2.HealthCheckRequest(), timeout=5)
        settlement = await check(
            health_pb2.HealthCheckRequest(service="kessai.settlement.v1.Settlement"), timeout=5
        )
    status = health_pb2.HealthCheckResponse.ServingStatus
    assert whole.status == status.Value("SERVING")
    assert settlement.status == status.Value(state)


async def test_the_health_of_a_service_that_is_not_here_is_not_found() -> None:
    async with front(FakeEngine()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="nobody"), timeout=5
            )
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watched_health_tells_each_change() -> None:
    engine = FakeEngine(picture=PICTURE)
    status = health_pb2.HealthCheckResponse.ServingStatus
    async with front(engine) as channel:
        call = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="kessai.settlement.v1.Settlement"), timeout=10
        )
        assert (await call.read()).status == status.Value("SERVING")
        engine.picture = replace(PICTURE, serving=False, leader_endpoint="")
        assert (await call.read()).status == status.Value("NOT_SERVING")
        call.cancel()


async def test_reflection_names_every_service_and_knows_its_messages() -> None:
    async with front(FakeEngine()) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=5)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        await call.write(
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol="kessai.settlement.v1.SettleRequest"
            )
        )
        described = await call.read()
        await call.done_writing()
    assert {service.name for service in listed.list_services_response.service} == {
        "kessai.settlement.v1.Settlement",
        "kessai.control.v1.Control",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert described.file_descriptor_response.file_descriptor_proto


async def test_an_address_in_use_is_refused_by_name_not_shared() -> None:
    first, second = (
        build_server((), services=(), health=None, message_bytes=1024) for _ in range(2)
    )
    port = listen(first, "127.0.0.1:0")
    with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
        listen(second, f"127.0.0.1:{port}")
    await first.start()
    await first.stop(0)
