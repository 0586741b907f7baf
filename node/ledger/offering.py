"""Services that the site which settles does not offer: what is said instead of settling.

Nothing of it goes into the log and no key is consumed. What is settled already is still answered:
a terminal that repeats its request hears what became of it, whichever site has taken over. Closes
and totals are of all services, so they are never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from node.ledger.commands import Command, Receipt, Service, Type
from node.ledger.refusals import Refusal, RefusalKind, refusal

Answer = Receipt | Refusal | None
Admit = Callable[[Sequence[Command]], list[Answer]]


@dataclass(frozen=True, slots=True)
class Wording:
    """A service's name, and what the shop does without it, in English and in Japanese."""

    name: str
    name_ja: str
    fallback: str
    fallback_ja: str


_CASH: Final = ("take cash", "現金でお取り扱いください")

WORDINGS: Final[dict[Service, Wording]] = {
    Service.CREDIT: Wording(
        "credit card",
        "クレジットカード",
        "ask for approval by phone and write a sales slip by hand; it is posted later",
        "電話で承認を受け、手書売上票でお取り扱いください",
    ),
    Service.UNIONPAY: Wording("UnionPay", "銀聯", *_CASH),
    Service.J_DEBIT: Wording("J-Debit", "J-Debit", *_CASH),
    Service.E_MONEY: Wording("electronic money", "電子マネー", *_CASH),
    Service.POINT: Wording(
        "points",
        "ポイント",
        "keep the receipt: points are given against it later",
        "ポイントは後日レシートにより付与します",
    ),
    Service.COUPON: Wording("coupons", "クーポン", *_CASH),
    Service.DCC: Wording(
        "payment in the card's currency", "外貨建て", "in JPY only", "日本円でお取り扱いください"
    ),
}


def offered_only(site: str, services: Sequence[str], admit: Admit) -> Admit:
    """`admit` for a node of `site`, which offers only `services` (names of `Service`; none: all).

    Asked only while this node leads, and so while its site is the one that settles.
    """
    if not services:
        return admit
    refusals = _refusals(site, {Service[name] for name in services})

    def judge(command: Command, answer: Answer) -> Answer:
        if isinstance(answer, Receipt) or command.type == Type.CLOSE:
            return answer
        return refusals.get(command.service, answer)

    def admit_offered(commands: Sequence[Command]) -> list[Answer]:
        return list(map(judge, commands, admit(commands)))

    return admit_offered


def _refusals(site: str, offered: set[Service]) -> dict[int, Refusal]:
    """What to say to each service that is not offered."""
    names = " ".join(service.name for service in sorted(offered))
    said: dict[int, Refusal] = {}
    for service in Service:
        if service in offered:
            continue
        words = WORDINGS[service]
        said[service] = refusal(
            RefusalKind.SERVICE_NOT_OFFERED,
            "",
            f"{words.name} is not offered while site {site} settles (offered: {names}): "
            f"{words.fallback}. {words.name_ja}は現在お取り扱いできません。{words.fallback_ja}。",
            facts=(
                ("service", service.name),
                ("site", site),
                ("offered", names),
                ("fallback", words.fallback),
                ("fallback_ja", words.fallback_ja),
            ),
        )
    return said
