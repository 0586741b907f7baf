"""`kessai pay` and `kessai inquire`: one terminal on the command line.

It keeps its own memory below `.kessai/terminals`, as any terminal does: every attempt is written
down before it is sent, and the next STAN follows the last one used.
"""

from __future__ import annotations

import asyncio
import datetime
import random
import sys
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from deploy.cli.options import topology_option
from deploy.lab.processes import HOME
from deploy.topology import Topology
from loadtest import business_date, directory, history_file
from loadtest.asking import Asking, Surroundings
from loadtest.business_date import JST
from loadtest.compass import Compass
from loadtest.desk import STAN_MAX
from loadtest.history import Heard, Result
from loadtest.history_file import Recorder
from loadtest.request import Call, CardWrite, Dcc, Request, Service, Type
from loadtest.shell_asyncio import Line as Wire
from loadtest.slip import money, receipt
from loadtest.terminal import Manner
from proto import settlement_pb2 as pb

_EXIT: Final = {Result.OK: 0, Result.READ: 0, Result.DECLINED: 1, Result.MISMATCH: 1}
_EXIT_REFUSED: Final = 2
_EXIT_UNKNOWN: Final = 3


def _names(kind: type[Service] | type[Type] | type[CardWrite]) -> click.Choice[str]:
    return click.Choice([each.name.lower().replace("_", "-") for each in kind if each])


def _value(kind: type[Service] | type[Type] | type[CardWrite], name: str) -> int:
    return int(kind[name.upper().replace("-", "_")])


@click.command()
@topology_option
@click.option("--service", "-s", type=_names(Service), default="credit", show_default=True)
@click.option("--type", "-y", "kind", type=_names(Type), default="sale", show_default=True)
@click.option("--close", is_flag=True, help="Instead of a payment: the daily close (日計).")
@click.option("--amount", "-a", default=1000, show_default=True, help="In minor units (JPY: yen).")
@click.option("--brand", default="", help="Scheme or issuer.")
@click.option("--card", default="tok-counter-0001", show_default=True, help="The card's token.")
@click.option("--last4", default="", help="The last four digits.")
@click.option("--original", default="", metavar="KEY", help="For void, refund, capture, ...")
@click.option("--dcc", default="", metavar="AMOUNT,CUR,RATE", help="For dcc: 800,USD,0.00667")
@click.option("--card-write", type=_names(CardWrite), help="For advice.")
@click.option("--memo", default="")
@click.option("--merchant", default="SHOP-0001", show_default=True)
@click.option("--terminal", default="T0001", show_default=True)
@click.option("--stan", type=int, help="Repeat an earlier request with its number; else the next.")
@click.option("--date", type=int, help="Business date, YYYYMMDD; else today in Japan.")
@click.option("--deadline", default=10.0, show_default=True, help="Seconds until the fault slip.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def pay(
    topology: Topology,
    service: str,
    kind: str,
    close: bool,
    amount: int,
    brand: str,
    card: str,
    last4: str,
    original: str,
    dcc: str,
    card_write: str | None,
    memo: str,
    merchant: str,
    terminal: str,
    stan: int | None,
    date: int | None,
    deadline: float,
    as_json: bool,
) -> None:
    """Settle one payment and print its slip.

    Exit status 0: approved, 1: declined, 2: refused, 3: unknown.
    """
    memory = HOME / "terminals" / f"{Path(terminal).name}.ndjson"
    number = _next_stan(memory) if stan is None else stan
    today = date if date is not None else business_date.of(datetime.datetime.now(JST))
    asks_nothing = kind in ("balance", "advice")
    request = Request(
        merchant,
        terminal,
        today,
        stan=number,
        call=Call.CLOSE if close else Call.SETTLE,
        service=0 if close else _value(Service, service),
        type=0 if close else _value(Type, kind),
        brand=brand,
        amount_minor=0 if close or asks_nothing else amount,
        card_token="" if close else card,
        card_last4=last4,
        original_key=original,
        dcc=_dcc(dcc) if dcc else None,
        card_write=_value(CardWrite, card_write) if card_write else 0,
        memo=memo,
    )
    asking = _ask(topology, request, memory, deadline)
    heard = asking.last
    assert heard is not None, "every asking ends with a line on record"
    if as_json:
        _print_json(heard)
    else:
        totals = asking.word.answer.totals if isinstance(asking.word.answer, pb.CloseReply) else ()
        _print_slip([*receipt(request, heard), *_totals(list(totals))])
        if heard.result is Result.UNKNOWN:
            click.echo(
                f"Ask what became of it: kessai inquire {request.key}\n"
                f"Ask for it again under the same key: the same command with --stan {number}"
            )
    sys.exit(_exit_status(heard))


@click.command()
@topology_option
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def inquire(topology: Topology, key: str, as_json: bool) -> None:
    """What became of KEY (terminal.date.stan.class). Exit status 0: it is in the ledger."""
    request = Request("", "", 0, call=Call.INQUIRE, target=key)
    asking = _ask(topology, request, HOME / "terminals" / "inquiries.ndjson", 10.0)
    heard, answer = asking.last, asking.word.answer
    assert heard is not None, "every asking ends with a line on record"
    if not isinstance(answer, pb.InquireReply):
        raise click.ClickException(f"{heard.result}: {heard.code} {heard.detail}".strip())
    if as_json:
        _print_json(heard)
    elif not answer.found:
        click.echo(f"{key} is not in the ledger, as of entry {answer.commit_index}")
    else:
        reply = answer.reply
        state = pb.TransactionState.Name(answer.state_now).removeprefix("TRANSACTION_STATE_")
        outcome = pb.Outcome.Name(reply.outcome).removeprefix("OUTCOME_")
        lines = [
            f"{outcome.lower()}, now {state.lower()}, as of entry {answer.commit_index}",
            f"response 応答コード {reply.response_code}",
            f"reference 照会番号 {reply.rrn}  approval 承認番号 {reply.approval_code or '-'}",
            f"captured 売上 {money(answer.captured_minor, 'JPY')}"
            f"  refunded 返品 {money(answer.refunded_minor, 'JPY')}",
            f"key 取引キー {key}",
        ]
        _print_slip(lines)
    sys.exit(0 if answer.found else 1)


def _ask(topology: Topology, request: Request, memory: Path, deadline_s: float) -> Asking:
    endpoints = directory.endpoints(topology)
    with Recorder(memory) as recorder:
        around = Surroundings(
            lambda: time.monotonic() * 1000.0, random.SystemRandom().random, recorder.write
        )
        asking = Asking(
            f"{request.terminal}/{time.time_ns()}",
            request,
            intended_ms=around.clock(),
            compass=Compass.fresh(
                endpoints, sites=directory.sites(topology), paths=directory.paths(topology)
            ),
            manner=Manner(deadline_ms=deadline_s * 1000.0),
            around=around,
        )
        asyncio.run(_carry(asking, endpoints, deadline_s * 1000.0))
    return asking


async def _carry(asking: Asking, endpoints: tuple[str, ...], give_up_after_ms: float) -> None:
    async with Wire(endpoints) as wire:
        await wire.carry(asking, give_up_after_ms)


def _next_stan(memory: Path) -> int:
    """One more than the highest number this terminal wrote down; after 999,999 it is 1 again."""
    if not memory.exists():
        return 1
    used = (intent.request.stan for intent in history_file.read([memory]).intents)
    return max(used, default=0) % STAN_MAX + 1


def _dcc(text: str) -> Dcc:
    try:
        amount, currency, rate = text.split(",")
        return Dcc(int(amount), currency, rate)
    except ValueError as problem:
        raise click.BadParameter("expected AMOUNT,CURRENCY,RATE", param_hint="--dcc") from problem


def _totals(totals: list[pb.ServiceTotal]) -> list[str]:
    return [
        f"{Service(total.service).name}  {total.count} acts  "
        f"captured {money(total.captured_minor, 'JPY')}  "
        f"voided {money(total.voided_minor, 'JPY')}  "
        f"refunded {money(total.refunded_minor, 'JPY')}"
        for total in totals
    ]


def _print_slip(lines: list[str]) -> None:
    click.echo("-" * 48)
    for line in lines:
        click.echo(f"  {line}")
    click.echo("-" * 48)


def _print_json(heard: Heard) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(heard), indent=2).decode())


def _exit_status(heard: Heard) -> int:
    if heard.result is Result.UNKNOWN:
        return _EXIT_UNKNOWN
    return _EXIT.get(heard.result, _EXIT_REFUSED)
