"""One key, one effect, one answer: in the log again, in a batch twice, with other content."""

from __future__ import annotations

import msgspec
import pytest

from node.ledger import book
from node.ledger.admission import Refusal, RefusalKind, admit
from node.ledger.audit import digest
from node.ledger.commands import (
    PayloadError,
    Receipt,
    Service,
    ServiceTotal,
    Type,
    encode_batch,
)
from node.ledger.queries import inquire
from tests.node.ledger.desk import Desk, approved, declined

CREDIT = Service.CREDIT


def test_the_start_of_an_epoch_settles_nothing(desk: Desk) -> None:
    before = digest(desk.storage)
    assert book.apply(desk.storage, 1, b"") == ()
    assert digest(desk.storage) == before


@pytest.mark.parametrize("payload", [b"\x00", b"\x93", encode_batch(1, ())[:-1] + b"\x00"])
def test_a_payload_that_cannot_be_read_stops_the_apply_and_writes_nothing(
    desk: Desk, payload: bytes
) -> None:
    with pytest.raises(PayloadError):
        book.apply(desk.storage, 1, payload)


def test_a_payload_of_another_version_is_not_guessed_at(desk: Desk) -> None:
    payload = msgspec.msgpack.encode((2, 1, ()))
    with pytest.raises(PayloadError, match="version 2"):
        book.apply(desk.storage, 1, payload)


@pytest.mark.parametrize("token", ["tok-one", "tok-DECLINE05"])
def test_the_same_key_hears_the_first_answer_word_for_word(desk: Desk, token: str) -> None:
    command = desk.command(CREDIT, Type.SALE, token=token)
    assert desk.admit(command) is None
    (first,) = desk.apply(command)
    before = digest(desk.storage)
    (again,) = desk.apply(command)
    assert again == msgspec.structs.replace(first, replayed=True)
    assert desk.admit(command) == again
    assert digest(desk.storage) == before


def test_a_key_twice_in_one_entry_has_one_effect(desk: Desk) -> None:
    command = desk.command(CREDIT, Type.SALE)
    first, second = desk.apply(command, command)
    assert (first.replayed, second.replayed) == (False, True)
    assert second == msgspec.structs.replace(first, replayed=True)
    assert desk.open() == (ServiceTotal(CREDIT, 1, 1000),)


def test_a_key_reused_with_other_content_is_refused(desk: Desk) -> None:
    approved(desk.do(CREDIT, Type.SALE, stan=7))
    answer = desk.admit(desk.command(CREDIT, Type.SALE, 1001, stan=7))
    assert isinstance(answer, Refusal)
    assert (answer.kind, answer.response_code) == (RefusalKind.KEY_REUSED, "12")


def test_a_key_reused_within_one_entry_is_told_and_the_first_stands(desk: Desk) -> None:
    first, second = desk.apply(
        desk.command(CREDIT, Type.SALE, stan=7), desk.command(CREDIT, Type.REFUND, 1001, stan=7)
    )
    assert first.key == second.key
    declined(second, "12")
    assert not second.replayed
    assert desk.inquire(first.key).receipt == first
    assert desk.open() == (ServiceTotal(CREDIT, 1, 1000),)


def test_refusals_consume_no_key(desk: Desk) -> None:
    before = digest(desk.storage)
    command = desk.command(CREDIT, Type.REFUND, of="T1.20261123.000777.0200", stan=7)
    assert isinstance(desk.admit(command), Refusal)
    assert digest(desk.storage) == before
    approved(desk.do(CREDIT, Type.SALE, stan=7))


def test_declines_keep_their_key(desk: Desk) -> None:
    receipt = declined(desk.do(CREDIT, Type.SALE, token="tok-NOFUNDS51", stan=7), "51")
    assert desk.inquire(receipt.key).receipt == receipt
    assert isinstance(desk.admit(desk.command(CREDIT, Type.SALE, stan=7)), Refusal)


def test_admission_answers_each_command_in_order(desk: Desk) -> None:
    known = desk.command(CREDIT, Type.SALE)
    desk.apply(known)
    new = desk.command(CREDIT, Type.SALE)
    lost = desk.command(CREDIT, Type.VOID, of="T1.20261123.000777.0200")
    answers = admit(desk.storage, (new, lost, known))
    assert [type(answer) for answer in answers] == [type(None), Refusal, Receipt]
    assert admit(desk.storage, ()) == []


def test_an_unknown_key_is_unknown(desk: Desk) -> None:
    assert inquire(desk.storage, "T1.20261123.000777.0200") is None
