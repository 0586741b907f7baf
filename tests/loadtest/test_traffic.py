"""The traffic is believable: deterministic, of all services, and right by the ledger's rules."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest

from loadtest.arrivals import Pattern, arrivals
from loadtest.history import Heard, Intent, Result
from loadtest.market import DECLINE_ENDINGS
from loadtest.request import Call, Request, Service, Type
from loadtest.traffic import Till
from node.ledger import commands as ledger
from node.ledger.services import TEST_ENDINGS
from proto import settlement_pb2 as pb
from tests.loadtest.small_town import live


def day(seed: int, number: int, tag: str = "A", actions: int = 400) -> list[Request]:
    till = Till(seed=seed, number=number, tag=tag, business_date=20261123)
    return [till.next().request for _ in range(actions)]


def test_one_seed_gives_one_day_and_another_gives_another() -> None:
    assert day(1, 0) == day(1, 0)
    assert day(1, 0) != day(2, 0)
    assert day(1, 0) != day(1, 1)


def test_a_tag_sets_runs_apart_and_changes_nothing_else() -> None:
    one, other = day(1, 3, tag="A"), day(1, 3, tag="B")
    assert {request.key for request in one if request.key}.isdisjoint(
        request.key for request in other
    )
    assert [(each.call, each.type, each.amount_minor) for each in one] == [
        (each.call, each.type, each.amount_minor) for each in other
    ]


def test_all_services_and_all_acts_occur() -> None:
    asked = [request for number in range(8) for request in day(3, number)]
    assert {request.service for request in asked} == set(Service)
    assert {request.type for request in asked} == set(Type)
    assert {request.call for request in asked} == set(Call)
    assert any(request.expected for request in asked)


def test_repeats_ask_an_earlier_key_with_the_same_content() -> None:
    till = Till(seed=5, number=0, tag="A", business_date=20261123)
    seen: dict[str, Request] = {}
    repeats = 0
    for _ in range(500):
        action = till.next()
        if action.again:
            repeats += 1
            assert seen[action.request.key] == action.request
        elif action.request.key:
            assert action.request.key not in seen
            seen[action.request.key] = action.request
    assert repeats > 3


def test_the_plan_is_right_by_the_ledgers_rules() -> None:
    """Nothing is refused, and only what was meant to be declined is declined."""
    town = live(seed=11, tills=6, actions=400)
    assert town.refused == []
    requests = {line.ask: line.request for line in town.history if isinstance(line, Intent)}
    declined: Counter[str] = Counter()
    for line in town.history:
        if isinstance(line, Heard) and line.result is Result.DECLINED:
            request = requests[line.ask]
            assert line.reply is not None
            declined[line.reply.response_code] += 1
            meant = request.card_token.endswith(DECLINE_ENDINGS)
            short_of_funds = request.service == Service.E_MONEY and request.type == Type.SALE
            assert meant or short_of_funds, (request, line.reply)
    assert sum(declined.values()) > 5
    results = Counter(line.result for line in town.history if isinstance(line, Heard))
    assert results[Result.OK] > 20 * results[Result.DECLINED]
    assert results[Result.MISMATCH] > 0


def test_numbers_and_keys_are_those_of_the_wire_and_the_ledger() -> None:
    for service in Service:
        if service:
            assert int(pb.Service.Value(f"SERVICE_{service.name}")) == int(service)
            assert int(ledger.Service[service.name]) == int(service)
    for kind in Type:
        if kind:
            assert int(pb.TransactionType.Value(f"TRANSACTION_TYPE_{kind.name}")) == int(kind)
            request = Request("S", "T1", 20261123, stan=7, type=kind)
            assert request.key == ledger.idempotency_key("T1", 20261123, 7, ledger.Type(kind))
    close = Request("S", "T1", 20261123, stan=7, call=Call.CLOSE)
    assert close.key == ledger.idempotency_key("T1", 20261123, 7, ledger.Type.CLOSE)
    assert all(f"-{ending}" in TEST_ENDINGS for ending in DECLINE_ENDINGS)


def test_terminal_ids_fit_and_bad_tags_are_refused() -> None:
    assert len(Till(seed=1, number=9999, tag="ABCDEFGH", business_date=1).terminal) == 13
    for tag in ("ABCDEFGHI", "A-B", ""):
        with pytest.raises(ValueError, match="terminal id"):
            Till(seed=1, number=1, tag=tag, business_date=1)


def test_arrivals_are_seeded_and_keep_the_rate() -> None:
    def times(pattern: Pattern, terminal: int) -> list[float]:
        return list(
            islice(arrivals(pattern, seed=4, terminal=terminal, terminals=10, rate=100), 500)
        )

    for pattern in Pattern:
        assert times(pattern, 2) == times(pattern, 2)
        assert times(pattern, 2) == sorted(times(pattern, 2))
        # 500 slots of one terminal in ten at 100/s: about 50 s.
        assert times(pattern, 2)[-1] == pytest.approx(50_000, rel=0.15)
    assert times(Pattern.POISSON, 1) != times(Pattern.POISSON, 2)
    together = sorted(t for terminal in range(10) for t in times(Pattern.CONSTANT, terminal))
    gaps = {round(b - a, 6) for a, b in pairwise(together)}
    assert gaps == {10.0}


def test_arrivals_refuse_what_has_no_meaning() -> None:
    for rate, terminal in ((0.0, 0), (10.0, 5), (-1.0, 0)):
        with pytest.raises(ValueError, match="no arrivals"):
            next(arrivals(Pattern.POISSON, seed=1, terminal=terminal, terminals=5, rate=rate))
