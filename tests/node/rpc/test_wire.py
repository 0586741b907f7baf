"""Commands and fingerprints: what makes a repeat the same request, and what makes it another."""

from __future__ import annotations

import pytest

from node.ledger.commands import Command, decode_batch, encode_batch
from node.rpc import wire
from proto import settlement_pb2 as pb
from tests.node.rpc.front import KEY, sale


def command(request: pb.SettleRequest | pb.CloseRequest) -> Command:
    """The command of a valid request."""
    made = (
        wire.settle_command(request)
        if isinstance(request, pb.SettleRequest)
        else wire.close_command(request)
    )
    assert isinstance(made, Command), made
    return made


REFUND = {"type": pb.TRANSACTION_TYPE_REFUND, "original_key": "T0001.20261123.000001.0200"}
OFFER = {
    "service": 7,
    "dcc": pb.DccOffer(card_amount_minor=804, card_currency="USD", rate="0.0067"),
}


def test_the_same_request_has_the_same_key_and_fingerprint() -> None:
    first, again = command(sale()), command(sale())
    assert (first.key, first.fingerprint) == (again.key, again.fingerprint)
    assert first.key == KEY
    assert len(first.fingerprint) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"merchant_id": "M0002"}),
        ({}, {"service": pb.SERVICE_UNIONPAY}),
        ({}, {"brand": "JCB"}),
        ({}, {"amount_minor": 1201}),
        ({}, {"card_token": "tok-3f9b"}),
        ({}, REFUND),
        (REFUND, {**REFUND, "original_key": "T0001.20261123.000002.0200"}),
        (
            OFFER,
            {
                **OFFER,
                "dcc": pb.DccOffer(card_amount_minor=816, card_currency="USD", rate="0.0068"),
            },
        ),
        (
            {"service": 4, "type": 12, "amount_minor": 0, "card_write": 2}
            | {"original_key": "T0001.20261123.000001.0200"},
            {"service": 4, "type": 12, "amount_minor": 0, "card_write": 3}
            | {"original_key": "T0001.20261123.000001.0200"},
        ),
    ],
)
def test_what_moves_money_is_in_the_fingerprint(
    one: dict[str, object], other: dict[str, object]
) -> None:
    first, second = command(sale(**one)), command(sale(**other))
    assert first.key == second.key
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("changes", [{"memo": "again"}, {"card_last4": ""}])
def test_what_moves_no_money_is_not(changes: dict[str, object]) -> None:
    assert command(sale(**changes)).fingerprint == command(sale()).fingerprint


def test_a_close_is_another_request_when_its_totals_are() -> None:
    def close(**changes: object) -> Command:
        fields: dict[str, object] = {
            "merchant_id": "M0001",
            "terminal_id": "T0001",
            "business_date": 20261123,
            "stan": 900,
        }
        return command(pb.CloseRequest(**{**fields, **changes}))  # type: ignore[arg-type]

    totals = [pb.ServiceTotal(service=pb.SERVICE_CREDIT, count=1, captured_minor=5)]
    assert close().fingerprint == close().fingerprint
    assert close().fingerprint != close(expected=totals).fingerprint
    assert close().fingerprint != close(service=1).fingerprint
    assert close().key == close(expected=totals).key


def test_a_command_survives_the_log() -> None:
    commands = (command(sale(**OFFER)), command(sale(memo="領収書")))
    assert decode_batch(encode_batch(1, commands)).commands == commands
