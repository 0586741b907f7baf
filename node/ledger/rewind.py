"""Making the end of a ledger again from the end of its log, when the beginning was pruned.

Records are never dropped, and say when they came about and what they did. So the rows that a piece
of the log touches can be put back to how they were before it, from the records of before alone;
then the piece is applied to them again, and must end at the rows that are there now. What came
before has no log any more to speak for it: it is added up by `node.ledger.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from node.ledger.book import apply
from node.ledger.commands import CardWrite, Outcome, Service, State, Type, decode_batch
from node.ledger.memory import MemoryStorage
from node.ledger.records import (
    Account,
    Line,
    Record,
    account_key,
    decode_closing,
    decode_record,
    decode_till,
    encode,
    terminal_of,
)
from node.ledger.rules import EXPIRED
from node.ledger.services import BEGINS, KEEPS_ACCOUNT, STORED_VALUE
from node.ledger.storage import LedgerStorage, Table
from node.ledger.verify import ADDS, PROBLEMS_MAX, UNDOES, UNDONE

Entries = Callable[[], Iterable[tuple[int, bytes]]]
"""Index and payload of each entry, ascending, as often as it is called."""

_CHUNK: Final = 500
_replace = msgspec.structs.replace


@dataclass(slots=True)
class Touched:
    """The rows that some entries may read or change: keys of records, terminals, accounts."""

    keys: set[str] = field(default_factory=set)
    terminals: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)


def touched_by(entries: Iterable[tuple[int, bytes]]) -> Touched:
    """All that the commands of these entries name. Raises `PayloadError`."""
    touched = Touched()
    for _, payload in entries:
        for command in decode_batch(payload).commands if payload else ():
            touched.keys.add(command.key)
            touched.terminals.add(command.terminal)
            if command.original_key:
                touched.keys.add(command.original_key)
                touched.terminals.add(terminal_of(command.original_key))
            if command.service in KEEPS_ACCOUNT:
                touched.accounts.add(account_key(command.service, command.card_token))
    return touched


def rederive_after(storage: LedgerStorage, index: int, entries: Entries) -> list[str]:
    """Put back what `entries`, all after `index`, touched; apply them again; compare.

    What differs, in words, `PROBLEMS_MAX` at most; empty when the log makes what is there.
    Raises `PayloadError`, `msgspec.MsgspecError` for a row or entry that cannot be read.
    """
    touched = touched_by(entries())
    past = _Past(storage, index, touched)
    for at, payload in entries():
        apply(past.rows, at, payload)
    return [*past.unlogged, *_differences(storage, past)][:PROBLEMS_MAX]


def rewind(storage: LedgerStorage, index: int, touched: Touched) -> MemoryStorage:
    """The rows of `touched` as they stood after entry `index`; closings are left out."""
    return _Past(storage, index, touched).rows


class _Past:
    """`rows` as they stood; `closed` by closes up to then; `unlogged`: later, but not touched."""

    def __init__(self, storage: LedgerStorage, index: int, touched: Touched) -> None:
        self.rows = MemoryStorage()
        self.touched = touched
        self.closed: set[str] = set()
        self.unlogged: list[str] = []
        self._records: dict[str, Record] = {}
        self._acts: dict[str, list[Record]] = {}
        self._moves: dict[tuple[str, int], list[Record]] = {}
        self._closes: set[str] = set()
        for key, row in storage.scan(Table.RECORD):
            record = decode_record(row)
            if record.receipt.index <= index:
                self._gather(key, record)
            elif key not in touched.keys and len(self.unlogged) < PROBLEMS_MAX:
                self.unlogged.append(f"record {key}: of entry {record.receipt.index}, not in it")
        self._put_records()
        self._put_tills(storage)

    def _gather(self, key: str, record: Record) -> None:
        touched = self.touched
        account = account_key(record.service, record.card_token)
        if key in touched.keys or account in touched.accounts:
            self._records[key] = record
        if record.original_key in touched.keys or (
            record.original_key and account in touched.accounts
        ):
            self._acts.setdefault(record.original_key, []).append(record)
        if record.type == Type.CLOSE and terminal_of(key) in touched.terminals:
            self._closes.add(key)
        if record.close_number:
            booked = terminal_of(record.original_key if record.type == Type.ADVICE else key)
            if booked in touched.terminals:
                self._moves.setdefault((booked, record.service), []).append(record)

    def _put_records(self) -> None:
        accounts: dict[str, Account] = {}
        put = []
        for key, now in self._records.items():
            then = _stood(now, self._acts.get(key, []))
            if key in self.touched.keys:
                put.append((key, encode(then)))
            account = account_key(then.service, then.card_token)
            if account in self.touched.accounts and _begun(then):
                accounts[account] = _with(accounts.get(account, Account()), key, then)
        self.rows.put(Table.RECORD, put)
        self.rows.put(Table.BALANCE, [(key, encode(row)) for key, row in accounts.items()])

    def _put_tills(self, storage: LedgerStorage) -> None:
        numbers: dict[tuple[str, int], int] = {}
        for key, row in storage.scan(Table.CLOSING):
            closing = decode_closing(row)
            if closing.key in self._closes:
                self.closed.add(key)
                place = (closing.terminal, closing.total.service)
                numbers[place] = max(numbers.get(place, 0), closing.close_number)
        tills = storage.get(Table.TOTAL, self.touched.terminals)
        for terminal, row in tills.items():
            lines = {}
            # In the order in which the services came: a row keeps it.
            for service in decode_till(row):
                moves = self._moves.get((terminal, service), [])
                number = numbers.get((terminal, service), 0) + 1
                if moves or number > 1:
                    lines[service] = _line(Line(service, number), moves)
            if lines:
                self.rows.put(Table.TOTAL, [(terminal, encode(lines))])


def _begun(record: Record) -> bool:
    return record.type in BEGINS and record.receipt.outcome == Outcome.APPROVED


def _stood(now: Record, acts: list[Record]) -> Record:
    """A record as it stood when only `acts` had been done to it."""
    if not _begun(now):
        return now  # nothing can be done to it
    authorised = now.type == Type.AUTHORISE
    then = _replace(
        now,
        state=int(State.AUTHORISED if authorised else State.CAPTURED),
        captured_minor=0 if authorised else now.amount_minor,
        refunded_minor=0,
        card_write=0,
    )
    for act in sorted(acts, key=lambda act: act.receipt.rrn):
        if act.receipt.outcome != Outcome.APPROVED:
            if act.receipt.reason == EXPIRED.reason:
                return now  # and stays so
        elif act.type == Type.CAPTURE:
            then = _replace(then, state=int(State.CAPTURED), captured_minor=act.amount_minor)
        elif act.type == Type.REFUND:
            refunded = then.refunded_minor + act.amount_minor
            then = _replace(then, state=int(State.REFUNDED), refunded_minor=refunded)
        elif act.type == Type.ADVICE and act.card_write != CardWrite.NOT_WRITTEN:
            unknown = act.card_write == CardWrite.UNKNOWN
            state = State.UNKNOWN if unknown else State.CAPTURED
            then = _replace(then, state=int(state), card_write=act.card_write)
        else:
            return now  # undone, which is the end of it
    return then


def _with(account: Account, key: str, record: Record) -> Account:
    """The account with what one transaction left on it."""
    undone = record.state in UNDONE
    if record.service == Service.COUPON:
        return account if undone else Account(0, key)
    assert record.service in STORED_VALUE, "no other service keeps an account"
    left = 0 if undone else record.captured_minor - record.refunded_minor
    return Account(account.balance_minor + (left if record.type in ADDS else -left))


def _line(line: Line, moves: list[Record]) -> Line:
    """The line with the acts that count in it."""
    for act in moves:
        if act.close_number != line.close_number:
            continue
        amount, voids, refunds = act.amount_minor, act.type in UNDOES, act.type == Type.REFUND
        line = _replace(
            line,
            count=line.count + 1,
            captured_minor=line.captured_minor + (0 if voids or refunds else amount),
            voided_minor=line.voided_minor + (amount if voids else 0),
            refunded_minor=line.refunded_minor + (amount if refunds else 0),
        )
    return line


def _differences(storage: LedgerStorage, past: _Past) -> list[str]:
    """Between what is there now and `past`, once the entries were applied to it."""
    found = []
    touched = past.touched
    for table, keys in (
        (Table.RECORD, touched.keys),
        (Table.BALANCE, touched.accounts),
        (Table.TOTAL, touched.terminals),
    ):
        ordered = sorted(keys)
        for at in range(0, len(ordered), _CHUNK):
            chunk = ordered[at : at + _CHUNK]
            ours, theirs = storage.get(table, chunk), past.rows.get(table, chunk)
            found += [
                f"{table} {key}: not what the log makes of it"
                for key in chunk
                if ours.get(key) != theirs.get(key)
            ]
    derived = dict(past.rows.scan(Table.CLOSING))
    for key, row in storage.scan(Table.CLOSING):
        if decode_closing(row).terminal not in touched.terminals or key in past.closed:
            continue
        if derived.pop(key, None) != row:
            found.append(f"{Table.CLOSING} {key}: not what the log makes of it")
    return found + [f"{Table.CLOSING} {key}: made by the log, not here" for key in derived]
