"""The working sheet of one batch: what it needs is read once, changes stay here, written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.ledger.commands import Command, Type
from node.ledger.records import (
    Account,
    Closing,
    Line,
    Record,
    Till,
    account_key,
    closing_key,
    decode_account,
    decode_record,
    decode_till,
    encode,
    terminal_of,
)
from node.ledger.services import KEEPS_ACCOUNT
from node.ledger.storage import LedgerStorage, Table

_ADVICE: Final = int(Type.ADVICE)


class Sheet:
    """Rows under change while a batch is applied; a command sees what those before it did.

    `stamp_ms` and `index` are the entry's; `rrn` is the reference of the command now at work.
    """

    __slots__ = (
        "_accounts",
        "_changed_accounts",
        "_changed_records",
        "_changed_tills",
        "_closings",
        "_tills",
        "index",
        "records",
        "rrn",
        "stamp_ms",
    )

    def __init__(
        self, storage: LedgerStorage, commands: Sequence[Command], index: int, stamp_ms: int
    ) -> None:
        """Read every row the commands can touch: one `get` a table."""
        keys: set[str] = set()
        tills: set[str] = set()
        accounts: set[str] = set()
        for command in commands:
            keys.add(command.key)
            tills.add(command.terminal)
            if command.original_key:
                keys.add(command.original_key)
                if command.type == _ADVICE:
                    tills.add(terminal_of(command.original_key))
            if command.service in KEEPS_ACCOUNT:
                accounts.add(account_key(command.service, command.card_token))
        self.records: dict[str, Record] = {
            key: decode_record(row) for key, row in storage.get(Table.RECORD, keys).items()
        }
        self._tills: dict[str, Till] = {
            key: decode_till(row) for key, row in storage.get(Table.TOTAL, tills).items()
        }
        self._accounts: dict[str, Account] = {}
        if accounts:
            for key, row in storage.get(Table.BALANCE, accounts).items():
                self._accounts[key] = decode_account(row)
        self._changed_records: set[str] = set()
        self._changed_accounts: set[str] = set()
        self._changed_tills: set[str] = set()
        self._closings: list[tuple[str, bytes]] = []
        self.index = index
        self.stamp_ms = stamp_ms
        self.rrn = ""

    def keep(self, record: Record) -> None:
        """Write a record under its receipt's key."""
        key = record.receipt.key
        self.records[key] = record
        self._changed_records.add(key)

    def till(self, terminal: str) -> Till:
        """The open lines of a terminal."""
        till = self._tills.get(terminal)
        if till is None:
            till = self._tills[terminal] = {}
        return till

    def keep_line(self, terminal: str, line: Line) -> None:
        """Write one service's line of a terminal."""
        self.till(terminal)[line.service] = line
        self._changed_tills.add(terminal)

    def account(self, service: int, card_token: str) -> Account:
        """The account or coupon of a card token; a new one is empty."""
        return self._accounts.get(account_key(service, card_token), _EMPTY)

    def keep_account(self, service: int, card_token: str, account: Account) -> None:
        """Write the account or coupon of a card token."""
        key = account_key(service, card_token)
        self._accounts[key] = account
        self._changed_accounts.add(key)

    def keep_closing(self, closing: Closing) -> None:
        """Write one close of one service."""
        key = closing_key(closing.terminal, closing.total.service, closing.close_number)
        self._closings.append((key, encode(closing)))

    def write(self, storage: LedgerStorage) -> None:
        """Put every changed row: one `put` a table, rows in order of key."""
        if self._changed_records:
            records = self.records
            storage.put(
                Table.RECORD, [(key, encode(records[key])) for key in sorted(self._changed_records)]
            )
        if self._changed_tills:
            tills = self._tills
            storage.put(
                Table.TOTAL, [(key, encode(tills[key])) for key in sorted(self._changed_tills)]
            )
        if self._changed_accounts:
            accounts = self._accounts
            storage.put(
                Table.BALANCE,
                [(key, encode(accounts[key])) for key in sorted(self._changed_accounts)],
            )
        if self._closings:
            storage.put(Table.CLOSING, sorted(self._closings))


_EMPTY: Final = Account()
