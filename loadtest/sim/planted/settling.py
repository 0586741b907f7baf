"""Bugs in what is settled and told: keys and their effects, ledgers, reads, and when to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from loadtest.sim.planted.plant import Change, Plant
from loadtest.sim.storage.disk import Contents, SimDisk
from loadtest.sim.storage.store import SimStore
from node.core.leader import Leader
from node.core.outputs import ReadReady, ReadRefused
from node.driver.engine import QuorumLog
from node.driver.intake import Answer
from node.ledger import admission, book
from node.ledger.admission import Refusal
from node.ledger.commands import Command, Receipt
from node.ledger.memory import MemoryStorage
from node.ledger.records import Record
from node.ledger.sheet import Sheet
from node.ledger.storage import Table
from node.store.schema import Meta

_admit: Final = admission._admit
_begin: Final = Leader.begin
_flush: Final = SimDisk.flush
_install: Final = SimDisk.install
_submit: Final = QuorumLog.submit


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


def _flush_without_keys(
    disk: SimDisk, applied: int, changes: Mapping[Table, Mapping[str, bytes]]
) -> None:
    _flush(disk, applied, {**changes, Table.RECORD: {}})


def _install_without_totals(disk: SimDisk, meta: Meta, contents: Contents) -> None:
    rows = MemoryStorage()
    for table in Table:
        if table is not Table.TOTAL:
            rows.put(table, list(contents.rows.scan(table)))
    _install(disk, meta, replace(contents, rows=rows))


def _answer_at_once(leader: Leader, read: int, now: float) -> None:
    ready = ReadReady(read) if leader.serving else ReadRefused(read, "")
    leader.state.out.answer.append(ready)


def _serve_at_once(leader: Leader, now: float) -> None:
    _begin(leader, now)
    leader.serving = True


PLANTS: Final = (
    Plant(
        "key-without-effect",
        "D1",
        "the keys of what was settled do not go to disk with its effects",
        (Change(SimDisk, "flush", _flush_without_keys),),
    ),
    Plant(
        "settled-twice",
        "C1",
        "only commands under way are known again: what a former leader settled is not looked up",
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
        "a snapshot leaves out what terminals have not closed yet",
        (Change(SimDisk, "install", _install_without_totals),),
    ),
    Plant(
        "read-without-proof",
        "R1",
        "a leader answers a read without asking whether it still leads",
        (Change(Leader, "inquire", _answer_at_once),),
    ),
    Plant(
        "served-too-soon",
        "T6",
        "a new leader serves before its EpochStart is committed and applied",
        (Change(Leader, "begin", _serve_at_once),),
    ),
)
