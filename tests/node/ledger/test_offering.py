"""Services that a site does not offer: refused before the log, with words for the shop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from node.ledger.admission import admit
from node.ledger.commands import Command, Receipt, Service, Type
from node.ledger.offering import WORDINGS, Admit, offered_only
from node.ledger.refusals import Refusal, RefusalKind
from tests.node.ledger.desk import Desk


def judged(desk: Desk, command: Command, offered: Sequence[str] = ("CREDIT",)) -> object:
    """What a node of site b says to `command` before the log."""
    ask: Admit = partial(admit, desk.storage)
    (answer,) = offered_only("b", offered, ask)([command])
    return answer


def test_what_is_offered_goes_on() -> None:
    desk = Desk()
    assert judged(desk, desk.command(Service.CREDIT, Type.SALE)) is None


@pytest.mark.parametrize("service", [each for each in Service if each is not Service.CREDIT])
def test_every_other_service_is_refused_with_its_fallback(service: Service) -> None:
    desk = Desk()
    refused = judged(desk, desk.command(service, Type.REVERSAL, of="T1.20261123.000009.0200"))
    assert isinstance(refused, Refusal)
    assert refused.kind is RefusalKind.SERVICE_NOT_OFFERED
    assert (refused.response_code, refused.field) == ("91", "")
    facts = dict(refused.facts)
    assert facts == {
        "service": service.name,
        "site": "b",
        "offered": "CREDIT",
        "fallback": WORDINGS[service].fallback,
        "fallback_ja": WORDINGS[service].fallback_ja,
    }
    assert facts["fallback"] in refused.message
    assert facts["fallback_ja"] in refused.message


def test_the_words_for_electronic_money() -> None:
    desk = Desk()
    refused = judged(desk, desk.command(Service.E_MONEY, Type.SALE), ("CREDIT", "UNIONPAY"))
    assert isinstance(refused, Refusal)
    assert refused.message == (
        "electronic money is not offered while site b settles (offered: CREDIT UNIONPAY): "
        "take cash. 電子マネーは現在お取り扱いできません。現金でお取り扱いください。"
    )


def test_what_was_settled_before_is_answered_again() -> None:
    desk = Desk()
    topped_up = desk.command(Service.E_MONEY, Type.TOP_UP)
    desk.apply(topped_up)
    again = judged(desk, topped_up)
    assert isinstance(again, Receipt)
    assert again.replayed
    assert again.key == topped_up.key


def test_closes_of_any_service_are_never_refused() -> None:
    desk = Desk()
    assert judged(desk, desk.command(Service.E_MONEY, Type.CLOSE, 0)) is None
    assert judged(desk, desk.command(0, Type.CLOSE, 0)) is None


def test_with_none_named_all_are_offered() -> None:
    desk = Desk()
    assert all(
        judged(desk, desk.command(service, Type.SALE), ()) is None
        for service in (Service.CREDIT, Service.E_MONEY, Service.J_DEBIT)
    )


def test_each_in_a_batch_is_judged_by_itself() -> None:
    desk = Desk()
    commands = [
        desk.command(Service.CREDIT, Type.SALE),
        desk.command(Service.E_MONEY, Type.SALE),
        desk.command(Service.CREDIT, Type.SALE),
    ]
    ask: Admit = partial(admit, desk.storage)
    answers = offered_only("b", ("CREDIT",), ask)(commands)
    assert [type(answer) for answer in answers] == [type(None), Refusal, type(None)]


def test_every_service_has_its_words() -> None:
    assert set(WORDINGS) == set(Service)
