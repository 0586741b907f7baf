"""One settlement of each of the seven services, asked at the counter: is everything accepted?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path

from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history import Heard, Result
from loadtest.history_file import Recorder
from loadtest.request import Dcc, Request, Service, Type
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Manner


def one_of_each(round_: int, business_date: int) -> tuple[Request, ...]:
    """A request of each service, under a terminal of this round's own; all can be approved."""
    acts = (
        (Service.CREDIT, Type.SALE, 4_980),
        (Service.UNIONPAY, Type.SALE, 12_800),
        (Service.J_DEBIT, Type.SALE, 3_300),
        (Service.E_MONEY, Type.TOP_UP, 3_000),
        (Service.POINT, Type.EARN, 49),
        (Service.COUPON, Type.REDEEM, 300),
        (Service.DCC, Type.SALE, 20_000),
    )
    return tuple(
        Request(
            "SHOP-SEVEN",
            f"TSEVEN{round_:03d}",
            business_date,
            stan=number,
            service=service,
            type=kind,
            amount_minor=amount,
            card_token=f"tok-seven-{round_}-{number}",
            dcc=Dcc(13_340, "USD", "0.00667") if service is Service.DCC else None,
        )
        for number, (service, kind, amount) in enumerate(acts, start=1)
    )


def not_approved(
    requests: tuple[Request, ...],
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    history: Path,
    within_s: float,
) -> list[str]:
    """Ask for them one after the other, as one terminal does, and write its history.

    Returns what was not approved within `within_s`, each with what was heard instead.
    """
    with Recorder(history) as recorder:
        around = Surroundings(
            lambda: time.monotonic() * 1000.0, random.Random(history.name).random, recorder.write
        )
        askings = asyncio.run(_ask(requests, endpoints, sites, around, within_s))
    return [
        f"{asking.request.label}: {_heard(asking.last)}"
        for asking in askings
        if asking.last is None or asking.last.result is not Result.OK
    ]


async def _ask(
    requests: tuple[Request, ...],
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    around: Surroundings,
    within_s: float,
) -> list[Asking]:
    compass = Compass.fresh(endpoints, sites=sites)
    askings = []
    deadline_ms = around.clock() + within_s * 1000.0
    async with Wire(endpoints) as wire:
        for request in requests:
            asking = Asking(
                f"{request.terminal}/{request.stan}",
                request,
                intended_ms=around.clock(),
                compass=compass,
                manner=Manner(deadline_ms=within_s * 1000.0),
                around=around,
            )
            askings.append(asking)
            await wire.carry(asking, max(1.0, deadline_ms - around.clock()))
    return askings


def _heard(last: Heard | None) -> str:
    if last is None:
        return "was never sent"
    reason = last.reply.reason if last.reply is not None else last.detail
    return f"{last.result}" + (f" ({reason})" if reason else "")
