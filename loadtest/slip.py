"""What a terminal prints: the receipt of an answer, and the fault slip (障害伝票) where none came.

Japanese beside English, as on the counter. Pure text; money is written with its currency.
"""

from __future__ import annotations

from loadtest.history import Heard, Result
from loadtest.request import SERVICE_NAMES, TYPE_NAMES, Call, Request

_HEADLINES = {
    Result.OK: ("APPROVED", "承認"),
    Result.DECLINED: ("DECLINED", "不承認"),
    Result.MISMATCH: ("TOTALS DIFFER", "合計不一致"),
    Result.READ: ("ANSWERED", "照会結果"),
    Result.REFUSED: ("REFUSED", "エラー"),
    Result.UNKNOWN: ("RESULT UNKNOWN", "結果不明"),
}


def receipt(request: Request, heard: Heard) -> tuple[str, ...]:
    """The lines of the slip for what was heard, or of the fault slip for UNKNOWN."""
    if heard.result is Result.UNKNOWN:
        return fault_slip(request)
    english, japanese = _HEADLINES[heard.result]
    lines = [f"{english} {japanese}", *_about(request)]
    reply = heard.reply
    if reply is not None:
        lines.append(f"response 応答コード {reply.response_code}" + _and(reply.reason))
        lines.append(f"reference 照会番号 {reply.rrn}")
        if reply.approval_code:
            lines.append(f"approval 承認番号 {reply.approval_code}")
        if reply.balance_minor is not None:
            lines.append(f"balance 残高 {money(reply.balance_minor, request.currency)}")
        if reply.replayed:
            lines.append("settled before; this is the first answer again 処理済み（再送応答）")
    elif heard.result is Result.REFUSED:
        lines.append(f"{heard.code}" + _and(heard.detail))
    lines.append(f"key 取引キー {request.key}")
    return tuple(lines)


def fault_slip(request: Request) -> tuple[str, ...]:
    """What the clerk gets when the deadline passed without an answer (障害伝票)."""
    return (
        "FAULT SLIP 障害伝票",
        *_about(request),
        "No answer came in time: it is not known whether this was settled.",
        "時間内に応答がありませんでした。取引の成否は不明です。",
        "Do not enter it again. The terminal asks with the same key until it hears.",
        "再入力しないでください。端末が同じ取引キーで自動的に照会します。",
        "Hand the customer this slip; the result follows.",
        "お客様にこの伝票をお渡しください。結果は後ほど確定します。",
        f"key 取引キー {request.key}",
    )


def money(amount_minor: int, currency: str) -> str:
    """An amount for people; JPY has no minor unit, others are taken to have two digits."""
    if currency == "JPY":
        return f"¥{amount_minor:,}"
    return f"{amount_minor / 100:,.2f} {currency}"


def _about(request: Request) -> list[str]:
    english, japanese = SERVICE_NAMES[request.service]
    if request.call is Call.CLOSE:
        act, act_ja = "daily close", "日計"
    else:
        act, act_ja = TYPE_NAMES.get(request.type, (request.call.value, "照会"))
    lines = [
        f"{english} {japanese}" if english != japanese else english,
        f"{act} {act_ja}"
        + (f"  {money(request.amount_minor, request.currency)}" if request.amount_minor else ""),
    ]
    if request.dcc is not None:
        paid = f"{request.dcc.card_amount_minor} {request.dcc.card_currency} (minor units)"
        lines.append(f"card is charged カード請求額 {paid} at {request.dcc.rate}")
    if request.card_last4:
        lines.append(f"card カード ****{request.card_last4}")
    lines.append(f"terminal 端末 {request.terminal}  date 取引日 {request.business_date}")
    return lines


def _and(words: str) -> str:
    return f": {words}" if words else ""
