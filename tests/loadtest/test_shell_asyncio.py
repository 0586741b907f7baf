"""Askings carried over real gRPC to a centre that misbehaves."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest import history_file
from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history import Heard, Intent, Line, Result
from loadtest.request import Call, Request, Service, Type
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Manner
from tests.loadtest.fake_centre import FakeCentre

MANNER = Manner(attempt_ms=300, deadline_ms=900, backoff_base_ms=5, backoff_cap_ms=40)


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    with FakeCentre() as centre:
        yield centre


def sale(stan: int = 1, amount: int = 1200, token: str = "tok") -> Request:
    return Request(
        merchant="SHOP-1",
        terminal="T1",
        business_date=20261123,
        stan=stan,
        service=Service.CREDIT,
        type=Type.SALE,
        amount_minor=amount,
        card_token=token,
    )


async def settle(
    centre: FakeCentre, request: Request, *, first: int = 0, give_up_after_ms: float = 5_000
) -> tuple[Heard, list[Line]]:
    lines: list[Line] = []
    around = Surroundings(lambda: time.monotonic() * 1000, random.Random(1).random, lines.append)
    asking = Asking(
        "T1/0",
        request,
        intended_ms=around.clock(),
        compass=Compass.fresh(centre.endpoints, first),
        manner=MANNER,
        around=around,
    )
    async with Wire(centre.endpoints) as wire:
        await wire.carry(asking, give_up_after_ms)
    assert asking.last is not None
    return asking.last, lines


async def test_an_approval_is_recorded_after_its_intent(centre: FakeCentre) -> None:
    heard, lines = await settle(centre, sale())
    assert heard.result is Result.OK
    assert [type(line) for line in lines] == [Intent, Heard]
    assert heard.reply is not None
    assert heard.reply.key == sale().key == "T1.20261123.000001.0200"
    assert (heard.attempts, heard.endpoint) == (1, centre.endpoints[0])


async def test_a_decline_is_an_answer(centre: FakeCentre) -> None:
    heard, _ = await settle(centre, sale(token="tok-NOFUNDS51"))
    assert heard.result is Result.DECLINED


async def test_the_hint_of_a_follower_is_followed(centre: FakeCentre) -> None:
    heard, _ = await settle(centre, sale(), first=2)
    assert heard.result is Result.OK
    assert (heard.attempts, heard.endpoint) == (2, centre.endpoints[0])


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(centre: FakeCentre) -> None:
    centre.drop_answers = 2
    heard, lines = await settle(centre, sale())
    assert heard.result is Result.OK
    assert heard.reply is not None
    assert heard.reply.replayed
    assert {key for _, key in centre.asked} == {sale().key}
    assert len(centre.ledger) == 1
    assert len(lines) == 2


async def test_a_silent_leader_is_left_for_its_successor(centre: FakeCentre) -> None:
    centre.silent = {0}
    centre.leader = 1
    heard, _ = await settle(centre, sale())
    assert heard.endpoint == centre.endpoints[1]
    assert heard.result is Result.OK


async def test_C4_a_leader_that_is_not_reached_answers_by_way_of_another_node(
    centre: FakeCentre,
) -> None:
    centre.silent, centre.relays = {0}, True
    heard, _ = await settle(centre, sale())
    assert (heard.result, heard.endpoint) == (Result.OK, centre.endpoints[1])
    assert centre.relayed == [(1, sale().key)]


async def test_a_field_at_fault_is_a_final_refusal_that_names_it(centre: FakeCentre) -> None:
    heard, _ = await settle(centre, sale(amount=-1))
    assert heard.result is Result.REFUSED
    assert heard.code == "INVALID_ARGUMENT"
    assert "amount_minor: must be above 0" in heard.detail
    assert heard.attempts == 1


async def test_a_key_reused_with_other_content_is_refused(centre: FakeCentre) -> None:
    await settle(centre, sale())
    heard, _ = await settle(centre, sale(amount=7))
    assert (heard.result, heard.code) == (Result.REFUSED, "ALREADY_EXISTS")


async def test_an_outage_past_the_deadline_is_slipped_then_resolved(centre: FakeCentre) -> None:
    centre.leader = None

    def come_back() -> float:
        if len(centre.asked) > 40 or time.monotonic() - began > 1.2:
            centre.leader = 2
        return 0.9

    began = time.monotonic()
    lines: list[Line] = []
    around = Surroundings(lambda: time.monotonic() * 1000, come_back, lines.append)
    asking = Asking(
        "T1/0",
        sale(),
        intended_ms=around.clock(),
        compass=Compass.fresh(centre.endpoints),
        manner=MANNER,
        around=around,
    )
    async with Wire(centre.endpoints) as wire:
        await wire.carry(asking, 10_000)
    heard = [line for line in lines if isinstance(line, Heard)]
    assert [line.result for line in heard] == [Result.UNKNOWN, Result.OK]
    assert heard[1].resolved == "same key: settled now"


async def test_giving_up_leaves_unknown_on_record(centre: FakeCentre) -> None:
    centre.leader = None
    heard, lines = await settle(centre, sale(), give_up_after_ms=200)
    assert heard.result is Result.UNKNOWN
    assert isinstance(lines[-1], Heard)


async def test_nobody_listening_is_no_answer(centre: FakeCentre) -> None:
    nobody = FakeCentre(endpoints=("127.0.0.1:17699",))
    heard, _ = await settle(nobody, sale(), give_up_after_ms=200)
    assert (heard.result, heard.code) == (Result.UNKNOWN, "")


async def test_closes_interims_and_inquiries_are_carried(centre: FakeCentre) -> None:
    await settle(centre, sale())
    at = ("SHOP-1", "T1", 20261123)
    close, _ = await settle(centre, Request(*at, stan=2, call=Call.CLOSE))
    interim, _ = await settle(centre, Request(*at, call=Call.INTERIM))
    inquiry, _ = await settle(centre, Request(*at, call=Call.INQUIRE, target=sale().key))
    assert close.result is Result.OK
    assert close.key.endswith(".0500")
    assert (interim.result, interim.reply) == (Result.READ, None)
    assert inquiry.reply is not None
    assert inquiry.reply.key == sale().key


def test_history_lines_survive_the_way_to_disk_and_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "h.ndjson"
    intent = Intent("T1/0", sale().key, 1.5, 2.5, sale())
    with history_file.Recorder(path) as recorder:
        recorder.write(intent)
    with path.open("ab") as file:
        file.write(b'{"kind":"heard","ask":"T1')
    read = history_file.read([path])
    assert read.intents == (intent,)
    assert read.torn == 1
    assert read.unresolved() == (intent,)
