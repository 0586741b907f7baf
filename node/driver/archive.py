"""Log and ledger at one index, for those who doubt: audits, exports, and what came since."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec

from node.core.messages import Entry
from node.driver.ports import Books
from node.engine import AuditReport, AuditUnavailable, StorageDown
from node.ledger.commands import decode_batch
from node.store import IndexPassed, StoreClosed, StoreFailed

EXPORT_LINES = 500
"""How many lines of an export travel together."""


LOG_BYTES = 4_194_304
"""How much of the log is read at a time."""


class _Line(msgspec.Struct, frozen=True):
    """What is looked at in a line of an export."""

    kind: str
    index: int = 0


class Archive:
    """Reads of one node's store that take their time, off the event loop."""

    def __init__(self, node: str, store: Books) -> None:
        self._node = node
        self._store = store

    async def audit(self, at_index: int, rederive: bool) -> AuditReport:
        """See `node.engine.Engine.audit`."""
        try:
            report = await asyncio.wrap_future(self._store.audit(at_index, rederive))
        except IndexPassed as problem:
            raise AuditUnavailable(str(problem)) from problem
        except (StoreFailed, StoreClosed) as problem:
            raise StorageDown(str(problem)) from problem
        return AuditReport(
            node=self._node,
            index=report.index,
            chain_hash=report.chain_hash,
            ledger_digest=report.ledger_digest,
            totals_json=report.totals_json,
            records=report.records,
            rederived=report.rederived,
            problem=report.problem,
            prune_index=report.prune_index,
        )

    async def export(self, at_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine.export`."""
        loop = asyncio.get_running_loop()
        lines: Iterator[str] | None = None

        def take() -> list[str]:
            nonlocal lines
            if lines is None:
                lines = self._store.export(at_index)  # it may wait for that index
            taken: list[str] = []
            for line in lines:
                taken.append(line)
                if len(taken) >= EXPORT_LINES:
                    break
            return taken

        while True:
            try:
                chunk = await loop.run_in_executor(None, take)
            except IndexPassed as problem:
                raise AuditUnavailable(str(problem)) from problem
            except (StoreFailed, StoreClosed) as problem:
                raise StorageDown(str(problem)) from problem
            if not chunk:
                return
            yield chunk

    async def since(self, after_index: int) -> AsyncIterator[list[str]]:
        """See `node.engine.Engine.since`."""
        applied = after_index
        async for lines in self.export(0):
            found: list[str] = []
            for line in lines:
                read = msgspec.json.decode(line, type=_Line)
                if read.kind == "meta":
                    applied = read.index
                elif read.kind == "record" and read.index > after_index:
                    found.append(line)
            if found:
                yield found
        # Whoever stands alone cannot know whether the end of its log was settled.
        first = max(applied, after_index) + 1
        while entries := await asyncio.to_thread(self._read_log, first):
            yield [line for entry in entries for line in _possible(entry)]
            first = entries[-1].index + 1

    def _read_log(self, first: int) -> tuple[Entry, ...]:
        try:
            return self._store.read_log(first, LOG_BYTES)
        except (StoreFailed, StoreClosed) as problem:
            raise StorageDown(str(problem)) from problem


def _possible(entry: Entry) -> Iterator[str]:
    """The commands of an entry that is in the log and not in the ledger."""
    if not entry.payload:
        return
    for command in decode_batch(entry.payload).commands:
        fields = {
            "kind": "possible",
            "key": command.key,
            "terminal": command.terminal,
            "merchant": command.merchant,
            "service": command.service,
            "type": command.type,
            "amount_minor": command.amount_minor,
            "currency": command.currency,
            "index": entry.index,
        }
        yield msgspec.json.encode(fields).decode()
