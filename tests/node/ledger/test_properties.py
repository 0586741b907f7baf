"""What must hold whatever is asked."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger import book
from node.ledger.admission import Refusal, admit
from node.ledger.audit import digest, rederive
from node.ledger.commands import (
    CardWrite,
    Command,
    Dcc,
    Outcome,
    Receipt,
    Service,
    ServiceTotal,
    State,
    Type,
    encode_batch,
)
from node.ledger.memory import MemoryStorage
from node.ledger.queries import inquire, interim
from node.ledger.records import decode_record
from node.ledger.refusals import DECLINE_CODE
from node.ledger.services import ALLOWED
from node.ledger.storage import Table
from node.ledger.verify import verify
from tests.node.ledger.days import TERMINALS, Batches, day, days, run


def new_approvals(heard: list[tuple[Command, Receipt]]) -> list[tuple[Command, Receipt]]:
    """Approved first answers: each is one effect."""
    return [
        (command, receipt)
        for command, receipt in heard
        if receipt.outcome == Outcome.APPROVED and not receipt.replayed
    ]


def test_drawn_days_reach_every_rule() -> None:
    approvals: Counter[tuple[int, int]] = Counter()
    codes: Counter[str] = Counter()
    states: Counter[int] = Counter()
    for seed in range(60):
        storage, heard = run(day(seed, 100))
        for command, _ in new_approvals(heard):
            approvals[command.service, command.type] += 1
        codes.update(receipt.response_code for _, receipt in heard)
        states.update(decode_record(row).state for _, row in storage.scan(Table.RECORD))
    for service, kinds in ALLOWED.items():
        assert all(approvals[service, kind] >= 3 for kind in kinds), service.name
    assert approvals[0, Type.CLOSE] >= 3
    assert {"00", "12", "13", "21", "25", "51", "57", "61", "95"} <= codes.keys()
    assert set(State) <= states.keys()


@given(days())
@settings(max_examples=100, deadline=None)
def test_the_books_add_up_after_every_entry(batches: Batches) -> None:
    storage = MemoryStorage()
    for index, (stamp, batch) in enumerate(batches, 1):
        book.apply(storage, index, encode_batch(stamp, tuple(batch)))
        assert verify(storage) == []


@given(days())
@settings(max_examples=100, deadline=None)
def test_what_was_heard_as_captured_voided_and_refunded_is_closed_or_open(
    batches: Batches,
) -> None:
    storage, heard = run(batches)
    sums: dict[int, int] = defaultdict(int)
    amounts = {command.key: command.amount_minor for command, _ in new_approvals(heard)}
    captured: dict[str, int] = {}
    for command, receipt in new_approvals(heard):
        kind, amount = command.type, command.amount_minor
        if kind in (Type.SALE, Type.TOP_UP, Type.EARN, Type.REDEEM):
            captured[command.key] = amount
            sums[command.service] += amount
        elif kind == Type.CAPTURE:
            captured[command.original_key] = amount
            sums[command.service] += amount
        elif kind == Type.REFUND:
            sums[command.service] -= amount
        elif kind in (Type.VOID, Type.CANCEL, Type.REVERSAL):
            sums[command.service] -= captured.get(command.original_key, 0)
        elif kind == Type.ADVICE and command.card_write == CardWrite.NOT_WRITTEN:
            sums[command.service] -= amounts[command.original_key]
        elif kind == Type.CLOSE:
            for total in receipt.totals:
                sums[total.service] -= _net(total)
    for terminal in TERMINALS:
        for total in interim(storage, terminal, 0):
            sums[total.service] -= _net(total)
    assert not any(sums.values()), dict(sums)


def _net(total: ServiceTotal) -> int:
    return total.captured_minor - total.voided_minor - total.refunded_minor


@given(days())
@settings(max_examples=100, deadline=None)
def test_balances_are_what_was_heard_and_never_negative(batches: Batches) -> None:
    _, heard = run(batches)
    balances: dict[tuple[int, str], int] = defaultdict(int)
    begun: dict[str, tuple[int, int]] = {}
    for command, receipt in new_approvals(heard):
        if command.service not in (Service.E_MONEY, Service.POINT) or command.type == Type.CLOSE:
            continue
        account = (command.service, command.card_token)
        sign = {Type.TOP_UP: 1, Type.EARN: 1, Type.SALE: -1, Type.REDEEM: -1}.get(
            Type(command.type)
        )
        if sign is not None:
            begun[command.key] = (sign, command.amount_minor)
            balances[account] += sign * command.amount_minor
        elif command.type == Type.REFUND:
            balances[account] += command.amount_minor
        elif command.type in (Type.REVERSAL, Type.CANCEL) or (
            command.type == Type.ADVICE and command.card_write == CardWrite.NOT_WRITTEN
        ):
            sign, amount = begun.get(command.original_key, (0, 0))
            balances[account] -= sign * amount
            if not sign:
                continue  # A tombstone has no balance to tell.
        assert receipt.balance_minor == balances[account] >= 0


@given(days())
@settings(max_examples=100, deadline=None)
def test_a_log_applied_twice_changes_nothing_and_says_the_same(batches: Batches) -> None:
    storage, heard = run(batches)
    before = digest(storage)
    first: dict[str, Receipt] = {}
    for _, receipt in heard:
        if receipt.response_code != "12":
            first.setdefault(receipt.key, msgspec.structs.replace(receipt, replayed=True))
    for index, (stamp, batch) in enumerate(batches, 100):
        receipts = book.apply(storage, index, encode_batch(stamp + 1, tuple(batch)))
        for receipt in receipts:
            assert receipt.response_code == "12" or receipt == first[receipt.key]
    assert digest(storage) == before


@given(days())
@settings(max_examples=100, deadline=None)
def test_one_key_has_one_effect(batches: Batches) -> None:
    _, heard = run(batches)
    effects = [command.key for command, _ in new_approvals(heard)]
    assert len(effects) == len(set(effects))


@given(days())
@settings(max_examples=100, deadline=None)
def test_two_replicas_end_the_same(batches: Batches) -> None:
    first, answers = run(batches)
    second, same_answers = run(batches)
    assert answers == same_answers
    assert digest(first) == digest(second)
    entries = [
        (index, encode_batch(stamp, tuple(batch)))
        for index, (stamp, batch) in enumerate(batches, 1)
    ]
    assert rederive(first, entries) == []


@given(days())
@settings(max_examples=100, deadline=None)
def test_how_commands_share_entries_does_not_matter(batches: Batches) -> None:
    _, together = run(batches)
    _, alone = run([(stamp, [command]) for stamp, batch in batches for command in batch])

    def judged(heard: list[tuple[Command, Receipt]]) -> list[tuple[object, ...]]:
        return [
            (
                receipt.key,
                receipt.response_code,
                receipt.state,
                receipt.balance_minor,
                receipt.replayed,
                receipt.totals,
            )
            for _, receipt in heard
        ]

    assert judged(together) == judged(alone)


@given(days())
@settings(max_examples=100, deadline=None)
def test_admission_and_apply_agree(batches: Batches) -> None:
    storage = MemoryStorage()
    index = 0
    for stamp, batch in batches:
        for command in batch:
            index += 1
            before = digest(storage)
            (answer,) = admit(storage, (command,))
            assert digest(storage) == before
            money = _money(storage)
            (receipt,) = book.apply(storage, index, encode_batch(stamp, (command,)))
            if isinstance(answer, Receipt):
                assert receipt == answer
                assert digest(storage) == before
            elif isinstance(answer, Refusal):
                assert receipt.outcome == Outcome.DECLINED
                assert receipt.response_code == DECLINE_CODE[answer.kind]
                assert _money(storage) == money
            else:
                # What is left to apply: funds, coupons, expiry; never what admission could see.
                assert not receipt.replayed
                assert receipt.response_code in {"00", "51", "57", "21", "95"}
                if receipt.response_code == "21":
                    assert "expired" in receipt.reason
                if receipt.response_code == "57":
                    assert "coupon" in receipt.reason


def _money(storage: MemoryStorage) -> list[list[tuple[str, bytes]]]:
    return [list(storage.scan(table)) for table in Table if table is not Table.RECORD]


@given(days())
@settings(max_examples=100, deadline=None)
def test_every_answer_can_be_inquired(batches: Batches) -> None:
    storage, heard = run(batches)
    for _, receipt in heard:
        inquiry = inquire(storage, receipt.key)
        assert inquiry is not None
        assert 0 <= inquiry.refunded_minor <= inquiry.captured_minor
        if receipt.response_code != "12":
            assert inquiry.receipt == msgspec.structs.replace(receipt, replayed=False)


_number = st.integers(-(2**63), 2**63 - 1)
_small = st.integers(-1, 21)
_text = st.text(max_size=12) | st.sampled_from(
    ["T1", "tok-a", "tok-DECLINE05", "T1.20261123.000001.0200", "T1.20261123.000001.0100"]
)


@given(
    st.lists(
        st.lists(
            st.builds(
                Command,
                key=_text,
                fingerprint=st.binary(max_size=2),
                merchant=st.just("M") | _text,
                terminal=_text,
                service=_small | _number,
                brand=_text,
                type=_small | _number,
                amount_minor=st.integers(-1, 3) | _number,
                currency=_text,
                business_date=_number,
                stan=_number,
                card_token=_text,
                card_last4=_text,
                original_key=_text,
                dcc=st.none() | st.builds(Dcc, _number, _text, _text),
                card_write=_small | _number,
                memo=_text,
                expected=st.none()
                | st.lists(
                    st.builds(ServiceTotal, _small, _number, _number, _number, _number),
                    max_size=2,
                ).map(tuple),
            ),
            max_size=6,
        ),
        max_size=4,
    ),
    _number,
)
@settings(max_examples=100, deadline=None)
def test_no_command_in_a_log_can_stop_a_replica(batches: list[list[Command]], stamp: int) -> None:
    storage = MemoryStorage()
    for index, batch in enumerate(batches, 1):
        receipts = book.apply(storage, index, encode_batch(stamp, tuple(batch)))
        assert [receipt.key for receipt in receipts] == [command.key for command in batch]
        admit(storage, batch)
