"""The control service: what operators ask of one node. It only carries; the engine answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from node.engine import (
    AuditReport,
    Engine,
    EngineError,
    FenceAnswer,
    HandoverAnswer,
    NodeStatus,
    SwitchAnswer,
)
from node.rpc import wire_control
from node.rpc.errors import of_engine, unreadable
from node.rpc.refuse import refuse

Context = grpc.aio.ServicerContext[Any, Any]


class ControlService:
    """Status, audits, exports and manoeuvres over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def status(self, request: bool, context: Context) -> NodeStatus:
        """What this node says of itself now."""
        if not request:
            await refuse(context, unreadable())
        return self._engine.status()

    async def handover(self, target: str | None, context: Context) -> HandoverAnswer:
        """Begin a planned change of leader."""
        if target is None:
            await refuse(context, unreadable())
        try:
            return await self._engine.handover(target)
        except EngineError as error:
            await refuse(context, of_engine(error))

    async def audit(self, request: tuple[int, bool] | None, context: Context) -> AuditReport:
        """Digests of log and ledger at one index."""
        if request is None:
            await refuse(context, unreadable())
        try:
            return await self._engine.audit(*request)
        except EngineError as error:
            await refuse(context, of_engine(error))

    async def export(self, at_index: int | None, context: Context) -> AsyncIterator[Sequence[str]]:
        """The ledger as JSON lines, some at a time."""
        if at_index is None:
            await refuse(context, unreadable())
        try:
            async for lines in self._engine.export(at_index):
                yield lines
        except EngineError as error:
            await refuse(context, of_engine(error))

    async def switch_site(self, site: str | None, context: Context) -> SwitchAnswer:
        """Begin a planned switch of the active site."""
        if site is None:
            await refuse(context, unreadable())
        try:
            return await self._engine.switch_site(site)
        except EngineError as error:
            await refuse(context, of_engine(error))

    async def fence(self, epoch: int | None, context: Context) -> FenceAnswer:
        """Vow to obey nobody below an epoch; answered once that is on disk."""
        if epoch is None:
            await refuse(context, unreadable())
        try:
            return await self._engine.fence(epoch)
        except EngineError as error:
            await refuse(context, of_engine(error))

    async def since(self, after: int | None, context: Context) -> AsyncIterator[Sequence[str]]:
        """What was settled above an index, as JSON lines, some at a time."""
        if after is None:
            await refuse(context, unreadable())
        try:
            async for lines in self._engine.since(after):
                yield lines
        except EngineError as error:
            await refuse(context, of_engine(error))

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server adds to offer this service."""
        return grpc.method_handlers_generic_handler(
            wire_control.SERVICE,
            {
                "Status": grpc.unary_unary_rpc_method_handler(
                    self.status, wire_control.decode_status_request, wire_control.encode_status
                ),
                "Handover": grpc.unary_unary_rpc_method_handler(
                    self.handover, wire_control.decode_handover, wire_control.encode_handover
                ),
                "Audit": grpc.unary_unary_rpc_method_handler(
                    self.audit, wire_control.decode_audit, wire_control.encode_audit
                ),
                "Export": grpc.unary_stream_rpc_method_handler(
                    self.export, wire_control.decode_export, wire_control.encode_export
                ),
                "SwitchSite": grpc.unary_unary_rpc_method_handler(
                    self.switch_site,
                    wire_control.decode_switch_site,
                    wire_control.encode_switch_site,
                ),
                "Fence": grpc.unary_unary_rpc_method_handler(
                    self.fence, wire_control.decode_fence, wire_control.encode_fence
                ),
                "Since": grpc.unary_stream_rpc_method_handler(
                    self.since, wire_control.decode_since, wire_control.encode_export
                ),
            },
        )
