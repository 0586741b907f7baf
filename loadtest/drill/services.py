"""One settlement of each of the seven services, asked at the counter: what is still offered?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest import history_file
from loadtest.asking import Asking, Surroundings
from loadtest.compass import Compass
from loadtest.history import Heard, Result
from loadtest.history_file import Recorder
from loadtest.request import Dcc, Request, Service, Type
from loadtest.shell_asyncio import Line as Wire
from loadtest.terminal import Manner

HISTORIES: Final = "history-services-*.ndjson"
"""A history for each time that all services were asked for, in the evidence folder."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Which services were offered when each was asked for, and what was said of the others."""

    offered: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def words(self) -> str:
        """How many of how many, and which."""
        asked = len(self.offered) + len(self.refused)
        return f"{len(self.offered)} of {asked}: {', '.join(self.offered) or 'none'}"


def one_of_each(round_: int, business_date: int) -> tuple[Request, ...]:
    """A request of each service, each from a terminal of its own; all can be approved."""
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
            f"TSEVEN{round_:03d}{number}",
            business_date,
            stan=1,
            service=service,
            type=kind,
            amount_minor=amount,
            card_token=f"tok-seven-{round_}-{number}",
            dcc=Dcc(13_340, "USD", "0.00667") if service is Service.DCC else None,
        )
        for number, (service, kind, amount) in enumerate(acts, start=1)
    )


def offered(
    requests: tuple[Request, ...],
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    history: Path,
    within_s: float,
) -> Survey:
    """Ask for all of them at once, each at a terminal of its own, and write their history.

    Offered is what was approved within `within_s`; of the others it tells what was heard instead.
    """
    with Recorder(history) as recorder:
        around = Surroundings(
            lambda: time.monotonic() * 1000.0, random.Random(history.name).random, recorder.write
        )
        askings = asyncio.run(_ask(requests, endpoints, sites, around, within_s))
    approved = [_approved(asking.last) for asking in askings]
    pairs = list(zip(askings, approved, strict=True))
    return Survey(
        tuple(Service(asking.request.service).name for asking, good in pairs if good),
        tuple(f"{each.request.label}: {_heard(each.last)}" for each, good in pairs if not good),
    )


def fewest(folder: Path) -> int | None:
    """The fewest services that were offered whenever all were asked for, by their histories alone.

    None where they never were. Raises `OSError`, `HistoryError`.
    """
    counts = []
    for path in sorted(folder.glob(HISTORIES)):
        heard = history_file.read([path]).final()
        counts.append(sum(_approved(last) for last in heard.values()))
    return min(counts, default=None)


async def _ask(
    requests: tuple[Request, ...],
    endpoints: tuple[str, ...],
    sites: Mapping[str, str],
    around: Surroundings,
    within_s: float,
) -> list[Asking]:
    askings = [
        Asking(
            f"{request.terminal}/{request.stan}",
            request,
            intended_ms=around.clock(),
            compass=Compass.fresh(endpoints, sites=sites),
            manner=Manner(deadline_ms=within_s * 1000.0),
            around=around,
        )
        for request in requests
    ]
    async with Wire(endpoints) as wire:
        await asyncio.gather(*(wire.carry(asking, within_s * 1000.0) for asking in askings))
    return askings


def _approved(last: Heard | None) -> bool:
    return last is not None and last.result is Result.OK


def _heard(last: Heard | None) -> str:
    if last is None:
        return "was never sent"
    reason = last.reply.reason if last.reply is not None else last.detail
    return f"{last.result}" + (f" ({reason})" if reason else "")
