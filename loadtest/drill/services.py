"""One settlement of each of the seven services, asked where the terminals stand: what is still
offered there?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from deploy.lab.ground import PROJECT
from loadtest import history_file
from loadtest.drill.lookout import DrillFailed
from loadtest.drill.survey import Errand
from loadtest.history import Heard, Result
from loadtest.request import Dcc, Request, Service, Type

HISTORIES: Final = "history-services-*.ndjson"
"""A history for each time that all services were asked for, in the evidence folder."""

_SPARE_S: Final = 5.0
"""How long the survey's program may take beside the asking: it starts on a busy machine."""

_LAST_WORDS: Final = 2000


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


def offered(errand: Errand, on_host: Callable[[list[str]], list[str]]) -> Survey:
    """Have `errand` done by a program of its own; `on_host` gives the command that runs it where
    the terminals stand.

    Offered is what was approved in time; of the others it tells what was heard instead. A program
    that does not come to its end is killed: then only what it wrote down counts. Raises
    `DrillFailed` where it could not ask.
    """
    history = Path(errand.history)
    argument = msgspec.json.encode(errand).decode()
    command = on_host([sys.executable, "-m", "loadtest.drill.survey", argument])
    try:
        ended = subprocess.run(
            command,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=errand.within_s + _SPARE_S,
            check=False,
            start_new_session=True,  # Ctrl-C is for us, who then kill it
        )
    except subprocess.TimeoutExpired as problem:
        if not history.exists():
            raise DrillFailed("the survey of the services did not begin in time") from problem
    else:
        if ended.returncode != 0:
            words = ended.stderr.decode(errors="replace")[-_LAST_WORDS:]
            raise DrillFailed(f"the survey of the services ended with {ended.returncode}: {words}")
    return _told(errand.requests, history)


def fewest(folder: Path) -> int | None:
    """The fewest services that were offered whenever all were asked for, by their histories alone.

    None where they never were. Raises `OSError`, `HistoryError`.
    """
    counts = []
    for path in sorted(folder.glob(HISTORIES)):
        heard = history_file.read([path]).final()
        counts.append(sum(_approved(last) for last in heard.values()))
    return min(counts, default=None)


def _told(requests: tuple[Request, ...], history: Path) -> Survey:
    """What the history says of each request."""
    last = {line.key: line for line in history_file.read([history]).heard}
    heard = [(request, last.get(request.key)) for request in requests]
    return Survey(
        tuple(Service(request.service).name for request, line in heard if _approved(line)),
        tuple(f"{each.label}: {_heard(line)}" for each, line in heard if not _approved(line)),
    )


def _approved(last: Heard | None) -> bool:
    return last is not None and last.result is Result.OK


def _heard(last: Heard | None) -> str:
    if last is None:
        return "nothing was heard"
    reason = last.reply.reason if last.reply is not None else last.detail
    return f"{last.result}" + (f" ({reason})" if reason else "")
