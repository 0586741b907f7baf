"""The audit of one replica: digests for comparing with others, sums for comparing with itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import msgspec

from node.core.messages import chain_hash
from node.ledger import audit as ledger_audit
from node.ledger.commands import PayloadError
from node.ledger.rewind import rederive_after
from node.ledger.storage import Table
from node.store.reader import Guard
from node.store.snapshot import Frozen, Snapshot

_PROBLEMS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Log and ledger at `index`.

    `chain_hash` is the log's, `ledger_digest` SHA-256 over all rows of the ledger, `totals_json`
    its totals a service; equal on every replica. `records`: idempotency keys known. `problem`: what
    does not add up, "" for nothing. Always checked: every total, closing and balance is the sum of
    the records.

    `rederived`: also the chain of the log on disk was followed, from entry `prune_index` + 1 on,
    and these entries added again. Where nothing was pruned that makes the whole ledger, which is
    compared row by row. Else the rows that the entries touch are first put back, by the records of
    before, to how they were at the prune point; every later record must come from an entry. Of what
    was pruned no log is left to speak: there the records are only added up among themselves.
    """

    index: int
    chain_hash: bytes
    ledger_digest: bytes
    totals_json: str
    records: int
    rederived: bool
    problem: str
    prune_index: int


def begin(frozen: Future[Snapshot], rederive: bool, guard: Guard) -> Future[AuditReport]:
    """The report on the picture `frozen`, made on a thread of its own once that is there.

    Cancelling the report cancels the picture, as long as its index was not reached.
    """
    report: Future[AuditReport] = Future()

    def work(snapshot: Snapshot) -> None:
        try:
            with guard():
                result = add_up(snapshot, rederive)
            report.set_result(result)
        except Exception as problem:
            report.set_exception(problem)
        finally:
            snapshot.close()

    def when_frozen(done: Future[Snapshot]) -> None:
        if done.cancelled():
            return
        problem = done.exception()
        if not report.set_running_or_notify_cancel():
            if problem is None:
                done.result().close()
        elif problem is not None:
            report.set_exception(problem)
        else:
            threading.Thread(
                target=work, args=(done.result(),), name="store-audit", daemon=True
            ).start()

    def when_reported(done: Future[AuditReport]) -> None:
        if done.cancelled():
            frozen.cancel()

    report.add_done_callback(when_reported)
    frozen.add_done_callback(when_frozen)
    return report


def add_up(snapshot: Frozen, rederive: bool) -> AuditReport:
    """The report on `snapshot`, which stays open."""
    rows = snapshot.rows
    problems = list(ledger_audit.verify(rows))
    if rederive:
        problems += _rederive(snapshot)
    return AuditReport(
        index=snapshot.index,
        chain_hash=snapshot.chain_hash,
        ledger_digest=ledger_audit.digest(rows),
        totals_json=msgspec.json.encode(ledger_audit.totals(rows), order="sorted").decode(),
        records=sum(1 for _ in rows.scan(Table.RECORD)),
        rederived=rederive,
        problem="; ".join(problems[:_PROBLEMS_SHOWN]),
        prune_index=snapshot.meta.prune_index,
    )


def _rederive(snapshot: Frozen) -> list[str]:
    broken: list[str] = []

    def payloads() -> Iterator[tuple[int, bytes]]:
        chain = snapshot.meta.base_hash
        for entry in snapshot.entries():
            chain = chain_hash(chain, entry.index, entry.epoch, entry.payload)
            if entry.hash != chain:
                broken.append(f"log: entry {entry.index} does not have the hash its content gives")
                chain = entry.hash
            yield entry.index, entry.payload

    pruned = snapshot.meta.prune_index
    try:
        if pruned:
            differences = rederive_after(snapshot.rows, pruned, payloads)
        else:
            differences = ledger_audit.rederive(snapshot.rows, payloads())
    except (msgspec.MsgspecError, PayloadError) as problem:
        differences = [f"the log cannot be added again: {problem}"]
    # What is read twice is told once.
    return [*dict.fromkeys(broken), *differences]
