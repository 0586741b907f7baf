"""Bugs in what is settled and told: keys and their effects, ledgers, reads, and when to serve."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, cast

from loadtest.sim.planted.plant import Change, Plant
from loadtest.sim.storage.disk import Contents, SimDisk
from loadtest.sim.storage.store import SimStore
from node.core.leader import Leader
from node.core.reads import PendingRead, Reads
from node.driver.engine import QuorumLog
from node.driver.intake import Answer
from node.ledger import admission, book
from node.ledger.admission import Refusal
from node.ledger.commands import Command, Receipt
from node.ledger.memory import MemoryStorage
from node.ledger.records import Record
from node.ledger.sheet import Sheet
from node.ledger.storage import LedgerStorage, Table
from node.store.schema import Meta

_admit: Final = admission._admit
_begin: Final = Leader.begin
_install: Final = SimDisk.install
_submit: Final = QuorumLog.submit
_write: Final = Sheet.write


def _admit_again(command: Command, records: dict[str, bytes]) -> Receipt | Refusal | None:
    return _admit(command, {key: row for key, row in records.items() if key != command.key})


def _settle_again(sheet: Sheet, command: Command, known: Record) -> Receipt:
    return book._settle(sheet, command, int(sheet.rrn[-3:], 16))


def _answer_a_repeat(engine: QuorumLog, command: Command) -> asyncio.Future[Answer]:
    answer = _submit(engine, command)
    for index, batch in engine._intake._placed.items():
        keys = [pending.command.key for pending in batch.pending]
        if command.key in keys and not answer.done():
            rows = cast(SimStore, engine._store).picture().rows
            answer.set_result(book.apply(rows, index, batch.payload)[keys.index(command.key)])
    return answer


def _write_without_keys(sheet: Sheet, storage: LedgerStorage) -> None:
    sheet._changed_records.clear()
    _write(sheet, storage)


def _install_without_totals(disk: SimDisk, meta: Meta, contents: Contents) -> None:
    rows = MemoryStorage()
    for table in Table:
        if table is not Table.TOTAL:
            rows.put(table, list(contents.rows.scan(table)))
    _install(disk, meta, replace(contents, rows=rows))


def _ask_nobody(reads: Reads, read: int, round_now: int, commit: int) -> None:
    reads._pending.append(PendingRead(read, 0, commit))


def _serve_at_once(leader: Leader, now: float) -> None:
    _begin(leader, now)
    leader.serving = True


PLANTS: Final = (
    Plant(
        "key-without-effect",
        "D1",
        "a payment moves the totals, and its key is not kept beside them",
        (Change(Sheet, "write", _write_without_keys),),
    ),
    Plant(
        "replay-applied-twice",
        "C1",
        "only commands under way are known again: what a former leader settled is settled twice",
        (
            Change(admission, "_admit", _admit_again),
            Change(book, "_again", _settle_again),
        ),
    ),
    Plant(
        "repeat-answered-early",
        "C1",
        "a repeated command is answered from what only the leader has",
        (Change(QuorumLog, "submit", _answer_a_repeat),),
    ),
    Plant(
        "snapshot-without-totals",
        "M4",
        "what comes of a snapshot lacks the totals that terminals have not closed yet",
        (Change(SimDisk, "install", _install_without_totals),),
    ),
    Plant(
        "read-without-proof",
        "R1",
        "a leader answers a read without asking anybody whether it was fenced meanwhile",
        (Change(Reads, "add", _ask_nobody),),
    ),
    Plant(
        "served-too-soon",
        "T6",
        "a new leader serves before its EpochStart is committed and applied",
        (Change(Leader, "begin", _serve_at_once),),
    ),
)
